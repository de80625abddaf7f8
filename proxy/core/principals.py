"""Who calls, on whose account, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass

KEY_PRINCIPAL = "key:"
"""Begins the `principal_id` of an API key; the key's id follows."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: an API key or a dashboard user. `models` None means every model.

    `weight` is its share of a busy model beside other callers'. `tenant` is on whose behalf it asks: callers of one
    tenant may meet each other's cached answers. `requests_per_s` bounds what it may send (0: no limit).
    """

    principal_id: str
    label: str
    models: frozenset[str] | None = None
    is_admin: bool = False
    weight: int = 1
    tenant: str = ""
    requests_per_s: int = 0

    def may_infer(self, model: str) -> bool:
        """True if this caller may ask `model`."""
        return self.models is None or model in self.models
