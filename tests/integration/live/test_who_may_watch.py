"""Origin, login, the end of a login, and the caps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client
from live_cast import report

from models_admin.live import consumer, limits, logins, pipes, sessions
from models_admin.live.publisher import Publisher

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


def end_login(user: User, ending: str) -> None:
    """Everything after which a socket may not go on as it began."""
    if ending == "logout":
        for session in Session.objects.all():
            if session.get_decoded()["_auth_user_id"] == str(user.pk):
                session.delete()
        return
    if ending == "deactivated":
        user.is_active = False
    elif ending == "role":
        user.is_staff = True
    else:
        user.set_password("another long password")
    user.save()


@pytest.mark.parametrize("ending", ["logout", "deactivated", "new password", "role"])
async def test_w03_it_closes_soon_after_the_login_ends(
    socket: Make, cookie: bytes, ann: User, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert logins.RECHECK_S < 5
    monkeypatch.setattr(logins, "RECHECK_S", 0.01)
    one = socket(cookie)
    await one.connect()

    await sync_to_async(end_login)(ann, ending)
    assert await closed_with(one) == consumer.CLOSE_LOGGED_OUT


async def test_w03_a_reader_that_stands_still_while_its_login_ends_is_sent_nothing_more(
    socket: Make, cookie: bytes, ann: User, fresh: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, run = asyncio.Event(), consumer.LiveConsumer.__call__
    reads.set()

    async def with_a_full_buffer(self: Any, scope: Any, receive: Any, send: Any) -> None:
        async def when_it_reads(message: Any) -> None:
            await reads.wait()
            await send(message)

        await run(self, scope, receive, when_it_reads)

    monkeypatch.setattr(consumer.LiveConsumer, "__call__", with_a_full_buffer)
    monkeypatch.setattr(logins, "RECHECK_S", 0.01)
    one = socket(cookie)
    await one.connect()
    await asyncio.sleep(0)
    reads.clear()
    fresh.on_second(report(1, digits=1))
    await sync_to_async(end_login)(ann, "logout")
    while consumer.logins._held:
        await asyncio.sleep(0.01)
    fresh.on_second(report(2, digits=1))
    await asyncio.sleep(0)
    reads.set()
    assert await closed_with(one) == consumer.CLOSE_LOGGED_OUT


async def test_w03_the_connection_of_a_reader_that_takes_no_close_frame_ends_without_one(
    socket: Make, cookie: bytes, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    aborted = asyncio.Event()

    async def never(self: Any, *args: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(pipes.AsgiPipe, "abort", lambda self: aborted.set())
    monkeypatch.setattr(consumer, "CLOSE_WAIT_S", 0)
    monkeypatch.setattr(logins, "RECHECK_S", 0.01)
    one = socket(cookie)
    await one.connect()
    monkeypatch.setattr(consumer.LiveConsumer, "close", never)
    await sync_to_async(end_login)(ann, "logout")
    await aborted.wait()


async def test_w08_more_sockets_than_a_user_may_have_close_with_4429(
    socket: Make, cookie: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_SOCKETS_PER_USER", 2)
    for _ in range(2):
        await socket(cookie).connect()
    third = socket(cookie)
    await third.connect()
    assert await closed_with(third) == consumer.CLOSE_TOO_MANY


@pytest.mark.parametrize("ending", ["logout", "deactivated", "new password", "role"])
def test_w03_many_sessions_are_looked_up_by_two_queries_and_an_ended_one_is_missing(
    ann: User, ending: str, django_assert_num_queries: Any
) -> None:
    bob = User.objects.create_user("bob")
    keys = []
    for user in (ann, bob):
        client = Client()
        client.force_login(user)
        keys.append(client.cookies[settings.SESSION_COOKIE_NAME].value)
    held = {key: found for key in keys if (found := sessions.login(key)) is not None}
    assert {key: found.who for key, found in held.items()} == {keys[0]: (ann.pk, False), keys[1]: (bob.pk, False)}
    # From the first look on: what is known of a login when its socket opens is not looked up again.
    with django_assert_num_queries(2):
        assert sessions.still(held) == held
    end_login(ann, ending)
    left = sessions.still(held)
    assert left[keys[1]] == held[keys[1]]
    assert (left[keys[0]].who if keys[0] in left else None) == ((ann.pk, True) if ending == "role" else None)
    with django_assert_num_queries(2):
        assert sessions.still(left) == left


async def test_sockets_end_when_their_logins_cannot_be_looked_up(
    socket: Make, cookie: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(logins, "RECHECK_S", 0.01)
    one = socket(cookie)
    await one.connect()
    monkeypatch.setattr(sessions, "still", away)
    assert await closed_with(one) == logins.CLOSE_FAULT
