"""Instances, decisions, audit events and nodes over the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from api_cast import Caller, FakeRuntime
from django.utils import timezone

from models_admin.models import AuditEvent, Decision, Model, NodeStatus

pytestmark = pytest.mark.django_db


def test_instances_are_those_of_the_last_report(viewer: Caller, runtime: FakeRuntime) -> None:
    body = viewer("GET", "/instances").json()
    assert body["count"] == 2
    assert body["results"][0] == {
        "instance_id": "digits/1#1",
        "number": 1,
        "model": "digits",
        "version": 1,
        "pid": 4_242,
        "state": "ready",
        "device": "cpu",
        "uptime_s": 12.5,
        "memory_bytes": 100_000_000,
        "executions": 31,
        "service_ewma_ms": 2.5,
        "threads": 0,
        "message": "",
    }
    assert viewer("GET", "/instances?state=loading").json()["count"] == 1
    assert viewer("GET", "/instances?model=other").json()["count"] == 0


def test_without_a_report_the_instances_are_unknown_rather_than_none(viewer: Caller) -> None:
    answer = viewer("GET", "/instances")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_decisions_are_filtered(viewer: Caller, digits: Model) -> None:
    for knob, at in (
        ("instances", datetime(2026, 1, 1, tzinfo=UTC)),
        ("max_batch_rows", datetime(2026, 1, 2, tzinfo=UTC)),
    ):
        row = Decision.objects.create(
            model=digits,
            knob=knob,
            from_value="1",
            to_value="2",
            reason="high_load",
            explanation="why",
            evidence={"a": 1},
        )
        Decision.objects.filter(pk=row.pk).update(at=at)
    found = lambda query: [d["knob"] for d in viewer("GET", f"/decisions?{query}").json()["results"]]  # noqa: E731
    assert found("") == ["max_batch_rows", "instances"]
    assert found("knob=instances") == ["instances"]
    assert found("model=digits&reason=high_load&ordering=at") == ["instances", "max_batch_rows"]
    assert found("since=2026-01-02T00:00:00Z") == ["max_batch_rows"]
    assert found("until=2026-01-02T00:00:00Z") == ["instances"]
    assert found("model=nothing") == []
    assert viewer("GET", "/decisions").json()["results"][0]["evidence"] == {"a": 1}


def test_audit_events_are_filtered(viewer: Caller) -> None:
    AuditEvent.objects.create(actor="user:ann", action="model.create", object_type="model", object_id="a")
    AuditEvent.objects.create(actor="key:ci", action="key.create", object_type="key", object_id="1", remote_addr="::1")
    found = lambda query: [e["action"] for e in viewer("GET", f"/audit?{query}").json()["results"]]  # noqa: E731
    assert found("") == ["key.create", "model.create"]
    assert found("actor=user:ann") == ["model.create"]
    assert found("object_type=key&object_id=1") == ["key.create"]
    assert found("action=nothing") == []


def test_nodes_say_whether_they_are_late(viewer: Caller) -> None:
    NodeStatus.objects.create(name="web", at=timezone.now(), info={"pid": 1})
    NodeStatus.objects.create(name="celery", at=timezone.now() - timedelta(minutes=1))
    found = {node["name"]: node["late"] for node in viewer("GET", "/nodes").json()["results"]}
    assert found == {"celery": True, "web": False}


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/decisions?since=yesterday", "since"),
        ("/decisions?modle=digits", "modle"),
        ("/decisions?ordering=explanation", "ordering"),
        ("/audit?until=1", "until"),
        (f"/audit?actor={'x' * 201}", "actor"),
        ("/audit?actor=a%00", "actor"),
        ("/models?loaded=perhaps", "loaded"),
        ("/keys?state=gone", "state"),
        ("/models/digits?x=1", "x"),
        ("/nodes?format=api", "format"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(path: str, parameter: str, viewer: Caller, digits: Model) -> None:
    answer = viewer("GET", path)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [parameter])
