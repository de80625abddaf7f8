"""One client's connection to the inference port: requests in, answers out, strictly in order.

Place: made by `InferenceServer` for each socket. It holds bytes and timers; grammar is in `heads` and `bodies`, meaning
in `routes`, sending in `outlet`. A request is answered before the next one of the same connection is looked at, so
pipelined answers cannot be mixed; what a client sends ahead waits in a bounded buffer, then in the kernel.
Rules: a client that leaves takes its request back; after an answer to a request whose end is in doubt the connection is
closed; nothing waits without a limit (head, body, write, idle and linger time).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

from proxy.core.errors import ExecutionFailed, ProxyError, Reason
from proxy.core.requests import Answer
from proxy.endpoint import heads
from proxy.endpoint.bodies import ChunkedBody, LengthBody
from proxy.endpoint.exchange import Exchange, Phase
from proxy.endpoint.heads import WireHead
from proxy.endpoint.outlet import Outlet
from proxy.endpoint.refusals import RequestTimeout, too_large
from proxy.endpoint.routes import PendingBody

if TYPE_CHECKING:
    from proxy.endpoint.listener import InferenceServer

log = logging.getLogger(__name__)
FOREVER = float("inf")
NO_BODY = LengthBody(0)
TIMED_PHASES = frozenset((Phase.BODY, Phase.DISCARD))


class Connection(asyncio.Protocol):
    """The state of one socket."""

    def __init__(self, server: InferenceServer) -> None:
        self.exchange: Exchange | None = None
        self._server = server
        self._outlet: Outlet | None = None
        self._buffer = bytearray()
        self._phase = Phase.HEAD
        self._body: LengthBody | ChunkedBody = NO_BODY
        self._received_bytes = 0  # since the head, for the minimum rate
        self._since_s = 0.0  # the head's arrival
        self._scanned = 0  # bytes of an incomplete head that were looked at
        self._deadline_s = FOREVER
        self._pumping = False
        self._reading_paused = False

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came; there may be no place for it."""
        self._outlet = Outlet(cast("asyncio.Transport", transport))
        self._deadline_s = self._server.now_s + self._server.limits.head_timeout_s
        if not self._server.admit(self):
            self._outlet.write(None, self._server.refuse_connection(), self._server.date, keep=False)
            self._linger()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._phase not in (Phase.LINGER, Phase.CLOSED):
            self._received_bytes += len(data)
            body = self._body  # past the buffer, where the whole piece belongs to it: a large body is copied once
            past = self._phase is Phase.BODY and not self._buffer and isinstance(body, LengthBody) and body.take(data)
            if not past:
                self._buffer += data
            self._pump()

    def eof_received(self) -> bool | None:
        """The client sends no more. As with nginx and uvicorn this counts as leaving; the transport closes itself."""
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone: the request is taken back, nothing is written any more."""
        self._server.forget(self)
        self._phase = Phase.CLOSED
        self._outlet = None
        self._buffer = bytearray()
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

    # What the server calls.

    def sweep(self, now_s: float) -> None:
        """Close what has waited too long."""
        outlet, limits = self._outlet, self._server.limits
        if outlet is None:
            return
        if outlet.is_blocked:
            if outlet.is_overdue(now_s, limits):
                outlet.transport.abort()
        elif self._phase in TIMED_PHASES:
            if now_s - self._since_s > limits.body_timeout_s + self._received_bytes / limits.min_rate_bytes_per_s:
                self._refuse(RequestTimeout("The body came too slowly."))
        elif now_s > self._deadline_s:
            if self._phase is Phase.HEAD and self._buffer:
                self._refuse(RequestTimeout("The head came too slowly."))
            elif self._phase is Phase.HEAD and outlet.is_idle():
                self._close()
            else:
                outlet.transport.abort()

    def begin_drain(self) -> None:
        """Let an idle client send what it may be about to: that is answered and closes, else the grace ends."""
        if self._phase is Phase.HEAD and not self._buffer:
            self._deadline_s = self._server.now_s + self._server.limits.drain_grace_s

    def abort(self) -> None:
        """End the connection without further ado."""
        if self._outlet is not None:
            self._outlet.transport.abort()

    # Requests in.

    def _pump(self) -> None:
        """Take from the buffer all that can be taken now."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._outlet is not None and not self._outlet.is_blocked and self._step():
                pass
        except ProxyError as error:
            self._refuse(error)
        except Exception:
            log.exception("a connection failed")
            self._refuse(ExecutionFailed(Reason.INTERNAL, "The server failed; its log says why."))
        finally:
            self._pumping = False
        self._control_reading()

    def _step(self) -> bool:
        """One step of the phase; False where more bytes or an answer must come first."""
        match self._phase:
            case Phase.HEAD:
                return bool(self._buffer) and self._take_head()
            case Phase.BODY if self._body.feed(self._buffer):
                self._run()
                return True
            case Phase.DISCARD if self._body.feed(self._buffer):
                self._next_request()
                return True
        return False

    def _take_head(self) -> bool:
        buffer, server = self._buffer, self._server
        end = buffer.find(heads.HEAD_END, max(0, self._scanned - 3), server.limits.max_head_bytes)
        if end < 0:
            if not self._scanned:
                self._deadline_s = server.now_s + server.limits.head_timeout_s
            heads.check_partial(buffer, self._scanned, server.limits)
            self._scanned = len(buffer)
            return False
        end += len(heads.HEAD_END)
        wire = server.read_head(bytes(buffer[:end]))
        del buffer[:end]
        self._scanned = 0
        self._deadline_s = FOREVER
        self._open(wire)
        return True

    def _open(self, wire: WireHead) -> None:
        opened = self._server.routes.open(wire.head)
        self._since_s = self._server.now_s
        self._received_bytes = len(self._buffer)
        if isinstance(opened, PendingBody) and wire.content_length > opened.max_body_bytes:
            opened = opened.refuse(too_large(opened.max_body_bytes))
        if not isinstance(opened, PendingBody):
            self._answer_early(wire, opened)
            return
        self.exchange = Exchange(self, wire, opened)
        self._phase = Phase.BODY
        self._body = LengthBody(wire.content_length)
        if wire.chunked:
            self._body = ChunkedBody(opened.max_body_bytes, self._server.limits.max_chunks)
        if wire.expects_continue and not self._buffer and self._outlet is not None:
            self._outlet.invite_body()

    def _run(self) -> None:
        body, self._body = self._body.data, NO_BODY
        self._phase = Phase.RUNNING
        exchange = self.exchange
        if exchange is not None:
            cancel = exchange.pending.complete(body, exchange.respond)
            if self.exchange is exchange:
                exchange.cancel = cancel

    def _control_reading(self) -> None:
        """Stop reading while a client has sent far ahead of what is being answered."""
        outlet = self._outlet
        if outlet is None or outlet.transport.is_closing():
            return
        waiting = self._phase is Phase.RUNNING or outlet.is_blocked
        too_much = waiting and len(self._buffer) > self._server.limits.max_pipelined_bytes
        if too_much and not self._reading_paused:
            outlet.transport.pause_reading()
        elif self._reading_paused and not too_much:
            outlet.transport.resume_reading()
        self._reading_paused = too_much

    # Answers out.

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
            self._phase = Phase.DISCARD
        elif wire.chunked or wire.content_length:
            self._linger()
        else:
            self._close()

    def _next_request(self) -> None:
        self._phase = Phase.HEAD
        self._deadline_s = self._server.now_s + self._server.limits.idle_timeout_s
        if self._server.draining:
            self._close()

    def _refuse(self, error: ProxyError) -> None:
        """Answer what is not a request, or cannot be read to its end, and close."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.take_back()
        wire = None if exchange is None else exchange.wire
        if self._outlet is not None and self._phase is not Phase.DISCARD:  # there the answer was sent already
            answer = self._server.refuse(error) if exchange is None else exchange.pending.refuse(error)
            self._outlet.write(wire, answer, self._server.date, keep=False)
        self._linger()

    def _close(self) -> None:
        """Close after the answer was sent; bytes that came behind the request are not answered."""
        if self._buffer:
            self._linger()
        elif self._outlet is not None:
            self._phase = Phase.CLOSED
            self._deadline_s = self._server.now_s + self._server.limits.write_timeout_s
            self._outlet.transport.close()

    def _linger(self) -> None:
        """Send no more, drop what comes for a while: closing at once could destroy the answer on its way."""
        self._phase = Phase.LINGER
        self._buffer = bytearray()
        self._deadline_s = self._server.now_s + self._server.limits.linger_timeout_s
        if self._outlet is not None:
            self._control_reading()
            self._outlet.end()
