"""What an inspection finds: a format that a backend can run, or a refusal in words."""

from __future__ import annotations

from dataclasses import dataclass

CODE_FORMATS = frozenset({"torchscript", "exported"})
"""Formats whose files carry code: only those who may run model code may upload them."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """`format` is one of models_admin.models.registry.ArtifactFormat's values; `summary` says what was seen."""

    format: str
    summary: str
    has_signature: bool

    @property
    def carries_code(self) -> bool:
        """True if opening the file may run code of its author."""
        return self.format in CODE_FORMATS


class Refused(Exception):
    """The file is not one that the server runs. The text tells the uploader what it is and what to send instead."""

    def __init__(self, message: str, code: str = "refused_format") -> None:
        super().__init__(message)
        self.code = code
