"""The web process: uvicorn with uvloop and httptools around `dlproxy_site.asgi:application`.

Place: a child of the supervisor (`python -m dlproxy_site.web`). The inference port is opened by the application
itself, in its lifespan, on the same event loop.
"""

from __future__ import annotations

import os
import sys

import uvicorn

# Requests under way may take this long after a stop was asked; the supervisor's own bound is longer.
DRAIN_S = 8


def main() -> int:
    """Serve until SIGTERM; the status is not 0 when the application could not start."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlproxy_site.settings.default")
    from django.conf import settings

    config = uvicorn.Config(
        "dlproxy_site.asgi:application",
        host=settings.DLPROXY_HOST,
        port=settings.DLPROXY_PORT,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,  # Django's logging settings serve both
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
