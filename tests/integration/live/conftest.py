"""A socket as the site wraps it, a login, and reports."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.routing import URLRouter
from channels.sessions import SessionMiddlewareStack
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client

from dlproxy_site.origin import SameOrigin
from models_admin.live import consumer, publisher
from models_admin.live.limits import Places
from models_admin.live.logins import Logins
from models_admin.live.routing import websocket_urlpatterns

PATIENCE_S = 60.0
"""Longer than anything here takes on any machine: a test that waits so long hangs."""
ORIGIN = (b"origin", b"http://localhost:8000")
HOST = (b"host", b"localhost:8000")


class Patient(WebsocketCommunicator):
    """A communicator that waits for what is asked for, not for a second: a busy machine is no fault."""

    async def receive_output(self, timeout: float = PATIENCE_S) -> Any:
        """The next message, however short the wait that the base asks for."""
        return await super().receive_output(max(timeout, PATIENCE_S))


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[publisher.Publisher]:
    """A publisher and places of the test's own."""
    one = publisher.Publisher()
    monkeypatch.setattr(publisher, "publisher", one)
    monkeypatch.setattr(consumer, "publisher", one)
    monkeypatch.setattr(consumer, "places", Places())
    monkeypatch.setattr(consumer, "logins", Logins())
    yield one
    assert one.sockets == 0


@pytest.fixture
def ann(transactional_db: None) -> User:
    return User.objects.create_user("ann", password="a long password")


@pytest.fixture
async def cookie(ann: User) -> bytes:
    def login() -> str:
        client = Client()
        client.force_login(ann)
        return client.cookies[settings.SESSION_COOKIE_NAME].value

    value = await sync_to_async(login)()
    return f"{settings.SESSION_COOKIE_NAME}={value}".encode()


@pytest.fixture
async def socket(transactional_db: None) -> AsyncIterator[Callable[..., WebsocketCommunicator]]:
    """Makes communicators and ends them after the test."""
    opened: list[WebsocketCommunicator] = []

    def make(
        cookie: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None, query: str = ""
    ) -> WebsocketCommunicator:
        application: Any = SameOrigin(SessionMiddlewareStack(URLRouter(websocket_urlpatterns)))
        sent = [ORIGIN] if headers is None else headers
        one = Patient(application, f"/ws/live/?{query}", headers=[*sent, HOST, (b"cookie", cookie)])
        opened.append(one)
        return one

    make.opened = opened
    yield make
    try:
        for one in opened:
            with contextlib.suppress(asyncio.CancelledError):  # of an application whose test gave up waiting for it
                await one.disconnect()
    finally:
        # The communicator keeps its application from closing connections, as Django's test client does.
        await sync_to_async(connections.close_all)()
