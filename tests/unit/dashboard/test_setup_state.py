"""Each part of a set-up that is not well says why and what to do; no database, no network."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import redis

from models_admin.dashboard import system
from models_admin.selectors import NodeView, setup_facts
from models_admin.selectors.setup_facts import Facts, Ping
from models_admin.selectors.setup_state import Check, Condition, checks, worst
from proxy.core.reports import MachineReport, ModelSecond, SecondReport, VersionReport

MOMENT = datetime(2026, 11, 25, tzinfo=UTC)
WALLS = {"files": "active", "system calls": "inactive: this kernel has no seccomp"}


def report(walls: dict[str, str]) -> SecondReport:
    version = VersionReport("digits", 1, "ready", True, 1, 1, 0, sandbox=walls)
    return SecondReport(1, 1_000, 4, ModelSecond(), {}, (version,), (), MachineReport(1.0, (1.0,), 1, 2))


HEALTHY = Facts(
    report=report({"files": "active"}),
    inference_port=8001,
    database=Ping("SQLite 3.45 (wal)", 0.2),
    broker=Ping("embedded"),
    second_level=None,
    nodes=(NodeView("celery", MOMENT, {}, 1.0, False), NodeView("beat", MOMENT, {}, 2.0, False)),
    disk_free_bytes=50,
    disk_total_bytes=100,
    least_free_bytes=10,
    versions=(("Python", "3.11.7"),),
)


def found(facts: Facts) -> dict[str, Check]:
    return {check.key: check for check in checks(facts)}


def test_a_healthy_set_up_has_nothing_to_say() -> None:
    rows = checks(HEALTHY)
    assert worst(rows) is Condition.OK
    assert not [row for row in rows if row.reason or row.action]
    assert len({row.key for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("change", "key", "condition"),
    [
        ({"report": None}, "data_plane", Condition.ERROR),
        ({"inference_port": None}, "inference_port", Condition.ERROR),
        ({"database": Ping("PostgreSQL", error="OperationalError")}, "database", Condition.ERROR),
        ({"database": Ping("PostgreSQL 16", 250.0)}, "database", Condition.WARNING),
        ({"broker": Ping("Redis at r", error="TimeoutError")}, "broker", Condition.ERROR),
        ({"second_level": Ping("Redis at r", error="ConnectionError")}, "second_level", Condition.ERROR),
        ({"nodes": ()}, "celery", Condition.WARNING),
        ({"nodes": (NodeView("beat", MOMENT, {}, 60.0, True),)}, "beat", Condition.WARNING),
        ({"disk_free_bytes": 9_000, "disk_total_bytes": 100_000}, "disk", Condition.WARNING),
        ({"disk_free_bytes": 4_000, "disk_total_bytes": 100_000}, "disk", Condition.ERROR),
        ({"disk_free_bytes": 9}, "disk", Condition.ERROR),
        ({"report": report(WALLS)}, "sandbox.system calls", Condition.WARNING),
    ],
)
def test_what_is_not_well_says_why_and_what_to_do(change: dict[str, object], key: str, condition: Condition) -> None:
    row = found(replace(HEALTHY, **change))[key]  # type: ignore[arg-type]
    assert row.condition is condition
    assert row.reason
    assert row.action


def test_who_waits_for_a_broker_that_is_away_is_not_to_be_restarted() -> None:
    silent = (NodeView("celery", MOMENT, {}, 60.0, True), NodeView("beat", MOMENT, {}, 1.0, False))
    alone = found(replace(HEALTHY, nodes=silent))["celery"]
    waiting = found(replace(HEALTHY, nodes=silent, broker=Ping("Redis at r", error="no connection to it")))["celery"]
    assert "Restart the server" in alone.action
    assert waiting.action == "It waits for the broker and goes on by itself once that answers."


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (redis.TimeoutError("x"), "nothing came within 1 s"),
        (redis.ConnectionError("x"), "no connection to it"),
        (redis.AuthenticationError("x"), "it refuses the password in its URL"),
        (redis.ResponseError("x"), "ResponseError"),
    ],
)
def test_a_broker_that_does_not_answer_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, error: redis.RedisError, words: str
) -> None:
    def fail(*_where: object, **_how: object) -> None:
        raise error

    monkeypatch.setattr(redis.Redis, "from_url", fail)
    assert setup_facts._redis("redis://broker:6379/0") == Ping("Redis at broker", error=words)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (("files", "active (Landlock ABI 7)"), ("Files", True, "Landlock ABI 7")),
        (("scratch", "active"), ("Scratch space", True, "")),
        (("system calls", "inactive: no seccomp here"), ("System calls", False, "no seccomp here")),
        (("moat", "active"), ("moat", True, "")),
    ],
)
def test_a_wall_is_shown_by_its_name_and_whether_it_stands(said: tuple[str, str], shown: tuple[str, bool, str]) -> None:
    assert system.wall_in_words(said) == shown


def test_a_worker_that_only_a_silent_beat_makes_silent_is_not_called_dead() -> None:
    silent = (NodeView("celery", MOMENT, {}, 60.0, True), NodeView("beat", MOMENT, {}, 61.0, True))
    rows = found(replace(HEALTHY, nodes=silent))
    assert (rows["celery"].value, rows["beat"].value) == ("not known", "silent")
    assert "Beat" in rows["celery"].reason
