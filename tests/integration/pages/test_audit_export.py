"""The audit log as a file: what the filters leave, no formula in a cell, streamed, and only for those who may look."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from models_admin.models import AuditEvent
from models_admin.services import audit_export


@pytest.fixture
def events(db: None) -> None:
    for name in (
        "=cmd|' /C calc'!A0",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        " =1",
        "＝1+1",
        "\u00a0@x",
        "plain",
        'quo"te,and\nline',
        "名前",
    ):
        AuditEvent.objects.create(actor=f"user:{name}"[:50], action="key.create", object_type="key", object_id=name)
    AuditEvent.objects.create(
        actor="user:ann", action="model.create", object_type="model", object_id="m", details={"a": [1]}
    )


def body(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    assert response.headers["Content-Disposition"].startswith("attachment")
    assert "no-store" in response.headers["Cache-Control"]
    return "".join(async_to_sync(parts_of)(response))


async def parts_of(response: Any) -> list[str]:
    assert response.is_async, "else Django makes one list of all rows before the first is sent"
    return [part.decode() async for part in response]


def test_no_cell_of_the_csv_is_a_formula_and_every_value_comes_back(viewer: Client, events: None) -> None:
    rows = list(csv.DictReader(io.StringIO(body(viewer, "/audit/export.csv"), newline="")))
    assert len(rows) == 12
    for row in rows:
        for cell in row.values():
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝", "\t"))
    assert {row["object_id"].removeprefix("'") for row in rows} == set(
        AuditEvent.objects.values_list("object_id", flat=True)
    )
    assert json.loads(rows[0]["details"]) == {"a": [1]}


def test_the_filters_of_the_page_apply_to_its_files(viewer: Client, events: None) -> None:
    lines = body(viewer, "/audit/export.jsonl?action=model.create").splitlines()
    assert [json.loads(line)["object_id"] for line in lines] == ["m"]
    assert body(viewer, "/audit/export.jsonl?until=2020-01-01") == ""
    page = viewer.get("/audit/?action=model.create").content.decode()
    assert '/audit/export.csv?action=model.create"' in page


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
def test_the_calendars_ends_are_days_as_others_are(viewer: Client, events: None, day: str) -> None:
    for name in ("since", "until"):
        assert viewer.get(f"/audit/?{name}={day}").status_code == 200


def test_an_export_is_bounded(viewer: Client, events: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_export, "MAX_ROWS", 3)
    assert len(body(viewer, "/audit/export.jsonl").splitlines()) == 3


def test_an_export_is_never_in_memory_as_a_whole(viewer: Client, events: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_export, "ROWS_AT_ONCE", 3)
    for url in ("/audit/export.jsonl", "/api/v1/audit/export?as=csv"):
        assert len(async_to_sync(parts_of)(viewer.get(url))) >= 4


def test_strangers_get_no_file(client: Client, events: None) -> None:
    assert client.get("/audit/export.csv").status_code == 302
