"""A request's body, collected from a connection's buffer: by its length, or chunked and read strictly. Sans-I/O.

Rules: sizes of chunks are 1 to 8 hexadecimal digits followed by CRLF; extensions and trailers are refused (nothing here
would read them, and proxies disagree about them); count and total are bounded before data is kept.
Source: RFC 9112, section 7.1.
"""

from __future__ import annotations

import re

from proxy.endpoint.limits import ListenerLimits
from proxy.endpoint.refusals import BadFraming, too_large

_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")
_SIZE_LINE_BYTES = 10


class LengthBody:
    """Collects a body whose length was declared (and allowed)."""

    __slots__ = ("_left_bytes", "data")

    def __init__(self, size_bytes: int) -> None:
        self.data = bytearray()
        self._left_bytes = size_bytes

    def take(self, data: bytes) -> bool:
        """Append `data` if it all belongs to this body; False (nothing taken) if the next request begins in it."""
        if len(data) > self._left_bytes:
            return False
        self.data += data
        self._left_bytes -= len(data)
        return True

    def feed(self, buffer: bytearray) -> bool:
        """Take what belongs to this body from the front of `buffer`; True when the body is whole."""
        taken = buffer[: self._left_bytes]
        del buffer[: len(taken)]
        self.data += taken
        self._left_bytes -= len(taken)
        return not self._left_bytes


class ChunkedBody:
    """Collects the data of a chunked body from a connection's buffer."""

    __slots__ = ("_chunks_left", "_end_seen", "_left_bytes", "_max_body_bytes", "_need_crlf", "data")

    def __init__(self, max_body_bytes: int, max_chunks: int) -> None:
        self.data = bytearray()
        self._max_body_bytes = max_body_bytes
        self._chunks_left = max_chunks
        self._left_bytes = 0
        self._need_crlf = False
        self._end_seen = False

    def feed(self, buffer: bytearray) -> bool:
        """Take what belongs to this body from the front of `buffer`; True when the body is whole.

        Raises BadFraming or TooLarge; the connection cannot be used after either.
        """
        at = 0
        try:
            while True:
                if self._left_bytes:
                    taken = buffer[at : at + self._left_bytes]
                    self.data += taken
                    at += len(taken)
                    self._left_bytes -= len(taken)
                    if self._left_bytes:
                        return False
                    self._need_crlf = True
                if self._need_crlf:
                    if not _at_crlf(buffer, at):
                        return False
                    at += 2
                    self._need_crlf = False
                    if self._end_seen:
                        return True
                end = self._size_line(buffer, at)
                if end < 0:
                    return False
                at = end
        finally:
            del buffer[:at]

    def _size_line(self, buffer: bytearray, at: int) -> int:
        """Read a size line at `at`; returns where it ends, or -1 if it is not whole yet."""
        line_end = buffer.find(b"\r\n", at, at + _SIZE_LINE_BYTES)
        line = buffer[at:line_end] if line_end >= 0 else buffer[at : at + _SIZE_LINE_BYTES].rstrip(b"\r")
        if (line_end >= 0 or line) and _SIZE.fullmatch(line) is None:
            raise BadFraming("A chunk's size is not 1 to 8 hexadecimal digits (extensions are not accepted).")
        if line_end < 0:
            return -1
        size_bytes = int(line, 16)
        self._chunks_left -= 1
        if self._chunks_left < 0:
            raise BadFraming("The body has too many chunks; send larger ones.")
        if len(self.data) + size_bytes > self._max_body_bytes:
            raise too_large(self._max_body_bytes)
        self._left_bytes = size_bytes
        if not size_bytes:
            self._end_seen = self._need_crlf = True
        return line_end + 2


def body_of(size_bytes: int, max_body_bytes: int, limits: ListenerLimits, *, chunked: bool) -> LengthBody | ChunkedBody:
    """What collects the body that a head announces: `size_bytes` long (and allowed), or chunked."""
    return ChunkedBody(max_body_bytes, limits.max_chunks) if chunked else LengthBody(size_bytes)


def _at_crlf(buffer: bytearray, at: int) -> bool:
    """True if CRLF stands at `at`, False if it may still come."""
    found = bytes(buffer[at : at + 2])
    if found == b"\r\n":
        return True
    if found in (b"", b"\r"):
        return False
    raise BadFraming("A chunk does not end where its size says, or trailers were sent (they are not accepted).")
