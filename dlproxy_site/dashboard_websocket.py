"""Websockets on the dashboard's port: uvicorn's own protocol with a bound on how much a client may send.

Rules: pages send a short message now and then and answer pings; whatever sends more costs a connection, not memory or
time, be it frames without end, empty fragments or pings whose answers nobody reads (W4).
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

BURST_BYTES = 65_536
BYTES_PER_S = 4_096
"""Larger: a client may keep this process busier with frames that mean nothing."""
_CLOSE_1008 = b"\x88\x02\x03\xf0"


class DashboardWebSocket(WebSocketsSansIOProtocol):
    """One websocket with a token bucket of bytes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tokens = float(BURST_BYTES)
        self._at_s = self.loop.time()

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
