"""F20: whatever the wall clock does, each periodic task is sent at its pace: neither a stand nor a burst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.schedules import BaseSchedule
from django.conf import settings

from dlproxy_site import beat

EACH_S = {"heartbeat": 5.0, "rollouts": 2.0, "sweep": 60.0}
Run = Callable[[int], Counter[str]]


class Clock:
    """The wall clock, set as a test likes."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Run]]:
    """Start beat, as often as the test likes, on one file; what it gives runs it for so many seconds."""
    monkeypatch.setattr(BaseSchedule, "now", lambda _: clock.now)
    open_ones: list[beat.Scheduler] = []

    def started() -> Run:
        app = Celery("test", set_as_current=False, broker="memory://")
        app.conf.beat_schedule = {name: {"task": name, "schedule": seconds} for name, seconds in EACH_S.items()}
        app.now = lambda: clock.now
        scheduler = beat.Scheduler(app, schedule_filename=str(tmp_path / "schedule"))
        open_ones.append(scheduler)
        sent: Counter[str] = Counter()
        scheduler.apply_entry = lambda entry, producer=None: sent.update([entry.name])

        def run(seconds: int) -> Counter[str]:
            sent.clear()
            for _ in range(seconds):
                clock.move(seconds=1)
                for _ in range(2 * len(EACH_S)):  # one is sent at a time
                    scheduler.tick()
            return Counter(sent)

        return run

    yield started
    for scheduler in open_ones:
        scheduler.close()


def at_pace(sent: Counter[str], seconds: int) -> bool:
    return all(abs(sent[name] - seconds / each_s) <= 1.5 for name, each_s in EACH_S.items())


def test_tasks_are_sent_at_their_pace(start: Any) -> None:
    assert at_pace(start()(120), 120)


@pytest.mark.parametrize("hours", [-24, -1, -0.01, 0.01, 1, 24])
def test_f20_a_clock_that_jumps_neither_stops_them_nor_sets_off_a_burst(start: Any, clock: Clock, hours: float) -> None:
    run = start()
    run(120)
    clock.move(hours=hours)
    assert at_pace(run(120), 120)


def test_f20_a_clock_that_was_set_back_while_beat_was_down_is_no_stand_either(start: Any, clock: Clock) -> None:
    run = start()
    run(120)
    clock.move(hours=-1)
    assert at_pace(start()(120), 120)


def test_it_is_what_the_settings_name() -> None:
    assert f"{beat.__name__}:{beat.Scheduler.__name__}" == settings.CELERY_BEAT_SCHEDULER
