"""Errors → answers: `{"error": text}` with the status of the error's kind and the headers that it needs.

Source: Open Inference Protocol, REST, "Inference Response JSON Error Object".
"""

from __future__ import annotations

import orjson

from proxy.core import request_ids
from proxy.core.errors import ProxyError, Unauthenticated
from proxy.core.requests import Answer
from proxy.core.units import NS_PER_S

CHALLENGE = (b"www-authenticate", b'Bearer realm="dlproxy"')


def encode(error: ProxyError, request_id: str) -> Answer:
    """The answer to a refusal or fault of the request that is called so. Retry-After: whole seconds, at least 1."""
    headers: tuple[tuple[bytes, bytes], ...] = ((request_ids.HEADER, request_id.encode()),)
    if error.retry_after_ns is not None:
        seconds = max(1, -(-error.retry_after_ns // NS_PER_S))
        headers = (*headers, (b"retry-after", b"%d" % seconds))
    if isinstance(error, Unauthenticated):
        headers = (*headers, CHALLENGE)
    return Answer(error.status, orjson.dumps({"error": _text(error.message)}), headers)


def _text(message: str) -> str:
    """The message as text that UTF-8 can carry (a model's own message may hold lone surrogates)."""
    return message.encode("utf-8", "replace").decode()
