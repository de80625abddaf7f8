"""The last words of an instance: what it printed, bounded, for the page and for messages after a crash."""

from __future__ import annotations

LIMIT_BYTES = 65_536


class LogTail:
    """Keeps the newest `LIMIT_BYTES` of a stream. Amortised constant time an appended byte."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = bytearray()

    def append(self, data: bytes) -> None:
        """Add `data`, forgetting the oldest bytes above the limit."""
        self._kept += data
        if len(self._kept) > 2 * LIMIT_BYTES:
            del self._kept[:-LIMIT_BYTES]

    def tail(self, lines: int = 50) -> str:
        """Return the last `lines` lines, printable: control characters would be a way to paint over a terminal."""
        text = bytes(self._kept[-LIMIT_BYTES:]).decode("utf-8", "replace")
        kept = "\n".join(text.splitlines()[-lines:])
        return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in kept)
