"""The web process: uvicorn with uvloop and a bounded httptools protocol around `dlproxy_site.asgi:application`.

Place: a child of the supervisor (`python -m dlproxy_site.web`). The inference port is opened by the application
itself, in its lifespan, on the same event loop.
"""

from __future__ import annotations

import gc
import os
import resource
import socket
import sys

import uvicorn

from dlproxy_site.dashboard_protocol import DashboardProtocol
from dlproxy_site.dashboard_websocket import DashboardWebSocket

# Pages under way may take this long after a stop was asked; then the inference port drains (RuntimeConfig). Together
# they stay below the supervisor's bound of 15 s.
DRAIN_S = 4
# Many systems begin with 1,024 open files and allow far more; each connection is one.
WANTED_OPEN_FILES = 65_536


# Net allocations before the youngest generation is collected. Larger: fewer pauses and, between collections, more
# memory held by cycles. With Python's 700 the requests in flight alone set off collections: 7 % of the data path's
# processor time at 64 connections, without the control plane's heap.
COLLECT_EACH = 50_000


# How long a thread (a page's view, the second's rows on their way into the database) may keep the event loop waiting
# for the interpreter. Larger: fewer switches, longer waits of inference requests. Python's own is 5 ms.
SWITCH_INTERVAL_S = 0.0005


class _Server(uvicorn.Server):
    """uvicorn's server, whose heap at start-up the garbage collector no longer looks at."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then set the collector up for a long life."""
        await super().startup(sockets)
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_EACH, 20, 20)


def main() -> int:
    """Serve until SIGTERM; the status is not 0 when the application could not start."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlproxy_site.settings.default")
    from django.conf import settings

    raise_open_files_limit()
    config = uvicorn.Config(
        "dlproxy_site.asgi:application",
        host=settings.DLPROXY_HOST,
        port=settings.DLPROXY_PORT,
        loop="uvloop",
        http=DashboardProtocol,
        ws=DashboardWebSocket,
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,  # Django's logging settings serve both
        log_level="warning",
        # A dashboard sends no large frames; what a socket may send is bounded before it is parsed.
        ws_max_size=64 * 1024,
        # One text a second serves every socket; compressed, each would be made apart (and hold 256 KiB of state).
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = _Server(config)
    server.run()
    return 0 if server.started else 1


def raise_open_files_limit() -> None:
    """Take as many open files as the system allows without asking anybody, up to WANTED_OPEN_FILES."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_OPEN_FILES if hard == resource.RLIM_INFINITY else min(WANTED_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main())
