"""A trial whose first windows leave its verdict open is measured for longer, once, as far as its past allows."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from proxy.core.policies import Knob
from proxy.tuner.knobs import Settings
from proxy.tuner.trial import judge, measured_until_unix_s
from proxy.tuner.trial_length import calm_before_s, longer_s
from proxy.tuner.tried import Outcome
from proxy.tuner.tuning import next_step
from proxy.tuner.tuning_view import (
    HISTORY_S,
    MOST_SETTLE_S,
    MOST_WINDOW_S,
    SETTLE_S,
    WINDOW_S,
    Expectation,
    Keep,
    Measure,
    Proposal,
    Running,
    Undo,
    Why,
)
from tests.unit.tuner.tuning_cast import NOW, seconds, view

EXPECTED = Expectation("p99_ms", 31.0, 22.0, True, "the line says so")
PROPOSAL = Proposal(Knob.BATCH_ROWS, 32, 64, Why.BATCHES_FULL, "Words.", EXPECTED, gain_ratio=0.1)
SWING = 0.08
"""Swing of the latency, in parts: within 30 s a gain of a few per cent is not told from it, within 120 s it is."""
GAINS_MS, HARDLY_MS, SURELY_MS = 9.5, 9.9, 7.0


def unsteady(length, *, until, ms, per_s=100):
    """Seconds whose latency swings by itself, each 3 s."""
    told = []
    for number in range(length):
        at = until - length + 1 + number
        swing = 1 + SWING * random.Random(f"swing {int(at) // 3}").choice((-1, 1))
        told += seconds(1, until=at, ms=ms * swing, per_s=per_s)
    return told


def trial(before_s, after_s, *, after_ms=GAINS_MS, **keywords):
    """(View, running) of a change `after_s` + SETTLE_S ago, with `before_s` before it."""
    at = NOW - SETTLE_S - after_s
    told = unsteady(before_s, until=at, ms=10.0, **keywords)
    told += unsteady(SETTLE_S + after_s, until=NOW, ms=after_ms, **keywords)
    settings = Settings(instances=2, max_batch_rows=64)
    one = Running(PROPOSAL, at)
    return view(settings=settings, seconds=told, running=one), one


def test_a_gain_that_chance_explains_is_measured_for_longer_and_then_kept():
    short, one = trial(150, WINDOW_S)
    assert judge(short, one, NOW).is_open
    step = next_step(short, NOW)
    assert isinstance(step, Measure)
    assert step.until_unix_s == measured_until_unix_s(one, MOST_WINDOW_S)
    step = next_step(trial(150, MOST_WINDOW_S)[0], NOW)
    assert isinstance(step, Keep)
    assert (step.verdict.before.length_s, step.verdict.after.length_s) == (MOST_WINDOW_S, MOST_WINDOW_S)


def test_the_longer_windows_decide_for_good():
    step = next_step(trial(150, MOST_WINDOW_S, after_ms=HARDLY_MS)[0], NOW)
    assert isinstance(step, Undo)
    assert step.verdict.after.length_s in (WINDOW_S, MOST_WINDOW_S)


@pytest.mark.parametrize(("before_s", "length_s"), [(60, 60), (80, 75), (400, MOST_WINDOW_S)])
def test_the_window_after_is_no_longer_than_what_lies_before(before_s, length_s):
    a_view, one = trial(before_s, WINDOW_S)
    assert longer_s(a_view, one.applied_at_unix_s, NOW) == length_s


def test_nothing_before_means_nothing_longer():
    a_view, one = trial(WINDOW_S + 10, WINDOW_S)
    assert longer_s(a_view, one.applied_at_unix_s, NOW) is None
    assert isinstance(next_step(a_view, NOW), Undo)


def test_another_load_further_back_ends_the_window_before():
    told = [*seconds(60, until=NOW - 60, per_s=300), *seconds(60)]
    assert calm_before_s(told, NOW) == 60
    assert calm_before_s([*seconds(60, until=NOW - 60, instances=3), *seconds(60)], NOW) == 60
    other = [*seconds(60, until=NOW - 60, cache_hits=100, cache_misses=100), *seconds(60, cache_misses=200)]
    assert calm_before_s(other, NOW) == 60
    assert calm_before_s((), NOW) == WINDOW_S


def test_too_few_requests_are_waited_for():
    short, one = trial(150, WINDOW_S, per_s=3, after_ms=SURELY_MS)
    verdict = judge(short, one, NOW)
    assert (verdict.outcome, verdict.is_open) == (Outcome.INCONCLUSIVE, True)
    assert isinstance(next_step(short, NOW), Measure)


def test_what_is_sure_is_not_waited_for():
    for after_ms in (SURELY_MS, 14.0):
        short, one = trial(150, WINDOW_S, after_ms=after_ms)
        assert not judge(short, one, NOW).is_open


def test_measurements_that_stop_are_not_waited_for_longer():
    short, _ = trial(150, WINDOW_S)
    assert isinstance(next_step(short, NOW + 16), Undo)


def test_all_that_a_longer_trial_is_judged_by_is_given():
    assert HISTORY_S >= 2 * MOST_WINDOW_S + MOST_SETTLE_S
    short, one = trial(HISTORY_S, WINDOW_S)
    late = replace(short, seconds=short.seconds[-HISTORY_S:])
    assert longer_s(late, one.applied_at_unix_s, NOW) == MOST_WINDOW_S
