"""The one ASGI application: inference ahead of Django, pages and API, websockets; and the data plane's life.

uvicorn drives the lifespan; daphne (development) has none, so there the data plane starts with the first request.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlproxy_site.settings.default")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from channels.routing import URLRouter
from channels.sessions import SessionMiddlewareStack
from django.conf import settings

from dlproxy_site.body_guard import BodyGuard
from dlproxy_site.forwarded import client_of
from dlproxy_site.origin import SameOrigin
from dlproxy_site.reports import keep_report
from dlproxy_site.repository import set_loaded
from dlproxy_site.upload_pieces import UploadPieces
from models_admin.live import publisher
from models_admin.live.routing import websocket_urlpatterns
from models_admin.publishing.snapshot import load_snapshot
from proxy import gateway
from proxy.cache.second_level_codec import derive_secret
from proxy.core.units import BYTES_PER_MIB
from proxy.endpoint.asgi import InferenceApp
from proxy.runtime import Runtime, RuntimeConfig

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

INFERENCE_PREFIXES = ("/v2", "/metrics")


class Site:
    """Routes by protocol and path. Holds the data plane from start-up to shut-down."""

    def __init__(self) -> None:
        self._runtime: Runtime | None = None
        self._inference: InferenceApp | None = None
        self._starting = asyncio.Lock()
        self._pages = BodyGuard(UploadPieces(django_application), RuntimeConfig().limits.max_body_bytes)
        self._websockets = SameOrigin(SessionMiddlewareStack(URLRouter(websocket_urlpatterns)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if self._inference is None:
            await self._start()
        if settings.HTTPS:
            scope["client"] = client_of(scope["headers"], scope.get("client"))
        if scope["type"] == "websocket":
            await self._websockets(scope, receive, send)
        elif self._is_inference(scope["path"]) and self._inference is not None:
            await self._inference(scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    @staticmethod
    def _is_inference(path: str) -> bool:
        return any(path == prefix or path.startswith(prefix + "/") for prefix in INFERENCE_PREFIXES)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self._start()
                except OSError as error:
                    await send({"type": "lifespan.startup.failed", "message": f"cannot start: {error}"})
                    return
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _start(self) -> None:
        async with self._starting:
            if self._inference is not None:
                return
            config = RuntimeConfig(
                host=settings.DLPROXY_HOST,
                inference_port=settings.DLPROXY_INFERENCE_PORT,
                memory_budget_bytes=settings.DLPROXY_MEMORY_BUDGET_MIB * BYTES_PER_MIB,
                strict_readiness=settings.DLPROXY_STRICT_READINESS,
                cache_budget_bytes=settings.DLPROXY_CACHE_MAX_MIB * BYTES_PER_MIB,
                cache_redis_url=settings.DLPROXY_CACHE_REDIS_URL,
                cache_secret=derive_secret(settings.SECRET_KEY),
            )
            runtime = Runtime(config, load_snapshot, keep_report, set_loaded)
            await runtime.start()
            gateway.attach(runtime)
            publisher.start()
            self._runtime = runtime
            self._inference = InferenceApp(runtime.pipeline, runtime.extensions)

    async def _stop(self) -> None:
        if self._runtime is not None:
            runtime, self._runtime = self._runtime, None
            await runtime.stop()
            gateway.attach(None)


application = Site()
