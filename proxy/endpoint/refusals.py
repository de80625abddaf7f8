"""Refusals that exist only at the HTTP layer: what was sent is not (yet) a request.

Place: raised by the head and chunk readers and the connection, answered by it; the ASGI server has its own.
"""

from __future__ import annotations

from proxy.core.errors import ProxyError, Reason, TooLarge


class BadFraming(ProxyError):
    """Where this request ends cannot be trusted; the connection is closed after the answer."""

    status = 400

    def __init__(self, message: str) -> None:
        super().__init__(Reason.INVALID_REQUEST, message)


class TargetTooLong(BadFraming):
    """The request line is longer than the limit."""

    status = 414


class HeadTooLarge(BadFraming):
    """Header bytes or header count exceed the limit."""

    status = 431


class RequestTimeout(BadFraming):
    """Head or body came too slowly."""

    status = 408


class TooManyConnections(ProxyError):
    """No place for another client; retry after the hint."""

    status = 503


def too_large(max_body_bytes: int) -> TooLarge:
    """The body, as declared or as it came, is longer than this call may send."""
    return TooLarge(Reason.BODY_TOO_LARGE, f"The body exceeds {max_body_bytes} bytes.")
