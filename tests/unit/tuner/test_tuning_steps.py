"""One look: what is done, and why nothing is."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from proxy.core.policies import Knob, Objective, TuningMode
from proxy.tuner.objective import Goal
from proxy.tuner.tried import Outcome, Tried, load_bucket
from proxy.tuner.tuning import next_step
from proxy.tuner.tuning_rows import from_row, to_row
from proxy.tuner.tuning_view import (
    COOLDOWN_S,
    SETTLE_S,
    WINDOW_S,
    Advise,
    Begin,
    Hold,
    Keep,
    Measure,
    Running,
    Undo,
    Why,
)
from tests.unit.tuner.tuning_cast import ALL_AUTOMATIC, NOW, cache_report, seconds, view

DIFFERENT = (4.0, 9.0)


def promising(**changes):
    """Instances that differ, so that another placement promises something."""
    return view(**{"instance_service_ms": DIFFERENT, **changes})


@pytest.mark.parametrize(
    ("changes", "why", "words"),
    [
        ({"frozen": True}, Why.FROZEN, "froze"),
        ({"modes": dict.fromkeys(Knob, TuningMode.OFF)}, Why.OFF, "off"),
        ({"seconds": []}, Why.MISSING_METRICS, "no measurements"),
        ({"seconds": seconds(until=NOW - 20)}, Why.STALE_METRICS, "20 s old"),
        ({"seconds": seconds(until=NOW + 60)}, Why.ABSURD_METRICS, "future"),
        ({"seconds": seconds(busy_ratio=1e9)}, Why.ABSURD_METRICS, "busy ratio is impossible"),
        ({"seconds": seconds(requests=0, histogram={})}, Why.TOO_LITTLE_LOAD, "0 requests"),
        ({"seconds": seconds(10)}, Why.TOO_FEW_SECONDS, "10 of the last 30 s"),
        ({"seconds": seconds(instances=0)}, Why.NO_INSTANCE, "No instance"),
        ({"ready_instances": 0}, Why.NO_INSTANCE, "No instance"),
        ({"cooldown_until_unix_s": NOW + 7}, Why.COOLING_DOWN, "7 s"),
        ({"goal": Goal(Objective.LOWEST_COST)}, Why.NO_TARGET, "set a target"),
        ({"seconds": [*seconds(20, until=NOW - 15), *seconds(15, per_s=400)]}, Why.UNSTEADY_LOAD, "waits for calm"),
        ({"instance_service_ms": (4.0, 4.1)}, Why.NOTHING_PROMISING, "No step"),
    ],
)
def test_holds_say_why(changes, why, words):
    step = next_step(promising(**changes), NOW)
    assert isinstance(step, Hold)
    assert step.why is why
    assert words in step.words


def test_an_automatic_knob_is_begun_with_an_expectation_in_words_and_numbers():
    step = next_step(promising(), NOW)
    assert isinstance(step, Begin)
    proposal = step.proposal
    assert (proposal.knob, proposal.from_value, proposal.to_value) == (
        Knob.PLACEMENT,
        "least_outstanding",
        "least_response_time",
    )
    assert proposal.expectation.after < proposal.expectation.before
    assert "p99" in proposal.words and "2.2 times as long" in proposal.words
    assert set(step.by_knob) == set(Knob)


def test_a_knob_on_advice_is_advised_once():
    modes = ALL_AUTOMATIC | {Knob.PLACEMENT: TuningMode.ADVISE}
    assert isinstance(next_step(promising(modes=modes), NOW), Advise)
    waiting = next_step(promising(modes=modes, advised=(Knob.PLACEMENT,)), NOW)
    assert isinstance(waiting, Hold)
    assert waiting.why is Why.ALL_TRIED


def test_a_knob_that_is_not_named_is_advised_on():
    assert isinstance(next_step(promising(modes={}), NOW), Advise)


def test_a_knob_that_is_off_is_left_alone():
    step = next_step(promising(modes=ALL_AUTOMATIC | {Knob.PLACEMENT: TuningMode.OFF}), NOW)
    assert isinstance(step, Hold)
    assert step.by_knob[Knob.PLACEMENT] == "Off."


def test_the_scaling_rules_words_stand_for_the_number_of_instances():
    assert next_step(promising(), NOW).by_knob[Knob.INSTANCES] == "The rule."


def test_what_was_undone_at_such_a_load_is_not_begun_again():
    tried = [
        Tried(Knob.PLACEMENT, "least_outstanding", choice, Outcome.UNDONE, load_bucket(200), NOW, "lowest_latency")
        for choice in ("least_response_time", "power_of_two_choices")
    ]
    step = next_step(promising(tried=tried), NOW + 1)
    assert isinstance(step, Hold)
    assert "not again for" in step.by_knob[Knob.PLACEMENT]


def running(at_s, settle_s=SETTLE_S):
    begun = next_step(promising(), NOW)
    assert isinstance(begun, Begin)
    return Running(replace(begun.proposal, settle_s=settle_s), at_s)


def in_force(a_running, told, **changes):
    a_view = promising(seconds=told, running=a_running, **changes)
    proposal = a_running.proposal
    return replace(a_view, settings=a_view.settings.moved(proposal.knob, proposal.to_value))


def test_while_it_is_measured_nothing_else_is_done():
    one = running(NOW - 10)
    step = next_step(in_force(one, seconds()), NOW)
    assert isinstance(step, Measure)
    assert step.until_unix_s == NOW - 10 + SETTLE_S + WINDOW_S
    assert "measured for 25 s more" in step.words


def test_a_verdict_waits_for_its_last_second_and_not_for_ever():
    one = running(NOW - SETTLE_S - WINDOW_S)
    late = in_force(one, seconds(until=NOW - 3))
    assert isinstance(next_step(late, NOW), Measure)
    assert isinstance(next_step(late, NOW + 31), Undo)
    assert isinstance(next_step(in_force(one, ()), NOW + 31), Undo)


def test_a_trial_that_helped_is_kept_and_rests():
    at = NOW - SETTLE_S - WINDOW_S
    told = [*seconds(60, until=at), *seconds(SETTLE_S + WINDOW_S, ms=7.0)]
    step = next_step(in_force(running(at), told), NOW)
    assert isinstance(step, Keep)
    assert step.cooldown_until_unix_s == NOW + COOLDOWN_S


def test_one_that_did_not_is_undone_and_rests_until_a_clean_window_lies_behind_it():
    at = NOW - SETTLE_S - WINDOW_S
    told = [*seconds(60, until=at), *seconds(SETTLE_S + WINDOW_S, ms=10.0, seed=1)]
    step = next_step(in_force(running(at), told), NOW)
    assert isinstance(step, Undo)
    assert step.cooldown_until_unix_s == NOW + SETTLE_S + WINDOW_S


def test_a_cache_that_is_filling_is_waited_for():
    told = seconds(15, until=NOW - 15, cache_hits=20, cache_misses=180) + seconds(15, cache_hits=60, cache_misses=140)
    step = next_step(promising(seconds=told), NOW)
    assert isinstance(step, Hold)
    assert step.why is Why.UNSTEADY_LOAD
    assert "settled" in step.words


def test_a_proposal_survives_a_row():
    step = next_step(view(cache=cache_report(saved=(50.0, 150.0, 400.0), hits=(0.1, 0.3, 0.6))), NOW)
    assert isinstance(step, Begin)
    assert from_row(json.loads(json.dumps(to_row(step.proposal)))) == step.proposal
    assert from_row(None) is from_row({"knob": "placement"}) is None


def test_what_was_written_before_the_clock_was_set_back_is_not_waited_for():
    begun = next_step(promising(), NOW)
    assert isinstance(begun, Begin)
    year_s = 365 * 86_400.0
    running = Running(begun.proposal, NOW + year_s)
    step = next_step(promising(running=running), NOW)
    assert isinstance(step, Undo)
    assert step.verdict.outcome is Outcome.INCONCLUSIVE
    load = load_bucket(200)
    undone = Tried(
        begun.proposal.knob, begun.proposal.from_value, begun.proposal.to_value, Outcome.UNDONE, load, NOW + year_s
    )
    undone = replace(undone, objective=promising().goal.objective.value)
    resting = next_step(promising(tried=(replace(undone, at_unix_s=NOW - 60),)), NOW)
    assert isinstance(resting, Begin) and resting.proposal != begun.proposal
    assert next_step(promising(tried=(undone,)), NOW) == begun
    assert isinstance(next_step(promising(cooldown_until_unix_s=NOW + year_s), NOW), Begin)
