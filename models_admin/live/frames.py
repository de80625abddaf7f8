"""A message of the live socket as text and as the one websocket frame that carries it (RFC 6455, 5.2). Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass

_FINAL_TEXT = 0x81
_LARGEST_BYTE, _LARGEST_SHORT = 125, 0xFFFF


@dataclass(frozen=True, slots=True)
class Message:
    """The same for every socket that gets it: `frame` as a server sends it, neither masked nor compressed."""

    text: bytes
    frame: bytes


def message(text: bytes) -> Message:
    """The message with this text (JSON in UTF-8)."""
    return Message(text, _head(len(text)) + text)


def _head(size_bytes: int) -> bytes:
    """First bytes of a whole text frame whose payload is this long."""
    if size_bytes <= _LARGEST_BYTE:
        return struct.pack("!BB", _FINAL_TEXT, size_bytes)
    if size_bytes <= _LARGEST_SHORT:
        return struct.pack("!BBH", _FINAL_TEXT, 126, size_bytes)
    return struct.pack("!BBQ", _FINAL_TEXT, 127, size_bytes)
