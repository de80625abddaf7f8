"""The inference port: nothing but `/v2`, health and metrics, on an own protocol with strict limits.

Place: started by the runtime on its event loop; `asgi.InferenceApp` answers the same routes on the dashboard's port.
Rules: one timer for all connections (a timer for each would cost more than the request); every connection is closed or
aborted when `drain` returns.
Why not an ASGI server: it costs 3.5 to 4 times the requests per second for small bodies (DESIGN.md, the hot path).
"""

from __future__ import annotations

import asyncio
import logging
import resource
from email.utils import formatdate

from proxy.core.clock import Clock
from proxy.core.errors import ProxyError, Reason
from proxy.core.requests import Answer
from proxy.core.units import NS_PER_S
from proxy.endpoint import heads
from proxy.endpoint.connection import Connection
from proxy.endpoint.extensions import Extensions
from proxy.endpoint.heads import WireHead
from proxy.endpoint.limits import DEFAULT_LISTENER_LIMITS, ListenerLimits
from proxy.endpoint.refusals import TooManyConnections
from proxy.endpoint.routes import Line, Routes

log = logging.getLogger(__name__)

MAX_KEPT_HEADS = 1_024  # heads of keep-alive clients, by their bytes; larger: more clients skip the parser
MAX_KEPT_HEAD_BYTES = 2_048
RESERVED_FILES = 256  # descriptors that connections leave to instances, the database and the log
BACKLOG = 2_048  # connections that may wait in the kernel to be accepted


def connection_limit(wanted: int, open_files_limit: int) -> int:
    """How many connections may be open, so that accepting one never takes the last file descriptor (F37)."""
    return min(wanted, open_files_limit - min(RESERVED_FILES, open_files_limit // 2))


class InferenceServer:
    """Listens, holds the connections, sweeps out the slow ones, drains."""

    def __init__(
        self,
        pipeline: Line,
        clock: Clock,
        limits: ListenerLimits = DEFAULT_LISTENER_LIMITS,
        extensions: Extensions | None = None,
    ) -> None:
        self.limits = limits
        self.routes = Routes(pipeline, clock, extensions)
        self.draining = False
        self.now_s = 0.0
        self.date = b""
        self._line = pipeline
        self._clock = clock
        self._heads: dict[bytes, WireHead] = {}
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._max_connections = limits.max_connections
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port that was taken (0 asks for a free one). Raises OSError when it is in use."""
        loop = asyncio.get_running_loop()
        self._tick()
        soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._max_connections = connection_limit(self.limits.max_connections, soft_limit)
        if self._max_connections < self.limits.max_connections:
            log.warning("the limit of %d open files allows %d connections", soft_limit, self._max_connections)
        self._server = await loop.create_server(
            lambda: Connection(self), host, port, backlog=BACKLOG, reuse_address=True
        )
        taken: int = self._server.sockets[0].getsockname()[1]
        return taken

    async def drain(self, timeout_s: float) -> None:
        """Accept no more, let running requests be answered, close idle connections; abort what is left at the end."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.begin_drain()
        if self._connections:
            self._empty.clear()
            try:
                await asyncio.wait_for(self._empty.wait(), timeout_s)
            except TimeoutError:
                for connection in tuple(self._connections):
                    connection.abort()
        if self._timer is not None:
            self._timer.cancel()

    def statistics(self) -> dict[str, int]:
        """Open connections."""
        return {"connections": len(self._connections)}

    # What a connection calls.

    def admit(self, connection: Connection) -> bool:
        """Keep count of a new connection; False if there is no place."""
        self._connections.add(connection)
        return len(self._connections) <= self._max_connections

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def known_head(self, head_bytes: bytes) -> WireHead | None:
        """The head, if the very same bytes were accepted before and are still kept."""
        return self._heads.get(head_bytes)

    def read_head(self, head_bytes: bytes) -> WireHead:
        """The parsed head; a keep-alive client's identical head is parsed once. Raises BadFraming."""
        wire = self._heads.get(head_bytes)
        if wire is None:
            wire = heads.parse(head_bytes, self.limits)
            if len(head_bytes) <= MAX_KEPT_HEAD_BYTES:
                if len(self._heads) >= MAX_KEPT_HEADS:
                    self._heads.clear()
                self._heads[head_bytes] = wire
        return wire

    def refuse(self, error: ProxyError) -> Answer:
        """The answer to what is not a request of any model."""
        return self._line.refuse(error, None, self._clock.now_ns())

    def refuse_connection(self) -> Answer:
        """What a client gets for which there is no place."""
        return self.refuse(TooManyConnections(Reason.QUEUE_FULL, "Too many connections; come back later.", NS_PER_S))

    def sweep(self, now_s: float) -> None:
        """Let every connection look at its limits of time."""
        self.now_s = now_s
        self.date = b"date: %b\r\n" % formatdate(usegmt=True).encode()
        for connection in tuple(self._connections):
            connection.sweep(now_s)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self.sweep(loop.time())
        self._timer = loop.call_later(self.limits.sweep_interval_s, self._tick)
