"""What kind of body an inference request may carry: JSON in UTF-8, uncompressed. Pure."""

from __future__ import annotations

from proxy.core.errors import InvalidRequest, ProxyError, Reason, UnsupportedMediaType
from proxy.protocol.parameters import BINARY_UNSUPPORTED

_JSON_TYPES = frozenset((b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"))


def check_media(headers: list[tuple[bytes, bytes]]) -> ProxyError | None:
    """None if the body may be read as JSON, else why not."""
    types = [value for name, value in headers if name == b"content-type"]
    codings = [value for name, value in headers if name == b"content-encoding"]
    if any(name == b"inference-header-content-length" for name, _ in headers):
        message = f"Inference-Header-Content-Length: {BINARY_UNSUPPORTED}."
        return InvalidRequest(Reason.INVALID_REQUEST, message)
    if any(coding.strip().lower() not in (b"identity", b"") for coding in codings):
        message = "Content-Encoding: bodies are read uncompressed only."
        return UnsupportedMediaType(Reason.UNSUPPORTED_MEDIA_TYPE, message)
    if len(types) != 1 or not _is_json(types[0]):
        message = "Content-Type must be application/json."
        return UnsupportedMediaType(Reason.UNSUPPORTED_MEDIA_TYPE, message)
    return None


def _is_json(value: bytes) -> bool:
    if value in _JSON_TYPES:
        return True
    kind, *parameters = (part.strip().lower() for part in value.split(b";"))
    return kind == b"application/json" and all(p in (b"charset=utf-8", b'charset="utf-8"') for p in parameters)
