"""The control loop while the database is away: one line when it is lost, one when it is back, nothing between (F13)."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError

from models_admin.models import ModelVersion
from models_admin.services import leases, measurements, nodes
from models_admin.services import validation as validations
from models_admin.tasks import housekeeping, outages, rollout, scaling, validation
from proxy.core.outage import Outage

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def unbroken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "database", Outage())
    monkeypatch.setattr(housekeeping, "_beat", Outage())


def away(*_: Any, **__: Any) -> Any:
    raise OperationalError("connection refused\n\tIs the server running?")


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, bool]]:
    return [(record.levelname, bool(record.exc_info)) for record in caplog.records]


def test_f13_tasks_say_once_that_the_database_is_away_and_once_that_it_is_back(
    caplog: pytest.LogCaptureFixture, ready: ModelVersion
) -> None:
    with caplog.at_level(logging.INFO, logger="models_admin"), pytest.MonkeyPatch.context() as lost:
        for owner, name in (
            (leases, "acquire"),
            (measurements, "roll_up"),
            (nodes, "heartbeat"),
            (validations, "unfinished"),
        ):
            lost.setattr(owner, name, away)
        for _ in range(3):
            scaling.scale()
            housekeeping.roll_up()
            housekeeping.heartbeat()
            validation.resume_validations()
    assert said(caplog) == [("WARNING", False)]
    assert caplog.messages[0].endswith("OperationalError: connection refused Is the server running?")
    with caplog.at_level(logging.INFO, logger="models_admin"):
        rollout.roll_out()
        housekeeping.heartbeat()
    assert said(caplog)[1:] == [("INFO", False)]


def test_f13_a_database_lost_in_the_middle_of_a_tick_ends_the_tick(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, ready: ModelVersion
) -> None:
    monkeypatch.setattr("models_admin.tasks.scaling.recent_load", away)
    scaling.scale()
    assert said(caplog) == [("WARNING", False)]


def test_f13_beat_says_once_that_it_cannot_note_its_heartbeat(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as lost:
        lost.setattr(nodes, "heartbeat", away)
        housekeeping.note_beat()
        housekeeping.note_beat()
    with caplog.at_level(logging.INFO, logger="models_admin"):
        housekeeping.note_beat()
        housekeeping.note_beat()
    assert said(caplog) == [("WARNING", False), ("INFO", False)]


def test_a_fault_of_ours_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(**_: Any) -> None:
        raise ValueError("x")

    monkeypatch.setattr(measurements, "roll_up", fault)
    with pytest.raises(ValueError, match="x"):
        housekeeping.roll_up()


def test_an_outage_that_becomes_another_is_said_again() -> None:
    outage = Outage()
    errors = [OperationalError("a"), OperationalError("b"), InterfaceError("c")]
    assert [outage.failed(error) for error in errors] == [True, False, True]
    assert [outage.worked(), outage.worked()] == [True, False]
