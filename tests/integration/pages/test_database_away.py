"""Pages while the database is away or full: 503 and when to come back (F13, F16)."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError
from django.test import AsyncClient, Client

from models_admin import selectors

pytestmark = pytest.mark.django_db


def away(*_: Any, **__: Any) -> Any:
    raise OperationalError("unable to open database file")


@pytest.fixture(params=["session", "view"])
def database_away(request: pytest.FixtureRequest, staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "session":
        monkeypatch.setattr(SessionStore, "_get_session_from_db", away)
    else:
        monkeypatch.setattr(selectors, "models_listed", away)


@pytest.mark.usefixtures("database_away")
def test_f13_a_page_answers_503(staff: Client) -> None:
    staff.raise_request_exception = False
    answer = staff.get("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert b"database" in answer.content
    assert b"unable to open" not in answer.content


async def test_f13_a_page_answers_503_in_the_asgi_server_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionStore, "_get_session_from_db", away)
    client = AsyncClient(raise_request_exception=False)
    client.cookies["dlproxy_session"] = "x" * 32
    assert (await client.get("/")).status_code == 503


def test_any_other_fault_stays_a_500(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: Any, **__: Any) -> Any:
        raise ValueError("x")

    monkeypatch.setattr(selectors, "models_listed", fault)
    staff.raise_request_exception = False
    assert staff.get("/").status_code == 500
