"""What a request's headers say of its body and of the answer's: coding, JSON's length, timing, sticky key. Pure.

Rules: a body is JSON in UTF-8, or JSON and raw tensors behind it (`Inference-Header-Content-Length` says where they
begin); no Content-Type at all is read as either, since Triton's own clients send none; a content coding is gzip or
deflate, once. Nothing else is guessed at.
Source: Open Inference Protocol, REST; Triton's binary tensor data extension.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.core.errors import InvalidRequest, Reason, UnsupportedMediaType

JSON_LENGTH = b"inference-header-content-length"
TIMING = b"x-dlproxy-timing"
STICKY = b"x-dlproxy-sticky"
CODINGS = (b"gzip", b"deflate")
_WANTED = frozenset((b"content-type", b"content-encoding", JSON_LENGTH, TIMING))
_JSON_TYPES = frozenset((b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"))
_BINARY_TYPE = b"application/octet-stream"
Headers = Iterable[tuple[bytes, bytes]]  # names in lower case
_LENGTH = re.compile(rb"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class BodyForm:
    """How to read a body. `json_bytes` None: JSON only; 0: one raw tensor; else that much JSON, then raw tensors.

    `coding` is `gzip`, `deflate` or empty. `with_timing`: the answer carries a Server-Timing header.
    """

    json_bytes: int | None = None
    coding: bytes = b""
    with_timing: bool = False


PLAIN = BodyForm()


def body_form(headers: Headers) -> BodyForm:
    """The form of a body with these headers. Raises InvalidRequest or UnsupportedMediaType."""
    named: dict[bytes, bytes] = {}
    for name, value in headers:
        if name not in _WANTED:
            continue
        if name in named:
            raise InvalidRequest(Reason.INVALID_REQUEST, f"The header {name.decode()} is given twice.")
        named[name] = value
    json_bytes = _json_bytes(named.get(JSON_LENGTH))
    coding = _coding(named.get(b"content-encoding", b""))
    _check_type(named.get(b"content-type"), with_tensors=json_bytes is not None)
    with_timing = named.get(TIMING) == b"1"
    if json_bytes is None and not coding and not with_timing:
        return PLAIN
    return BodyForm(json_bytes, coding, with_timing)


def sticky_key(headers: Headers) -> bytes | None:
    """The client's key for staying on one version of a canary; None if it sent none, or an empty one."""
    for name, value in headers:
        if name == STICKY:
            return value or None
    return None


def _json_bytes(value: bytes | None) -> int | None:
    if value is None:
        return None
    if _LENGTH.fullmatch(value) is None:
        message = "Inference-Header-Content-Length: expected the number of bytes of the JSON part."
        raise InvalidRequest(Reason.INVALID_REQUEST, message)
    return int(value)


def _coding(value: bytes) -> bytes:
    coding = value.strip().lower()
    if coding in (b"", b"identity"):
        return b""
    if coding not in CODINGS:
        message = "Content-Encoding: bodies are read as gzip or deflate, coded once, or uncompressed."
        raise UnsupportedMediaType(Reason.UNSUPPORTED_MEDIA_TYPE, message)
    return coding


def _check_type(value: bytes | None, *, with_tensors: bool) -> None:
    if value is None or _is_json(value) or (with_tensors and value.strip().lower() == _BINARY_TYPE):
        return
    message = "Content-Type must be application/json."
    if with_tensors:
        message = "Content-Type must be application/octet-stream or application/json."
    raise UnsupportedMediaType(Reason.UNSUPPORTED_MEDIA_TYPE, message)


def _is_json(value: bytes) -> bool:
    if value in _JSON_TYPES:
        return True
    kind, *parameters = (part.strip().lower() for part in value.split(b";"))
    return kind == b"application/json" and all(p in (b"charset=utf-8", b'charset="utf-8"') for p in parameters)
