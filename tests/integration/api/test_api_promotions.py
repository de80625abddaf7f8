"""A promotion that is waited for: `Prefer: wait=…`."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from api_cast import Caller

from models_admin.models import Model
from proxy import gateway
from proxy.core.reports import MachineReport, ModelSecond, SecondReport, VersionReport

pytestmark = pytest.mark.django_db


@dataclass
class Plane:
    """What is asked of a data plane while a promotion waits."""

    default: int | None = 1
    state: str = "loading"
    asked: int = 0
    comes_after: int = 1_000_000

    @property
    def pipeline(self) -> Any:
        """It has read everything."""
        return SimpleNamespace(snapshot=SimpleNamespace(generation=1_000_000))

    @property
    def latest_report(self) -> SecondReport:
        """Version 2 is on its way, or was given up."""
        version = VersionReport("digits", 2, self.state, False, 0, 1, 0, "The reason.")
        return SecondReport(1, 1, 1, ModelSecond(), {}, (version,), (), MachineReport(1.0, (1.0,), 1, 2))

    def serving(self, model: str) -> int | None:
        """The default; version 2 once it was asked for often enough."""
        self.asked += 1
        return 2 if self.asked > self.comes_after else self.default

    def feed_soon(self) -> None:
        """Nothing is fed."""


@pytest.fixture
def plane(monkeypatch: pytest.MonkeyPatch) -> Plane:
    plane = Plane()
    monkeypatch.setattr(gateway, "_runtime", plane)
    return plane


def test_a_promotion_that_is_waited_for_is_answered_when_it_serves(staff: Caller, digits: Model, plane: Plane) -> None:
    plane.comes_after = 3
    answer = staff("POST", "/models/digits/versions/2/promote", Prefer="respond-async, wait=50")
    assert (answer.status_code, plane.asked) == (200, 4)
    assert answer.headers["Preference-Applied"] == "wait=50"
    assert "under_way" not in answer.json()


def test_one_that_does_not_serve_in_time_is_accepted_and_says_why(staff: Caller, digits: Model, plane: Plane) -> None:
    answer = staff("POST", "/models/digits/versions/2/promote", Prefer="wait=0")
    assert (answer.status_code, answer.json()["is_default"]) == (202, True)
    assert answer.json()["under_way"] == "It does not serve yet; it is loading. The reason."


def test_one_that_was_given_up_is_not_waited_for(
    staff: Caller, digits: Model, plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_OLD_NEWS_S", 0.05)
    plane.state = "quarantined"
    answer = staff("POST", "/models/digits/versions/2/promote", Prefer="wait=60")
    assert answer.status_code == 202
    assert "quarantined" in answer.json()["under_way"]


@pytest.mark.parametrize("prefer", [None, "", "wait", "wait=soon", "wait=-1", "respond-async", "wait=1" + "0" * 300])
def test_without_a_wish_nothing_is_waited_for(staff: Caller, digits: Model, plane: Plane, prefer: str | None) -> None:
    headers = {} if prefer is None else {"Prefer": prefer}
    answer = staff("POST", "/models/digits/versions/2/promote", **headers)
    assert (answer.status_code, plane.asked) == (200, 0)
    assert "Preference-Applied" not in answer.headers
