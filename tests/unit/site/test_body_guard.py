"""Bodies are refused by their head: too long, of unknown length, or large and anonymous."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError

from dlproxy_site.body_guard import SMALL_BYTES, UPLOAD_SLACK_BYTES, BodyGuard, Sender, cap_bytes, refusal
from models_admin.api.resumable import MAX_CHECKED_BYTES

MAX_UPLOAD = 10 * SMALL_BYTES
MAX_INFER = 5 * SMALL_BYTES


@pytest.mark.parametrize(
    ("path", "cap"),
    [
        ("/api/v1/models/digits/versions", MAX_UPLOAD + UPLOAD_SLACK_BYTES),
        ("/api/v1/models/digits/versions/", MAX_UPLOAD + UPLOAD_SLACK_BYTES),
        ("/api/v1/uploads/0b0e", MAX_UPLOAD + UPLOAD_SLACK_BYTES),
        ("/api/v1/models/digits/uploads", SMALL_BYTES),
        ("/api/v1/models/digits/infer", MAX_INFER),
        ("/api/v1/models/digits/versions/2/infer", MAX_INFER),
        ("/api/v1/models", SMALL_BYTES),
        ("/login/", SMALL_BYTES),
        ("/api/v1/models/digits/versions/2/promote", SMALL_BYTES),
    ],
)
def test_each_route_has_its_cap(path: str, cap: int) -> None:
    assert cap_bytes(path, MAX_UPLOAD, MAX_INFER) == cap


@pytest.mark.parametrize(
    ("headers", "sender", "status"),
    [
        ({}, Sender.STRANGER, None),
        ({b"content-length": b"0"}, Sender.STRANGER, None),
        ({b"content-length": b"1048576"}, Sender.STRANGER, None),
        ({b"content-length": b"1048576"}, Sender.MAY_NOT, None),
        ({b"content-length": b"1048577"}, Sender.STRANGER, 401),
        ({b"content-length": b"1048577"}, Sender.MAY_NOT, 403),
        ({b"content-length": b"1048577"}, Sender.MAY, None),
        ({b"content-length": str(MAX_UPLOAD).encode()}, Sender.MAY, None),
        ({b"content-length": str(MAX_UPLOAD + 1).encode()}, Sender.MAY, 413),
        ({b"content-length": str(MAX_UPLOAD + 1).encode()}, Sender.MAY_NOT, 413),
        ({b"content-length": b"-1"}, Sender.MAY, 400),
        ({b"content-length": b"1e3"}, Sender.MAY, 400),
        ({b"transfer-encoding": b"chunked"}, Sender.MAY, 411),
    ],
)
def test_u21_a_body_is_judged_by_its_head(headers: dict[bytes, bytes], sender: Sender, status: int | None) -> None:
    refused = refusal("/x", headers, MAX_UPLOAD, sender)
    assert (refused and refused[0]) == status


def test_f13_a_large_body_is_refused_as_503_while_sessions_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise OperationalError("unable to open database file")

    async def never(*_: Any) -> Any:
        raise AssertionError("the body must not be read, and no view be asked")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    monkeypatch.setattr(SessionStore, "load", away)
    headers = [(b"content-length", b"%d" % (2 * SMALL_BYTES)), (b"cookie", b"dlproxy_session=" + b"x" * 32)]
    scope = {"type": "http", "method": "POST", "path": "/models/digits/upload/", "headers": headers}
    asyncio.run(BodyGuard(never, MAX_INFER)(scope, never, send))
    assert sent[0]["status"] == json.loads(sent[1]["body"])["status"] == 503


@pytest.mark.parametrize(
    ("method", "named", "status"),
    [
        ("PATCH", {b"upload-offset": b"0"}, 204),
        ("POST", {b"upload-offset": b"0", b"x-http-method-override": b"PATCH"}, 204),
        ("PATCH", {b"upload-offset": b"0", b"upload-checksum": b"sha256 x"}, 413),
        ("PATCH", {}, 413),
        ("POST", {b"upload-offset": b"0"}, 413),
    ],
)
def test_u21_only_what_is_cut_into_pieces_may_be_longer_than_a_checked_piece(
    method: str, named: dict[bytes, bytes], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def may(*_: Any) -> Sender:
        return Sender.MAY

    async def passed(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    monkeypatch.setattr("dlproxy_site.body_guard._sender", may)
    headers = [(b"content-length", b"%d" % (MAX_CHECKED_BYTES + 1)), *named.items()]
    scope = {"type": "http", "method": method, "path": "/api/v1/uploads/0b0e", "headers": headers}
    asyncio.run(BodyGuard(passed, MAX_INFER)(scope, passed, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == status
