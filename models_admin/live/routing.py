"""Websocket URLs. The site wraps them in SameOrigin (outermost) and SessionMiddlewareStack."""

from __future__ import annotations

from django.urls import path

from models_admin.live.consumer import LiveConsumer

websocket_urlpatterns = [path("ws/live/", LiveConsumer.as_asgi())]
