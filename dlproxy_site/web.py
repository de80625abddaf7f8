"""The web process: uvicorn with uvloop and httptools around `dlproxy_site.asgi:application`.

Place: a child of the supervisor (`python -m dlproxy_site.web`). The inference port is opened by the application
itself, in its lifespan, on the same event loop.
"""

from __future__ import annotations

import logging
import os
import sys

import uvicorn

# Requests under way may take this long after a stop was asked; the supervisor's own bound is longer.
DRAIN_S = 8


def main() -> int:
    """Serve until SIGTERM; the status is not 0 when the application could not start."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlproxy_site.settings.default")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    config = uvicorn.Config(
        "dlproxy_site.asgi:application",
        host=os.environ.get("DLPROXY_HOST", "127.0.0.1"),
        port=int(os.environ.get("DLPROXY_PORT", "8000")),
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="warning",
        # A dashboard sends no large frames; what a socket may send is bounded before it is parsed.
        ws_max_size=64 * 1024,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = uvicorn.Server(config)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
