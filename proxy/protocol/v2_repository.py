"""Bodies of the model repository extension: what a client may ask, and the list of versions with their states.

Rules: a model comes in by upload, where its file is checked and tried in a sandbox, never inside this body: `config`
and `file:…` are refused in words. `unload_dependents` has no effect, since no model here depends on another.
Source: Triton's model repository extension.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from proxy.core.errors import InvalidRequest, Reason
from proxy.protocol.words import MALFORMED, quote, refusal

MAX_BODY_BYTES = 65_536
DONE = b"{}"
_PARAMETERS = {"load": frozenset[str](), "unload": frozenset({"unload_dependents"})}


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One version, or a model without any (`version` None). `state` is one of Triton's words."""

    name: str
    version: int | None
    state: str
    reason: str = ""


class _Index(msgspec.Struct, forbid_unknown_fields=True):
    ready: bool = False


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    parameters: dict[str, Any] = {}


def wants_ready_only(body: bytes) -> bool:
    """What an index request asks for. Raises InvalidRequest."""
    index: _Index = _decode(body, _Index)
    return index.ready


def check_change(action: str, body: bytes) -> None:
    """Refuse what a `load` or `unload` may not ask. Raises InvalidRequest."""
    for key in _decode(body, _Change).parameters:
        if key in _PARAMETERS[action]:
            continue
        message = f"parameters: {quote(key)} is unknown."
        if key == "config" or key.startswith("file:"):
            message = (
                "parameters: a model is not sent with this call; upload it through the admin API or the dashboard."
            )
        raise InvalidRequest(Reason.INVALID_PARAMETER, message)


def index(entries: Iterable[IndexEntry]) -> bytes:
    """The answer to an index request."""
    return orjson.dumps([_entry(entry) for entry in entries])


def _entry(entry: IndexEntry) -> dict[str, str]:
    version = {} if entry.version is None else {"version": str(entry.version)}
    return {"name": entry.name, **version, "state": entry.state, "reason": entry.reason}


def _decode(body: bytes, kind: type[Any]) -> Any:
    if not body.strip():
        return kind()
    try:
        return msgspec.json.decode(body, type=kind)
    except MALFORMED as error:
        raise refusal(error, "", Reason.INVALID_REQUEST) from None
