"""A compressed body → its bytes, never more than the limit allows. Pure; run in the worker thread.

Rules: inflated in steps that are bounded before they are taken; the stream must end where the body ends (one gzip
member, nothing behind it); what expands more than a hundredfold beyond the first MiB is taken for a bomb.
Source: RFC 1950, 1952; `deflate` is the zlib format (RFC 9110, 8.4.1.2).
"""

from __future__ import annotations

import zlib

from proxy.core.errors import InvalidRequest, Reason, TooLarge
from proxy.core.units import BYTES_PER_MIB
from proxy.protocol.limits import Limits

_WINDOW_BITS = {b"gzip": 31, b"deflate": 15}
_STEP_BYTES = BYTES_PER_MIB  # inflated at once; larger: fewer steps, more memory before a bomb is noticed
MAX_RATIO = 100  # DEFLATE reaches 1,032 with nothing but zeros; tensors of measured data seldom reach 20


def inflate(body: bytes | bytearray | memoryview, coding: bytes, limits: Limits) -> bytearray:
    """The body that `coding` (gzip or deflate) wraps. Raises TooLarge for a bomb, InvalidRequest if it is broken."""
    stream = zlib.decompressobj(_WINDOW_BITS[coding])
    inflated = bytearray()
    rest = bytes(body)
    allowed_bytes = min(limits.max_body_bytes, BYTES_PER_MIB + MAX_RATIO * len(rest))
    try:
        while not stream.eof:
            step = stream.decompress(rest, min(_STEP_BYTES, allowed_bytes - len(inflated) + 1))
            inflated += step
            rest = stream.unconsumed_tail
            if len(inflated) > allowed_bytes:
                raise _too_large(allowed_bytes, limits)
            if not step and not rest and not stream.eof:
                raise InvalidRequest(Reason.INVALID_REQUEST, f"body: the {coding.decode()} stream ends too early.")
    except zlib.error:
        raise InvalidRequest(Reason.INVALID_REQUEST, f"body: not a {coding.decode()} stream.") from None
    if stream.unused_data:
        raise InvalidRequest(Reason.INVALID_REQUEST, f"body: bytes follow the end of the {coding.decode()} stream.")
    return inflated


def _too_large(allowed_bytes: int, limits: Limits) -> TooLarge:
    if allowed_bytes == limits.max_body_bytes:
        return TooLarge(Reason.BODY_TOO_LARGE, f"The body exceeds {allowed_bytes} bytes when it is inflated.")
    message = f"The body expands more than {MAX_RATIO} times; send it uncompressed."
    return TooLarge(Reason.BODY_TOO_LARGE, message)
