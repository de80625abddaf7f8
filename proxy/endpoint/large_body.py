"""A long body whose length is known: received by the kernel's own copy into its place, and nowhere else before.

Place: takes the socket over from its connection for the length of one body, then gives it back. What is in no hurry
(small bodies, chunked ones) goes through the connection's buffer.
Rules: the place is reserved but takes memory only as bytes come, so that a client which declares much and sends little
holds little; it goes back to the kernel with the last reference to the body, so that memory follows what is in flight.
"""

from __future__ import annotations

import asyncio
import mmap
from typing import TYPE_CHECKING

from proxy.core.units import BYTES_PER_MIB

if TYPE_CHECKING:
    from proxy.endpoint.connection import Connection

# Bytes still to come from which a body is received so. Smaller: more bodies pay for fresh pages (one of 1 MiB took
# 1.5 ms of processor time, 0.9 ms through the connection buffer); larger: more memory is moved about.
LARGE_BYTES = 8 * BYTES_PER_MIB


class LargeBody(asyncio.BufferedProtocol):
    """Collects a body of `size_bytes`, which begins with what is in `buffer` (taken out of it)."""

    def __init__(
        self, connection: Connection, transport: asyncio.Transport, size_bytes: int, buffer: bytearray
    ) -> None:
        place = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.data = memoryview(place)
        self._connection = connection
        self._transport = transport
        self._at = len(buffer)
        self._has_socket = True
        self.data[: self._at] = buffer
        buffer.clear()
        self._hand_to(self)

    def feed(self, _: bytearray) -> bool:
        """True when the body is whole; nothing of it comes through the connection's buffer."""
        return self._at == len(self.data)

    def give_back(self) -> None:
        """Let the connection have its socket again."""
        if self._has_socket:
            self._has_socket = False
            self._hand_to(self._connection)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: never beyond the body, so the next request is not touched."""
        return self.data[self._at :]

    def buffer_updated(self, nbytes: int) -> None:
        """That many bytes came."""
        self._at += nbytes
        is_whole = self._at == len(self.data)
        if is_whole:
            self.give_back()
        self._connection.body_grew(nbytes, is_whole=is_whole)

    def eof_received(self) -> bool | None:
        """The client has left; the transport closes itself."""
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The client has read."""
        self._connection.resume_writing()

    def _hand_to(self, protocol: asyncio.BaseProtocol) -> None:
        if self._transport.is_closing():
            return
        self._transport.pause_reading()  # transports look at the kind of protocol when reading begins
        self._transport.set_protocol(protocol)
        self._transport.resume_reading()
