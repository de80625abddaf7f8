"""One client's connection to the inference port: requests in, answers out, strictly in order.

Place: made by `InferenceServer` for each socket. It holds bytes and timers; grammar is in `heads` and `bodies`, meaning
in `routes`, sending in `outlet`. A request is answered before the next one of the same connection is looked at, so
pipelined answers cannot be mixed; what a client sends ahead waits in a bounded buffer, then in the kernel.
Rules: a client that leaves takes its request back, one that half-closes has left (as with nginx and uvicorn); after an
answer to a request whose end is in doubt the connection is closed; nothing waits without a limit (`patience`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

from proxy.core.errors import ExecutionFailed, ProxyError, Reason
from proxy.core.requests import Answer
from proxy.endpoint import heads
from proxy.endpoint.bodies import ChunkedBody, LengthBody, body_of
from proxy.endpoint.exchange import Exchange, Phase
from proxy.endpoint.heads import WireHead
from proxy.endpoint.large_body import LARGE_BYTES, LargeBody
from proxy.endpoint.outlet import Outlet
from proxy.endpoint.patience import FOREVER, SLOW, Patience, Verdict
from proxy.endpoint.refusals import RequestTimeout, too_large
from proxy.endpoint.routes import PendingBody

if TYPE_CHECKING:
    from proxy.endpoint.listener import InferenceServer

log = logging.getLogger(__name__)
NO_BODY = LengthBody(0)
# Plain names: an attribute look-up on the enum class costs as much as the comparison itself on the data path.
HEAD, BODY, RUNNING, DISCARD, LINGER, CLOSED = Phase


class Connection(asyncio.Protocol):
    """The state of one socket."""

    def __init__(self, server: InferenceServer) -> None:
        self.exchange: Exchange | None = None
        self._server = server
        self._outlet: Outlet | None = None
        self._buffer = bytearray()
        self._phase = HEAD
        self._body: LengthBody | ChunkedBody | LargeBody = NO_BODY
        self._scanned = 0  # bytes of an incomplete head that were looked at
        self._patience = Patience(FOREVER)
        self._pumping = False
        self._last: WireHead | None = None  # of the last request that came whole

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came; there may be no place for it."""
        self._outlet = Outlet(cast("asyncio.Transport", transport))
        self._patience.deadline_s = self._server.now_s + self._server.limits.head_timeout_s
        if not self._server.admit(self):
            self._outlet.write(None, self._server.refuse_connection(), self._server.date, keep=False)
            self._linger()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        phase = self._phase
        if phase is HEAD and not self._buffer and self._take_whole(data):
            return
        if phase is not LINGER and phase is not CLOSED:
            self._patience.received_bytes += len(data)
            body = self._body  # past the buffer, where the whole piece belongs to it: a large body is copied once
            past = phase is BODY and not self._buffer and isinstance(body, LengthBody) and body.take(data)
            if not past:
                self._buffer += data
            self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone: the request is taken back, nothing is written any more."""
        self._server.forget(self)
        self._phase = CLOSED
        self._outlet = None
        self._buffer, self._body = bytearray(), NO_BODY
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.take_back()

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        if self._outlet is not None:
            self._outlet.block(self._server.now_s)

    def resume_writing(self) -> None:
        """The client has read enough for the next answer."""
        if self._outlet is not None:
            self._outlet.unblock()
            self._pump()

    def sweep(self, now_s: float) -> None:
        """Close what has waited too long."""
        outlet, limits = self._outlet, self._server.limits
        if outlet is None:
            return
        if outlet.is_blocked:
            if outlet.is_overdue(now_s, limits):
                outlet.transport.abort()
            return
        begun, sent = bool(self._buffer), outlet.is_idle()
        verdict = self._patience.verdict(self._phase, now_s, limits, head_begun=begun, all_sent=sent)
        if verdict in SLOW:
            self._refuse(RequestTimeout(SLOW[verdict]))
        elif verdict is Verdict.IDLE:
            self._close()
        elif verdict is Verdict.STUCK:
            outlet.transport.abort()

    def begin_drain(self) -> None:
        """Let an idle client send what it may be about to: that is answered and closes, else the grace ends."""
        if self._phase is HEAD and not self._buffer:
            self._patience.deadline_s = self._server.now_s + self._server.limits.drain_grace_s

    def abort(self) -> None:
        """End the connection without further ado."""
        if self._outlet is not None:
            self._outlet.transport.abort()

    def _take_whole(self, data: bytes) -> bool:
        """Begin the one request that `data` is, to its last byte, its head accepted before with the very same bytes.

        False: nothing was taken; the general way finds out what it is. Same bytes, same framing, as both readers of the
        head decided when they first came.
        """
        outlet, server, wire = self._outlet, self._server, self._last
        if wire is None or not wire.is_of(data):
            wire = heads.known_whole(data, server.known_head, server.limits)
            if wire is None:
                return False
            self._last = wire
        if outlet is None or outlet.is_blocked:
            return False
        opened = self._admitted(wire)
        if not isinstance(opened, PendingBody):
            self._buffer += data[len(wire.raw) :]
            self._answer_early(wire, opened)
            self._pump()
            return True
        self._patience.deadline_s = FOREVER
        self._phase = RUNNING
        self.exchange = Exchange(self, wire, opened)
        try:
            self.exchange.begin(data[len(wire.raw) :])
        except Exception as error:
            self._refuse(error)
        return True

    def _pump(self) -> None:
        """Take from the buffer all that can be taken now."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._outlet is not None and not self._outlet.is_blocked and self._step():
                pass
        except Exception as error:
            self._refuse(error)
        finally:
            self._pumping = False
        if self._outlet is not None:  # stop reading while a client has sent far ahead of what is being answered
            waiting = self._phase is RUNNING or self._outlet.is_blocked
            self._outlet.hold(is_too_much=waiting and len(self._buffer) > self._server.limits.max_pipelined_bytes)

    def _step(self) -> bool:
        """One step of the phase; False where more bytes or an answer must come first."""
        phase = self._phase
        if phase is HEAD:
            return bool(self._buffer) and self._take_head()
        if phase is BODY and self._body.feed(self._buffer):
            body, self._body, self._phase = self._body.data, NO_BODY, RUNNING
            if self.exchange is not None:
                self.exchange.begin(body)
            return True
        if phase is DISCARD and self._body.feed(self._buffer):
            self._next_request()
            return True
        return False

    def _take_head(self) -> bool:
        buffer, server = self._buffer, self._server
        end = buffer.find(heads.HEAD_END, max(0, self._scanned - 3), server.limits.max_head_bytes)
        if end < 0:
            if not self._scanned:
                self._patience.deadline_s = server.now_s + server.limits.head_timeout_s
            heads.check_partial(buffer, self._scanned, server.limits)
            self._scanned = len(buffer)
            return False
        end += len(heads.HEAD_END)
        wire = server.read_head(bytes(buffer[:end]))
        del buffer[:end]
        self._scanned = 0
        self._patience.deadline_s = FOREVER
        opened = self._admitted(wire)
        if isinstance(opened, PendingBody):
            self._await_body(wire, opened)
        else:
            self._answer_early(wire, opened)
        return True

    def _admitted(self, wire: WireHead) -> Answer | PendingBody:
        """What the head leads to, a body that is declared too long included."""
        opened = self._server.routes.open(wire.head)
        self._patience.since_s = self._server.now_s
        self._patience.received_bytes = len(self._buffer)
        if isinstance(opened, PendingBody) and wire.content_length > opened.max_body_bytes:
            return opened.refuse(too_large(opened.max_body_bytes))
        return opened

    def _await_body(self, wire: WireHead, opened: PendingBody) -> None:
        self.exchange = Exchange(self, wire, opened)
        self._phase = BODY
        self._body = body_of(wire.content_length, opened.max_body_bytes, self._server.limits, chunked=wire.chunked)
        if self._outlet is None:
            return
        if wire.expects_continue and not self._buffer:
            self._outlet.invite_body()
        if wire.content_length - len(self._buffer) >= LARGE_BYTES:
            self._body = LargeBody(self, self._outlet.transport, wire.content_length, self._buffer)

    def body_grew(self, size_bytes: int, *, is_whole: bool) -> None:
        """That much of a large body came."""
        self._patience.received_bytes += size_bytes
        if is_whole:
            self._pump()

    def answered(self, answer: Answer) -> None:
        """The running request's answer is here."""
        exchange, self.exchange = self.exchange, None
        if exchange is None or self._outlet is None:
            return
        exchange.cancel = None
        keep = exchange.wire.keep_alive and not self._server.draining
        self._outlet.write(exchange.wire, answer, self._server.date, keep=keep)
        if keep:
            self._next_request()
            if self._buffer or self._outlet.is_holding:
                self._pump()
        else:
            self._close()

    def _answer_early(self, wire: WireHead, answer: Answer) -> None:
        """Answer a request whose body is not wanted (refused, or a route that reads none)."""
        if self._outlet is None:
            return
        sure = not wire.chunked and not wire.expects_continue  # of where the next request begins
        short = wire.content_length <= self._server.limits.max_discard_bytes
        keep = sure and short and wire.keep_alive and not self._server.draining
        self._outlet.write(wire, answer, self._server.date, keep=keep)
        if keep:
            self._body = LengthBody(wire.content_length)
            self._phase = DISCARD
        elif wire.chunked or wire.content_length:
            self._linger()
        else:
            self._close()

    def _next_request(self) -> None:
        self._phase = HEAD
        self._patience.deadline_s = self._server.now_s + self._server.limits.idle_timeout_s
        if self._server.draining:
            self._close()

    def _refuse(self, error: Exception) -> None:
        """Answer what is not a request, or cannot be read to its end, or made the server fail, and close."""
        if not isinstance(error, ProxyError):
            log.error("a connection failed", exc_info=error)
            error = ExecutionFailed(Reason.INTERNAL, "The server failed; its log says why.")
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.take_back()
        wire = None if exchange is None else exchange.wire
        if self._outlet is not None and self._phase is not DISCARD:  # there the answer was sent already
            answer = self._server.refuse(error) if exchange is None else exchange.pending.refuse(error)
            self._outlet.write(wire, answer, self._server.date, keep=False)
        self._linger()

    def _close(self) -> None:
        """Close after the answer was sent; bytes that came behind the request are not answered."""
        if self._buffer:
            self._linger()
        elif self._outlet is not None:
            self._phase = CLOSED
            self._patience.deadline_s = self._server.now_s + self._server.limits.write_timeout_s
            self._outlet.transport.close()

    def _linger(self) -> None:
        """Send no more, drop what comes for a while: closing at once could destroy the answer on its way."""
        self._phase = LINGER
        self._buffer = bytearray()
        if isinstance(self._body, LargeBody):
            self._body.give_back()
        self._patience.deadline_s = self._server.now_s + self._server.limits.linger_timeout_s
        if self._outlet is not None:
            self._outlet.hold(is_too_much=False)
            self._outlet.end()
