"""Answer → bytes of an HTTP/1.1 response, ready for one write. Sans-I/O."""

from __future__ import annotations

from http import HTTPStatus

from proxy.core import request_ids
from proxy.core.requests import Answer

JSON = (b"content-type", b"application/json")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_PHRASES = {int(status): status.phrase.encode() for status in HTTPStatus}
JOINED_BYTES = 65_536  # bodies up to this length are joined with their head: a copy is cheaper than a second write
_MAX_HEADS = 256  # rendered heads kept; they differ by status and extra headers only
_heads: dict[tuple[int, tuple[tuple[bytes, bytes], ...]], bytes] = {}


def with_content_type(headers: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
    """`headers`, with the JSON content type where they name none."""
    return headers if any(name == b"content-type" for name, _ in headers) else (JSON, *headers)


def without_id(answer: Answer) -> Answer:
    """`answer` without the id that the line made up for it: the caller's own is sent."""
    headers = tuple(pair for pair in answer.headers if pair[0] != request_ids.HEADER)
    return answer if len(headers) == len(answer.headers) else Answer(answer.status, answer.body, headers)


def encode_whole(answer: Answer, date: bytes) -> bytes:
    """The response in one piece, without a Connection header: the common case of a small answer."""
    body = answer.body
    head = _heads.get((answer.status, answer.headers)) or _head(answer)
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (head, date, len(body), body)


def encode(answer: Answer, own: bytes, date: bytes, *, with_body: bool) -> tuple[bytes, ...]:
    """The response in pieces to write one after the other: one piece, or head and body where copying would cost more.

    `own` are rendered headers of this one answer (Connection, the request's id) or empty, `date` its Date.
    """
    head = _heads.get((answer.status, answer.headers)) or _head(answer)
    body = answer.body
    if with_body and len(body) <= JOINED_BYTES:
        return (b"%b%b%bcontent-length: %d\r\n\r\n%b" % (head, date, own, len(body), body),)
    whole_head = b"%b%b%bcontent-length: %d\r\n\r\n" % (head, date, own, len(body))
    return (whole_head, body) if with_body else (whole_head,)


def _head(answer: Answer) -> bytes:
    """Status line and headers, rendered and kept where others may have the same."""
    if any(name == request_ids.HEADER for name, _ in answer.headers):
        return _render(answer)
    if len(_heads) >= _MAX_HEADS:
        _heads.clear()
    head = _heads[answer.status, answer.headers] = _render(answer)
    return head


def _render(answer: Answer) -> bytes:
    lines = [b"HTTP/1.1 %d %b" % (answer.status, _PHRASES.get(answer.status, b"Unknown"))]
    lines += [b"%b: %b" % pair for pair in with_content_type(answer.headers)]
    return b"\r\n".join(lines) + b"\r\n"
