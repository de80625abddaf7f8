"""A refusal or fault as programs read it: `application/problem+json`, of the admin API, of pages and of the body guard.

    {"type": "urn:dlproxy:problem:invalid", "title": "Bad Request", "status": 400, "detail": "…",
     "code": "invalid", "request_id": "…", "errors": {"min_instances": ["…"]}}

Source: RFC 9457.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

CONTENT_TYPE = "application/problem+json"
# Statuses that HTTP itself does not name: 460 is of the tus protocol.
OWN_TITLES = {460: "Checksum Mismatch"}


@dataclass(frozen=True)
class Problem:
    """One refusal or fault as the client sees it."""

    status: int
    code: str
    detail: str
    errors: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, request_id: str) -> dict[str, Any]:
        """The members of the problem document."""
        members: dict[str, Any] = {
            "type": f"urn:dlproxy:problem:{self.code}",
            "title": OWN_TITLES.get(self.status) or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }
        if self.errors:
            members["errors"] = dict(self.errors)
        return members
