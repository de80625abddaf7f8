"""Origin, login, the end of a login, and the caps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session

from models_admin.live import consumer, limits

Make = Callable[..., WebsocketCommunicator]


async def closed_with(one: WebsocketCommunicator) -> int:
    message: dict[str, Any] = dict(await one.receive_output())
    assert message["type"] == "websocket.close"
    return int(message["code"])


@pytest.mark.parametrize(
    "origin",
    [
        None,
        b"null",
        b"http://evil.example",
        b"http://localhost.evil.example",
        b"http://localhost@evil.example",
        b"http://evil.example/localhost",
        b"http://localhost:8000.evil.example",
        b"http://localhost:8000@evil.example",
        b"http://localhost:8001",
        b"http://localhost",
        b"http://127.0.0.1:8000",
        b"file://localhost:8000",
        b"",
    ],
)
async def test_w01_a_foreign_origin_is_refused_before_accept(socket: Make, cookie: bytes, origin: bytes | None) -> None:
    headers = [] if origin is None else [(b"origin", origin)]
    connected, _ = await socket(cookie, headers).connect()
    assert not connected


async def test_w02_without_a_login_it_closes_with_4401(socket: Make) -> None:
    one = socket()
    connected, _ = await one.connect()
    assert connected
    assert await closed_with(one) == consumer.CLOSE_LOGGED_OUT


async def test_w02_an_unknown_session_closes_with_4401(socket: Make) -> None:
    one = socket(b"dlproxy_session=" + b"x" * 32)
    await one.connect()
    assert await closed_with(one) == consumer.CLOSE_LOGGED_OUT


@pytest.mark.parametrize("ending", ["logout", "deactivated", "new password", "role"])
async def test_w03_it_closes_soon_after_the_login_ends(
    socket: Make, cookie: bytes, ann: User, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert consumer.RECHECK_S < 5
    monkeypatch.setattr(consumer.LiveConsumer, "recheck_s", 0.01)
    one = socket(cookie)
    await one.connect()

    def end() -> None:
        if ending == "logout":
            Session.objects.all().delete()
            return
        if ending == "deactivated":
            ann.is_active = False
        elif ending == "role":
            ann.is_staff = True
        else:
            ann.set_password("another long password")
        ann.save()

    await sync_to_async(end)()
    assert await closed_with(one) == consumer.CLOSE_LOGGED_OUT


async def test_w08_more_sockets_than_a_user_may_have_close_with_4429(
    socket: Make, cookie: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_SOCKETS_PER_USER", 2)
    for _ in range(2):
        await socket(cookie).connect()
    third = socket(cookie)
    await third.connect()
    assert await closed_with(third) == consumer.CLOSE_TOO_MANY
