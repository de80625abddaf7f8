"""Websockets on the dashboard's port: uvicorn's own protocol, bounded, and open to frames that are made elsewhere.

Rules: pages send a short message now and then and answer pings; whatever sends more costs a connection, not memory or
time, be it frames without end, empty fragments or pings whose answers nobody reads (W4). The handshake, pings and the
closing stay uvicorn's; `models_admin.live` finds the protocol in the scope's extensions and writes whole frames to it,
since one frame serves every socket and a message's way through ASGI costs several times what writing it does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

BURST_BYTES = 65_536
BYTES_PER_S = 4_096
"""Larger: a client may keep this process busier with frames that mean nothing."""
EXTENSION = "dlproxy.frames"
"""Where an application finds the protocol of its websocket (`models_admin.live.pipes` reads it)."""
_CLOSE_1008 = b"\x88\x02\x03\xf0"


class DashboardWebSocket(WebSocketsSansIOProtocol):
    """One websocket with a token bucket of bytes, and a `pipe` (models_admin.live.pipes) for whole frames."""

    on_caught_up: Callable[[], None] | None = None
    """Called when a reader that was behind is so no longer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tokens = float(BURST_BYTES)
        self._at_s = self.loop.time()

    def handle_connect(self, event: Any) -> None:
        """A handshake; the application's task, which reads the scope, begins after this."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["extensions"][EXTENSION] = self  # type: ignore[typeddict-item]

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        now_s = self.loop.time()
        self._tokens = min(BURST_BYTES, self._tokens + (now_s - self._at_s) * BYTES_PER_S) - len(data)
        self._at_s = now_s
        if self._tokens >= 0:
            super().data_received(data)
        elif not self.transport.is_closing():
            if self.handshake_complete and not self.close_sent:
                self.transport.write(_CLOSE_1008)
            self.transport.close()

    # What the live sockets call.

    @property
    def is_behind(self) -> bool:
        """Whether the peer has yet to read what was written (more than the transport's high-water mark, 64 KiB)."""
        return not self.writable.is_set()

    def write_frame(self, frame: bytes) -> None:
        """Send one whole, unmasked frame; nothing where the socket is closing, since none may follow a close frame."""
        if self.handshake_complete and not self.close_sent and not self.transport.is_closing():
            self.transport.write(frame)

    def abort(self) -> None:
        """End the connection at once: its peer takes nothing, not even a close frame."""
        self.transport.abort()

    def resume_writing(self) -> None:
        """The peer has read what was written."""
        super().resume_writing()
        if self.on_caught_up is not None:
            self.on_caught_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; nothing is written any more."""
        self.on_caught_up = None
        if self.handshake_complete:  # no cycle is left for the collector
            self.scope["extensions"].pop(EXTENSION, None)
        super().connection_lost(exc)
