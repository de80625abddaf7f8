"""The sending half of a connection: answers to the transport in one write each, and the slow reader's clock.

Rules: while the transport holds more than its high-water mark, no further request of this connection is begun; a reader
slower than the minimum rate is cut off, so that an answer of any size is held for a bounded time.
"""

from __future__ import annotations

import asyncio

from proxy.core.requests import Answer
from proxy.endpoint import answers
from proxy.endpoint.heads import WireHead
from proxy.endpoint.limits import ListenerLimits


class Outlet:
    """Writes to one transport."""

    __slots__ = ("_blocked_bytes", "_blocked_since_s", "is_blocked", "is_holding", "transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.is_blocked = False
        self.is_holding = False
        self._blocked_since_s = 0.0
        self._blocked_bytes = 0

    def write(self, wire: WireHead | None, answer: Answer, date: bytes, *, keep: bool) -> None:
        """Send the answer to `wire` (None: to something that was not a request). `keep`: the connection goes on."""
        if keep and wire is not None and wire.plain_reply and len(answer.body) <= answers.JOINED_BYTES:
            self.transport.write(answers.encode_whole(answer, date))
            return
        connection = b"" if keep else b"connection: close\r\n"
        if keep and wire is not None and wire.minor_version == 0:
            connection = b"connection: keep-alive\r\n"
        with_body = wire is None or wire.with_body
        if wire is not None and wire.echo:
            answer, connection = answers.without_id(answer), connection + wire.echo
        for piece in answers.encode(answer, connection, date, with_body=with_body):
            self.transport.write(piece)

    def invite_body(self) -> None:
        """Tell a client that waits for it to send its body."""
        self.transport.write(answers.CONTINUE)

    def hold(self, *, is_too_much: bool) -> None:
        """Stop reading from a client that has sent too far ahead; go on when it has not any more."""
        if self.transport.is_closing():
            return
        if is_too_much and not self.is_holding:
            self.transport.pause_reading()
        elif self.is_holding and not is_too_much:
            self.transport.resume_reading()
        self.is_holding = is_too_much

    def end(self) -> None:
        """Say that nothing more will be sent."""
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()

    def block(self, now_s: float) -> None:
        """The transport holds more than it wants to."""
        self.is_blocked = True
        self._blocked_since_s = now_s
        self._blocked_bytes = self.transport.get_write_buffer_size()

    def unblock(self) -> None:
        """The transport has room again."""
        self.is_blocked = False

    def is_overdue(self, now_s: float, limits: ListenerLimits) -> bool:
        """True if the client reads more slowly than the minimum rate."""
        drained_bytes = max(0, self._blocked_bytes - self.transport.get_write_buffer_size())
        allowed_s = limits.write_timeout_s + drained_bytes / limits.min_rate_bytes_per_s
        return self.is_blocked and now_s - self._blocked_since_s > allowed_s

    def is_idle(self) -> bool:
        """True if everything was handed to the kernel."""
        return not self.transport.get_write_buffer_size()
