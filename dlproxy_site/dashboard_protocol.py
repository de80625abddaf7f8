"""HTTP on the dashboard's port: uvicorn's own protocol with the bounds of size and time that it lacks.

Place: `dlproxy_site.web` gives the class to uvicorn; the inference port has a protocol of its own with like bounds.
Rules: no anonymous client makes this process hold more than a head's worth of bytes, nor a connection for longer than
it takes to say what it wants (R23, R24), to send a body at a modest rate, or to read its answer (R25). A request that
two readers could take for different hosts is refused before anybody routes it (A7).
Why not a reverse proxy's work: the dashboard shares file descriptors and memory with the inference port, and both are
reachable without one.
"""

from __future__ import annotations

import resource
from asyncio import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 32_768
"""Request line and headers. Larger: room for bigger cookies, and more that an anonymous client can make us hold."""
MAX_HEADERS = 100
HEAD_TIMEOUT_S = 10.0
BODY_WINDOW_S = 10.0
"""How often a body's progress is looked at."""
MIN_BODY_BYTES_PER_WINDOW = 10_240
WRITE_STALL_S = 20.0
"""How long a client may take nothing of its answer."""
LINGER_S = 2.0
"""How long a refused client's further bytes are dropped, so that it gets the refusal instead of a reset."""
MAX_CONNECTIONS = 2_000
"""Twice the live sockets that there may be (models_admin.live.limits)."""
CONNECTION_SHARE = 4
"""The dashboard takes at most one in so many of the process's file descriptors."""

_PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


def connection_limit(open_files_limit: int) -> int:
    """How many connections the dashboard may hold, so that the inference port keeps its file descriptors."""
    return max(1, min(MAX_CONNECTIONS, open_files_limit // CONNECTION_SHARE))


def host_fault(target: bytes, headers: list[tuple[bytes, bytes]], http_version: str) -> str | None:
    """Why it is unclear which host is meant, or None. Pure."""
    if not target.startswith(b"/"):
        return "Send the path alone as the request's target."
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and http_version != "1.0"):
        return "Send exactly one Host header."
    return None


class DashboardProtocol(HttpToolsProtocol):
    """One connection. `_head_bytes` is None while no head is awaited or being read."""

    def connection_made(self, transport: Any) -> None:
        """A client came; there may be no place for it."""
        super().connection_made(transport)
        self._head_bytes: int | None = 0
        self._window_bytes = 0
        self._was_paused = False
        self._timer: TimerHandle | None = None
        self._write_timer: TimerHandle | None = None
        self._unsent_bytes = 0
        self._upgraded = False
        self._refused = False
        if len(self.connections) > connection_limit(resource.getrlimit(resource.RLIMIT_NOFILE)[0]):
            self._refuse(503, "Too many connections; come back later.", "retry-after: 5\r\n")
            return
        self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._head_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._set_timer(None)
        self._stop_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._is_over():
            return
        self._window_bytes += len(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._upgraded or self._is_over():
            return
        if self._head_bytes is not None and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, "The request's head is too large.")
        elif self._timer is None and self.timeout_keep_alive_task is None and not self._is_busy():
            # Bytes that begin no request have ended uvicorn's own wait for one.
            self._set_timer(self.loop.call_later(HEAD_TIMEOUT_S, self._head_late))

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        if self._head_bytes is None:
            self._head_bytes = 0
            self._set_timer(self.loop.call_later(HEAD_TIMEOUT_S, self._head_late))

    def on_headers_complete(self) -> None:
        """The head is whole: bounded and unambiguous, or refused."""
        self._head_bytes = None
        self._set_timer(None)
        if self._is_over():
            return
        size_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size_bytes > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._refuse(431, "The request's head is too large.")
            return
        fault = host_fault(self.url, self.headers, self.parser.get_http_version())
        if fault is not None:
            self._refuse(400, fault)
            return
        super().on_headers_complete()
        self._watch_body()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if not self._is_over():
            super().on_body(body)
            self._was_paused |= self.flow.read_paused

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._set_timer(None)
        if not self._is_over():
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Another protocol takes the connection."""
        self._set_timer(None)
        self._upgraded = True
        if not self._is_over():
            super().handle_websocket_upgrade()

    # What the transport calls.

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        super().pause_writing()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._stop_write_timer()
        self._write_timer = self.loop.call_later(WRITE_STALL_S, self._look_at_reader)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._stop_write_timer()
        super().resume_writing()

    # Timers.

    def _set_timer(self, timer: TimerHandle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _is_over(self) -> bool:
        return self._refused or self.transport.is_closing()

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _head_late(self) -> None:
        if self._is_busy():
            # The head of a pipelined request, which waits for the answer before it anyway.
            self._set_timer(self.loop.call_later(HEAD_TIMEOUT_S, self._head_late))
        elif self._head_bytes:
            self._refuse(408, "The request came too slowly.")
        else:
            self.transport.close()

    def _watch_body(self) -> None:
        self._window_bytes = 0
        self._was_paused = self.flow.read_paused
        self._set_timer(self.loop.call_later(BODY_WINDOW_S, self._look_at_body))

    def _look_at_body(self) -> None:
        """A body that waits for us is not late; one that trickles is."""
        if self._window_bytes >= MIN_BODY_BYTES_PER_WINDOW or self._was_paused or self.flow.read_paused:
            self._watch_body()
        else:
            self._refuse(408, "The body came too slowly.")

    def _look_at_reader(self) -> None:
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes >= self._unsent_bytes:
            self.transport.abort()
            return
        self._unsent_bytes = unsent_bytes
        self._write_timer = self.loop.call_later(WRITE_STALL_S, self._look_at_reader)

    def _refuse(self, status: int, words: str, extra: str = "") -> None:
        """Answer where no other answer has begun, and close; nothing of this connection is looked at any more."""
        self._set_timer(None)
        self._head_bytes = None
        if self._is_busy():
            if self.cycle.response_started:
                self.transport.close()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = words.encode()
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: text/plain; charset=utf-8\r\n{extra}"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._refused = True
        self.transport.write(head.encode() + body)
        self.transport.write_eof()
        self._set_timer(self.loop.call_later(LINGER_S, self.transport.close))
