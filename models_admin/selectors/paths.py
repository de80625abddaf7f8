"""Parts of paths that name things, for the URLs of API and pages: bounded and of known characters before any query."""

from __future__ import annotations

from django.urls import register_converter

from models_admin.models.registry import MODEL_NAME_PATTERN
from models_admin.models.rollouts import LABEL_PATTERN


class ModelName:
    """A model's name in a path."""

    regex = MODEL_NAME_PATTERN.removeprefix("^").removesuffix("$")

    def to_python(self, value: str) -> str:
        """The name."""
        return value

    def to_url(self, value: str) -> str:
        """The name."""
        return value


class Number:
    """A version's number or a row's id in a path: at most nine digits, so that no query overflows."""

    regex = r"[1-9][0-9]{0,8}"

    def to_python(self, value: str) -> int:
        """The number."""
        return int(value)

    def to_url(self, value: int) -> str:
        """The digits."""
        return str(value)


class Label:
    """A label of versions in a path."""

    regex = LABEL_PATTERN

    def to_python(self, value: str) -> str:
        """The label."""
        return value

    def to_url(self, value: str) -> str:
        """The label."""
        return value


register_converter(Label, "label")
register_converter(ModelName, "model")
register_converter(Number, "number")
