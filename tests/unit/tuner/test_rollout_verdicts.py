"""The verdict on a rollout, row by row: when it goes on, when it ends, when it waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.core.snapshot import RolloutMode
from proxy.metrics import histogram
from proxy.tuner.evidence import Compared, Counts, bounds, surely_more
from proxy.tuner.rollout import Abort, Advance, Promote, RolloutPolicy, RolloutReason, RolloutView, Wait, Window
from proxy.tuner.rollout import judge_rollout as judge

POLICY = RolloutPolicy(RolloutMode.CANARY, ((5, 60), (50, 60)), max_error_ratio=0.01, max_p99_ratio=2.0)
SHADOW = replace(POLICY, mode=RolloutMode.SHADOW, steps=((100, 60),))


def counts(answered: int, failed: int = 0, ms: float = 5.0, slow: int = 0, slow_ms: float = 50.0) -> Counts:
    buckets = {histogram.index(round(ms * 1e6)): answered - slow}
    histogram.merge(buckets, {histogram.index(round(slow_ms * 1e6)): slow})
    return Counts(answered, failed, buckets)


def view(
    candidate: Counts,
    default: Counts | None = None,
    compared: Compared | None = None,
    *,
    step: int = 0,
    age_s: float = 30.0,
    **changes: object,
) -> RolloutView:
    window = Window(candidate, default or counts(1_000), compared or Compared())
    plain = RolloutView(step, age_s, False, "ready", (window,), age_s=1.0)
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_a_healthy_step_is_held_for_its_time_and_then_left() -> None:
    held = judge(view(counts(100), age_s=59.9), POLICY)
    assert isinstance(held, Wait) and held.reason is RolloutReason.HOLD_TIME
    gone = judge(view(counts(100), age_s=60), POLICY)
    assert isinstance(gone, Advance) and gone.to_step == 1
    assert isinstance(judge(view(counts(100), step=1, age_s=60), POLICY), Promote)


def test_a_step_without_enough_requests_is_not_left() -> None:
    waits = judge(view(counts(19), age_s=1_000), POLICY)
    assert isinstance(waits, Wait) and waits.reason is RolloutReason.FEW_REQUESTS


def test_a_shadow_is_never_promoted_by_itself() -> None:
    done = judge(view(counts(100), compared=Compared(100), age_s=60), SHADOW)
    assert isinstance(done, Wait) and done.reason is RolloutReason.SHADOW_DONE


@pytest.mark.parametrize(
    ("candidate", "default", "ends"),
    [
        (counts(10, 10), counts(400), True),  # F22: half fail, at 5 % of a small traffic
        (counts(5, 5), counts(95), True),
        (counts(0, 4), counts(95), False),  # fewer than MIN_BAD
        (counts(95, 5), counts(95, 5), False),  # as bad as the default
        (counts(980, 20), counts(990, 10), False),  # twice as many, not surely a percent more
        (counts(9_700, 300), counts(9_990, 10), True),
        (counts(20, 20), Counts(), True),  # the default has no traffic to be compared with
    ],
)
def test_f22_errors_end_it_when_they_are_surely_more_than_the_defaults(
    candidate: Counts, default: Counts, ends: bool
) -> None:
    verdict = judge(view(candidate, default), POLICY)
    assert isinstance(verdict, Abort) == ends
    if ends:
        assert verdict.reason is RolloutReason.ERROR_RATE and str(candidate.failed) in verdict.words


@pytest.mark.parametrize(
    ("candidate", "default", "ends"),
    [
        (counts(20, slow=20), counts(400), True),  # F22: ten times slower
        (counts(4, slow=4), counts(400), False),
        (counts(1_000, slow=5), counts(400), False),  # half a percent may be slow
        (counts(1_000, slow=40), counts(400), True),
        (counts(1_000, ms=9.0), counts(400, ms=5.0), False),  # within twice
        (counts(100, slow=100), counts(10), False),  # the default's p99 of ten answers is no limit
    ],
)
def test_f22_slow_answers_end_it(candidate: Counts, default: Counts, ends: bool) -> None:
    verdict = judge(view(candidate, default), POLICY)
    assert isinstance(verdict, Abort) == ends
    if ends:
        assert verdict.reason is RolloutReason.LATENCY


@pytest.mark.parametrize(
    ("compared", "ends"),
    [(Compared(20, 20, 3.0), True), (Compared(4, 4), False), (Compared(1_000, 12), False), (Compared(1_000, 50), True)],
)
def test_drift_ends_a_shadow(compared: Compared, ends: bool) -> None:
    verdict = judge(view(counts(100), compared=compared), SHADOW)
    assert isinstance(verdict, Abort) == ends


def test_f22_a_candidate_that_does_not_load_ends_it() -> None:
    failed = view(Counts(), candidate_state="failed", trouble="No such operator.")
    verdict = judge(failed, POLICY)
    assert isinstance(verdict, Abort) and "No such operator." in verdict.words
    tries = judge(replace(failed, candidate_state="loading", failed_starts=2), POLICY)
    assert isinstance(tries, Abort) and tries.reason is RolloutReason.CANDIDATE_FAILED


def test_time_in_which_the_candidate_does_not_answer_is_no_hold_time() -> None:
    verdict = judge(view(Counts(), candidate_state="loading", age_s=1_000), POLICY)
    assert isinstance(verdict, Wait) and verdict.restart_clock


def test_what_breaks_late_in_a_long_step_is_not_diluted() -> None:
    whole = Window(counts(100_000, 50), counts(100_000))
    last = Window(counts(50, 50), counts(1_000))
    assert not isinstance(judge(view(Counts(), windows=(whole,)), POLICY), Abort)
    assert isinstance(judge(view(Counts(), windows=(whole, last)), POLICY), Abort)


def test_one_that_is_held_is_watched_all_the_same() -> None:
    assert isinstance(judge(view(counts(50, 50), is_held=True), POLICY), Abort)
    waits = judge(view(counts(100), is_held=True, age_s=1_000), POLICY)
    assert isinstance(waits, Wait) and waits.reason is RolloutReason.HELD_BY_OPERATOR


@pytest.mark.parametrize("age_s", [None, 10.1, 1e9])
def test_nothing_is_decided_on_old_news(age_s: float | None) -> None:
    window = Window(counts(0, 100), counts(1_000))
    verdict = judge(RolloutView(0, 1_000, False, "ready", (window,), age_s), POLICY)
    assert isinstance(verdict, Wait) and verdict.reason is RolloutReason.STALE_MEASUREMENTS


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_the_interval_is_wilsons(part: int, whole: int, low: float, high: float) -> None:
    """Row 3 is Newcombe's own example; rows 1 and 2 are z²/(n+z²)."""
    assert bounds(part, whole, 1.959964) == pytest.approx((low, high), abs=1e-3)


def test_the_difference_is_newcombes() -> None:
    """56/70 against 48/80: 0.0524 to 0.3339 (Newcombe 1998, table II, contrast a, method 10)."""
    assert surely_more((56, 70), (48, 80), 1.959964) == pytest.approx(0.0524, abs=1e-3)
