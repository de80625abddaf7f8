"""Who may not upload is told so before the body is read: nothing of it is spooled to the disk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from dlproxy_site.body_guard import SMALL_BYTES, BodyGuard

UPLOADS = (
    "/models/digits/upload/",
    "/models/digits/versions/",
    "/api/v1/models/digits/versions",
    "/api/v1/uploads/0b0e",
)
INFER = "/api/v1/models/digits/infer"
PASSED = 204
pytestmark = pytest.mark.django_db


def cookie_of(**rights: bool) -> bytes:
    user = User.objects.create_user("somebody", password="a long enough password", **rights)
    client = Client()
    client.force_login(user)
    return client.cookies.output(header="", sep=";").strip().split(";")[0].encode()


def status_of(path: str, cookie: bytes, *more: tuple[bytes, bytes], run: Callable[..., Any] = async_to_sync) -> int:
    """What a large multipart body gets whose first byte is never sent."""
    sent: list[Any] = []

    async def passed(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": PASSED, "headers": []})

    async def never() -> Any:
        raise AssertionError("the body must not be read")

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [
        (b"content-length", b"%d" % (4 * SMALL_BYTES)),
        (b"content-type", b"multipart/form-data; boundary=x"),
        (b"cookie", cookie),
        *more,
    ]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    run(BodyGuard(passed, 10 * SMALL_BYTES))(scope, never, send)  # type: ignore[arg-type]
    if sent[0]["status"] != PASSED:
        assert json.loads(sent[1]["body"])["status"] == sent[0]["status"]
    return int(sent[0]["status"])


@pytest.mark.parametrize("path", UPLOADS)
def test_who_may_only_look_is_refused_an_upload_by_its_head(path: str) -> None:
    assert status_of(path, cookie_of()) == 403


@pytest.mark.parametrize("path", [*UPLOADS[2:], INFER])
def test_who_may_change_things_may_send_it(path: str) -> None:
    assert status_of(path, cookie_of(is_staff=True)) == PASSED


def test_who_may_only_look_may_still_try_a_model() -> None:
    assert status_of(INFER, cookie_of()) == PASSED


@pytest.mark.parametrize("path", [*UPLOADS, INFER])
def test_a_session_that_was_ended_is_a_strangers(path: str) -> None:
    cookie = cookie_of(is_staff=True)
    user = User.objects.get()
    user.set_password("another long password")
    user.save()
    assert status_of(path, cookie) == 401


def test_a_disabled_account_is_a_strangers() -> None:
    cookie = cookie_of(is_staff=True)
    User.objects.update(is_active=False)
    assert status_of(UPLOADS[2], cookie) == 401


def test_cookies_of_other_programs_on_this_host_do_not_hide_the_session() -> None:
    cookie = cookie_of(is_staff=True)
    assert status_of(UPLOADS[0], b'prefs={"theme":"dark"}; ' + cookie) == PASSED
    assert status_of(UPLOADS[0], b"note=two words, and more; " + cookie) == PASSED


def test_what_another_scheme_authorizes_is_not_judged_as_a_key() -> None:
    cookie = cookie_of(is_staff=True)
    assert status_of(UPLOADS[2], cookie, (b"authorization", b"Basic YW5uOnB3")) == PASSED
    assert status_of(UPLOADS[2], cookie, (b"authorization", b"bearer dlp_unknown")) == 401
    assert status_of(UPLOADS[2], cookie, (b"authorization", b"Bearer")) == 401


def on_a_loop(guard: Any) -> Callable[..., Any]:
    """As on the server's loop, where a look-up goes to a thread that no request looks after."""
    return lambda *arguments: asyncio.run(guard(*arguments))


@pytest.mark.django_db(transaction=True)
def test_the_look_up_keeps_no_connection_that_would_stay_broken_when_the_database_starts_anew() -> None:
    cookie = cookie_of(is_staff=True)
    assert status_of(UPLOADS[0], cookie, run=on_a_loop) == PASSED
    assert asyncio.run(sync_to_async(lambda: connection.connection)()) is None
