"""What came of a change: kept, undone, or nothing to conclude; each in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.core.policies import Knob, Objective
from proxy.tuner.knobs import Settings
from proxy.tuner.objective import Goal
from proxy.tuner.trial import incomparable, judge, measured_until_unix_s, settle_from
from proxy.tuner.trial_guards import guard_hurt
from proxy.tuner.tried import Outcome
from proxy.tuner.tuning_view import MOST_SETTLE_S, SETTLE_S, WINDOW_S, Aim, Expectation, Proposal, Running, Why
from proxy.tuner.windows import window_from
from tests.unit.tuner.tuning_cast import NOW, cache_report, seconds, view

EXPECTED = Expectation("p99_ms", 31.0, 22.0, True, "the line says so")


def proposal(knob=Knob.BATCH_ROWS, old=32, new=64, **changes):
    return replace(Proposal(knob, old, new, Why.BATCHES_FULL, "Words.", EXPECTED, gain_ratio=0.1), **changes)


def trial(before, after, *, goal=None, a_proposal=None, cache=None):
    """The verdict on seconds before and after."""
    a_proposal = a_proposal or proposal()
    at = NOW - WINDOW_S - SETTLE_S
    told = [*seconds(60, until=at, **before), *seconds(WINDOW_S + SETTLE_S, **after)]
    settings = Settings(instances=2).moved(a_proposal.knob, a_proposal.to_value)
    a_view = view(settings=settings, seconds=told, goal=goal or Goal(), cache=cache)
    return judge(a_view, Running(a_proposal, at), NOW)


def test_the_verdict_comes_when_the_window_after_is_complete():
    assert measured_until_unix_s(Running(proposal(settle_s=7.0), 100.0)) == 107.0 + WINDOW_S


def test_a_change_that_helps_is_kept_with_both_windows():
    verdict = trial({"ms": 10.0}, {"ms": 8.0})
    assert verdict.outcome is Outcome.KEPT
    assert verdict.before.p99_ms > verdict.after.p99_ms
    assert "mean 10." in verdict.words and "→ 8." in verdict.words and verdict.words.endswith("kept.")
    assert (verdict.tried.from_value, verdict.tried.to_value, verdict.tried.outcome) == (32, 64, Outcome.KEPT)


def test_a_change_that_does_not_help_is_undone():
    verdict = trial({"ms": 10.0}, {"ms": 10.0, "seed": 3})
    assert verdict.outcome is Outcome.UNDONE
    assert "did not help" in verdict.words and "32 rows is back" in verdict.words


def test_a_change_that_makes_it_worse_is_undone():
    verdict = trial({"ms": 10.0}, {"ms": 12.0})
    assert verdict.outcome is Outcome.UNDONE
    assert "got worse" in verdict.words


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({"per_s": 300}, "Load changed from"),
        ({"per_s": 120}, "Load changed from"),
        ({"instances": 3}, "Instances changed from 2.0 to 3.0"),
        ({"inferences": 800, "executions": 100}, "rows"),
        ({"requests": 2, "histogram": {100: 2}, "inferences": 2, "executions": 1}, "requests were answered"),
    ],
)
def test_what_cannot_be_compared_is_inconclusive_and_undone(after, words):
    verdict = trial({}, after)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert words in verdict.words and "undone" in verdict.words


def test_missing_seconds_are_inconclusive():
    at = NOW - WINDOW_S - SETTLE_S
    verdict = judge(view(seconds=seconds(60, until=at)), Running(proposal(), at), NOW)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    half = [*seconds(60, until=at), *seconds(15)]
    assert judge(view(seconds=half), Running(proposal(), at), NOW).outcome is Outcome.INCONCLUSIVE


def test_f36_absurd_seconds_after_are_inconclusive():
    verdict = trial({}, {"busy_ratio": float("nan")})
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_refusals_are_a_guard_however_fast_the_rest_is():
    verdict = trial({"ms": 10.0}, {"ms": 5.0, "rejections": 5})
    assert verdict.outcome is Outcome.UNDONE
    assert "refused requests rose from 0.0% to 2.4%" in verdict.words


def test_the_tail_is_a_guard_of_throughput_and_not_below_the_target():
    goal = Goal(Objective.HIGHEST_THROUGHPUT)
    before, after = window_from(seconds(30, ms=10.0)), window_from(seconds(30, ms=15.0))
    assert "p99 rose from" in guard_hurt(before, after, goal)
    assert guard_hurt(before, after, replace(goal, target_ms=100.0)) is None
    assert guard_hurt(before, before, goal) is None


def test_throughput_is_a_guard_of_latency():
    before = window_from(seconds(30))
    queued = [replace(one, queue_depth=20 * number) for number, one in enumerate(seconds(30))]
    assert "answers fell from" in guard_hurt(before, window_from(queued), Goal())


def test_the_target_is_a_guard_of_the_cost():
    goal = Goal(Objective.LOWEST_COST, 99, 32.0)
    a_proposal = proposal(Knob.INSTANCES, 3, 2)
    verdict = trial({"ms": 10.0, "instances": 3}, {"ms": 15.0}, goal=goal, a_proposal=a_proposal)
    assert verdict.outcome is Outcome.UNDONE
    assert "above the target of 32 ms" in verdict.words
    kept = trial({"ms": 10.0, "instances": 3}, {"ms": 10.2}, goal=goal, a_proposal=a_proposal)
    assert kept.outcome is Outcome.KEPT


def test_what_other_models_of_the_machine_lose_is_a_guard():
    at = NOW - WINDOW_S - SETTLE_S
    told = [*seconds(60, until=at), *seconds(WINDOW_S + SETTLE_S, ms=8.0)]
    beside = [*seconds(60, until=at), *seconds(WINDOW_S + SETTLE_S, ms=12.0)]
    settings = Settings(instances=2, max_batch_rows=64)
    a_view = view(settings=settings, seconds=told, neighbours={"other": beside})
    verdict = judge(a_view, Running(proposal(), at), NOW)
    assert verdict.outcome is Outcome.UNDONE
    assert "other became" in verdict.words
    assert "slower beside it" in verdict.words
    unharmed = judge(replace(a_view, neighbours={"other": seconds(100), "idle": []}), Running(proposal(), at), NOW)
    assert unharmed.outcome is Outcome.KEPT


@pytest.mark.parametrize(
    ("own_ms", "other_ms", "outcome"),
    [
        (6.0, 11.0, Outcome.KEPT),  # gains half, costs the other a tenth
        (8.5, 11.2, Outcome.UNDONE),  # costs the other more than half of what it gains
        (3.0, 13.0, Outcome.UNDONE),  # no gain is worth more than a fifth
        (10.0, 11.2, Outcome.UNDONE),
    ],
)
def test_others_may_lose_a_little_where_much_is_gained(own_ms, other_ms, outcome):
    at = NOW - WINDOW_S - SETTLE_S
    told = [*seconds(60, until=at), *seconds(WINDOW_S + SETTLE_S, ms=own_ms)]
    beside = [*seconds(60, until=at), *seconds(WINDOW_S + SETTLE_S, ms=other_ms)]
    a_view = view(settings=Settings(instances=2, max_batch_rows=64), seconds=told, neighbours={"other": beside})
    verdict = judge(a_view, Running(proposal(), at), NOW)
    assert verdict.outcome is outcome
    assert ("slower beside it" in verdict.words) == (outcome is Outcome.UNDONE)


def test_what_saves_memory_is_kept_unless_it_costs_latency():
    a_proposal = proposal(Knob.CACHE_SIZE, 64, 32, aim=Aim.CHEAPER)
    assert trial({}, {"seed": 2}, a_proposal=a_proposal).outcome is Outcome.KEPT
    worse = trial({"ms": 10.0}, {"ms": 11.0}, a_proposal=a_proposal)
    assert worse.outcome is Outcome.UNDONE
    assert "not worth that" in worse.words


def test_a_cache_is_compared_by_what_the_curve_says_of_its_old_size():
    evidence = {"mix_hit_ratio": 0.3, "mix_mib": 64}
    a_proposal = proposal(Knob.CACHE_SIZE, 64, 128, evidence=evidence)
    same = trial({"ms": 10.0}, {"ms": 8.0}, a_proposal=a_proposal, cache=cache_report())
    assert same.outcome is Outcome.KEPT
    moved = cache_report(hits=(0.4, 0.6, 0.7))
    other = trial({"ms": 10.0}, {"ms": 8.0}, a_proposal=a_proposal, cache=moved)
    assert other.outcome is Outcome.INCONCLUSIVE
    assert "repeats differently" in other.words


def test_loads_with_bursts_are_compared_at_equal_load():
    """Every third second brings twice as much and takes twice as long; the windows begin at different ones."""
    at = NOW - WINDOW_S - SETTLE_S
    told = []
    for one in seconds(100, ms=10.0):
        burst = one.at_unix_s % 15 < 5
        ms = (20.0 if burst else 10.0) * (0.85 if one.at_unix_s > at else 1.0)
        told += seconds(1, until=one.at_unix_s, ms=ms, per_s=300 if burst else 150)
    verdict = judge(view(seconds=told), Running(proposal(), at), NOW)
    assert verdict.outcome is Outcome.KEPT


def test_windows_of_no_arrivals_are_not_compared():
    quiet = window_from([replace(one, requests=0, histogram={}) for one in seconds(30)])
    assert "0 requests" in incomparable(quiet, quiet, Knob.BATCH_ROWS)


def hits(ratio, per_s=200):
    return {"cache_hits": round(ratio * per_s), "cache_misses": round((1 - ratio) * per_s)}


GROWS = Expectation("hits_ratio", 0.4, 0.5, False, "the curve says so")


@pytest.mark.parametrize(
    ("before", "after", "outcome", "words"),
    [
        # A tail that hides what hits bring: kept by the hits, unless the score rose or they did not rise as expected.
        ({"ms": 10.0, **hits(0.4)}, {"ms": 9.95, "seed": 3, **hits(0.49)}, Outcome.KEPT, "hits rose as expected"),
        ({"ms": 10.0, **hits(0.4)}, {"ms": 10.3, "seed": 3, **hits(0.49)}, Outcome.UNDONE, "64 MiB is back"),
        ({"ms": 10.0, **hits(0.4)}, {"ms": 9.95, "seed": 3, **hits(0.42)}, Outcome.UNDONE, "64 MiB is back"),
        ({"ms": 10.0, **hits(0.4)}, {"ms": 9.95, "seed": 3, **hits(0.4)}, Outcome.UNDONE, "64 MiB is back"),
    ],
)
def test_a_cache_is_kept_by_what_it_hits_more_where_the_score_is_too_noisy_to_tell(before, after, outcome, words):
    a_proposal = proposal(Knob.CACHE_SIZE, 64, 66, expectation=GROWS)
    verdict = trial(before, after, a_proposal=a_proposal)
    assert verdict.outcome is outcome
    assert words in verdict.words


def test_few_look_ups_that_hit_more_are_left_to_a_longer_look():
    a_proposal = proposal(Knob.CACHE_SIZE, 64, 66, expectation=GROWS)
    few = {"per_s": 10, "ms": 10.0}
    verdict = trial({**few, **hits(0.4, 10)}, {**few, "seed": 3, **hits(0.5, 10)}, a_proposal=a_proposal)
    assert verdict.outcome is not Outcome.KEPT
    assert verdict.is_open


def test_a_cache_settles_when_it_has_filled():
    assert settle_from(1e6, 1e5, MOST_SETTLE_S) == 10
    assert settle_from(1e9, 1e5, MOST_SETTLE_S) == MOST_SETTLE_S
    assert settle_from(-1e6, 1e5, MOST_SETTLE_S) == SETTLE_S
    assert settle_from(1e6, 0, MOST_SETTLE_S) == SETTLE_S
