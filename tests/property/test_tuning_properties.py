"""Whatever is measured: bounds hold, one knob moves at a time, undoing restores, words and numbers are sound."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, isfinite, nan

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.core.policies import Eviction, Knob, Objective, Placement, TuningMode
from proxy.tuner.batch_queue import Load, Served, predict
from proxy.tuner.capacity import capacity, fit_from
from proxy.tuner.knobs import Bounds, Settings, steps
from proxy.tuner.objective import Goal
from proxy.tuner.service_time import ServiceTime, fit_with_prior
from proxy.tuner.tried import Outcome, Tried
from proxy.tuner.tuning import next_step
from proxy.tuner.tuning_rows import from_row, to_row
from proxy.tuner.tuning_view import Advise, Begin, Hold, Keep, Measure, Running, TuningView, Undo
from proxy.tuner.windows import window_from
from tests.unit.tuner.tuning_cast import NOW, cache_report, second

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def bounds(draw):
    def pair(low, high):
        one, other = draw(st.integers(low, high)), draw(st.integers(low, high))
        return min(one, other), max(one, other)

    return Bounds(
        instances=pair(1, 8),
        max_batch_rows=pair(1, 300),
        max_queue_delay_ms=tuple(map(float, pair(0, 50))),
        concurrency_limit=pair(0, 1_000),
        cache_max_mib=pair(1, 300),
        placement=tuple(draw(st.sets(st.sampled_from(list(Placement)), min_size=1))),
        cache_eviction=tuple(draw(st.sets(st.sampled_from(list(Eviction)), min_size=1))),
    )


@st.composite
def settings_within(draw, allowed):
    low_high = {knob: allowed.range_of(knob) for knob in Knob if knob not in (Knob.PLACEMENT, Knob.CACHE_POLICY)}
    whole = {
        knob.value: draw(st.integers(int(low), int(high)))
        for knob, (low, high) in low_high.items()
        if knob is not Knob.QUEUE_DELAY
    }
    return Settings(
        **whole,
        max_queue_delay_ms=float(draw(st.floats(*allowed.max_queue_delay_ms))),
        placement=draw(st.sampled_from(allowed.placement)),
        cache_eviction=draw(st.sampled_from(allowed.cache_eviction)),
    )


@st.composite
def views(draw):
    allowed = draw(bounds())
    now = draw(settings_within(allowed))
    per_s = draw(st.sampled_from([1, 20, 100]))
    keywords = {
        "per_s": per_s,
        "ms": draw(st.floats(0.5, 500)),
        "rows": draw(st.floats(1, now.max_batch_rows)),
        "alpha_ms": draw(st.floats(0, 50)),
        "beta_ms": draw(st.floats(0, 5)),
        "instances": now.instances,
        "rejections": draw(st.sampled_from([0, 0, per_s // 5])),
        "queue_depth": draw(st.sampled_from([0, 10, 1_000])),
    }
    made = [second(number, **keywords) for number in range(4)]
    told = [replace(made[number % 4], at_unix_s=NOW - 39 + number) for number in range(40)]
    if draw(st.booleans()):
        hits = per_s // 2
        told = [replace(one, cache_hits=min(hits, one.requests), cache_misses=hits) for one in told]
    curve = sorted(draw(st.tuples(*[st.floats(0, 1)] * 3)))
    saved = sorted(draw(st.tuples(*[st.floats(0, 3_000)] * 3)))
    return TuningView(
        now,
        allowed,
        Goal(draw(st.sampled_from(list(Objective))), draw(st.sampled_from([95, 99])), draw(st.floats(1, 500))),
        told,
        draw(st.dictionaries(st.sampled_from(list(Knob)), st.sampled_from(list(TuningMode)))),
        cache=draw(st.sampled_from([None, cache_report(now.cache_max_mib, saved=saved, hits=curve)])),
        instance_rule=draw(st.sampled_from([None, "The rule."])),
        ready_instances=now.instances,
        instance_service_ms=tuple(draw(st.lists(st.floats(0.1, 100), max_size=4))),
    )


@quick
@given(views())
def test_a_step_moves_one_knob_within_its_bounds_and_only_as_its_mode_says(view):
    step = next_step(view, NOW)
    assert isinstance(step, Hold | Advise | Begin)
    if isinstance(step, Hold):
        assert step.words
        return
    proposal = step.proposal
    assert view.mode(proposal.knob) is (TuningMode.AUTOMATIC if isinstance(step, Begin) else TuningMode.ADVISE)
    assert view.bounds.allow(proposal.knob, proposal.to_value)
    assert proposal.from_value == view.settings.of(proposal.knob) != proposal.to_value
    moved = view.settings.moved(proposal.knob, proposal.to_value)
    assert [knob for knob in Knob if moved.of(knob) != view.settings.of(knob)] == [proposal.knob]
    assert moved.moved(proposal.knob, proposal.from_value) == view.settings
    assert isfinite(proposal.expectation.before)
    assert isfinite(proposal.expectation.after)
    assert isfinite(proposal.gain_ratio)
    assert "nan" not in proposal.words
    assert "inf" not in proposal.words
    assert from_row(json.loads(json.dumps(to_row(proposal), allow_nan=False))) == proposal


@quick
@given(views())
def test_frozen_or_off_changes_nothing(view):
    assert isinstance(next_step(replace(view, frozen=True), NOW), Hold)
    off = dict.fromkeys(Knob, TuningMode.OFF)
    assert isinstance(next_step(replace(view, modes=off), NOW), Hold)


@quick
@given(views(), st.sampled_from([nan, inf, -inf, -1.0, 1e12]), st.sampled_from(["busy_ratio", "mean_ms", "requests"]))
def test_f36_absurd_measurements_change_nothing(view, value, name):
    bad = [*view.seconds[:-1], replace(view.seconds[-1], **{name: value})]
    assert isinstance(next_step(replace(view, seconds=bad), NOW), Hold)


@quick
@given(views(), st.floats(0, 100))
def test_while_a_trial_runs_no_other_begins_and_its_end_gives_a_verdict(view, age_s):
    automatic = replace(view, modes=dict.fromkeys(Knob, TuningMode.AUTOMATIC))
    step = next_step(automatic, NOW)
    if not isinstance(step, Begin):
        return
    proposal = step.proposal
    running = replace(
        automatic,
        settings=view.settings.moved(proposal.knob, proposal.to_value),
        running=Running(proposal, NOW - age_s),
    )
    after = next_step(running, NOW)
    assert isinstance(after, Measure | Keep | Undo)
    if isinstance(after, Keep | Undo):
        assert after.verdict.words
        assert after.cooldown_until_unix_s > NOW
        assert running.settings.moved(proposal.knob, proposal.from_value) == view.settings


@quick
@given(views(), st.floats(0.1, 1e6), st.floats(0, 1e4))
def test_capacity_is_finite_or_says_why_not(view, rate, target):
    answer = capacity(fit_from(window_from(view.seconds), view.settings), rate, target)
    assert answer.words
    assert "nan" not in answer.words
    if answer.instances is not None:
        assert all(isfinite(value) for value in answer.predicted_ms.values())
        if target:
            assert answer.predicted_ms[99] <= target * 1.000001


@quick
@given(
    st.floats(0, 10),
    st.floats(0, 1),
    st.floats(0, 1e6),
    st.integers(0, 300),
    st.integers(1, 5_000),
    st.floats(0, 1),
    st.floats(1, 100),
)
def test_predictions_are_never_nan(alpha, beta, rate, instances, rows, hits, per_request):
    found = predict(ServiceTime(alpha, beta, 1.0), Load(rate, per_request, 1.0, hits), Served(instances, rows), 0.99)
    assert found.quantile_ms >= 0
    assert found.mean_ms >= 0
    assert 0 <= found.utilisation <= 1


@quick
@given(st.lists(st.tuples(st.floats(1, 1e4), st.floats(1, 1e3), st.floats(0, 10)), max_size=40))
def test_a_fitted_line_is_never_below_zero(points):
    line = fit_with_prior(points)
    assert line is None or (line.alpha_s >= -1e-9 and line.beta_s >= 0)


@quick
@given(bounds(), st.data())
def test_steps_stay_within_the_bounds_and_never_stand_still(allowed, data):
    now = data.draw(settings_within(allowed))
    for knob in Knob:
        for value in steps(knob, now.of(knob), allowed):
            assert allowed.allow(knob, value)
            assert value != now.of(knob)


@quick
@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(list(Outcome)))
def test_a_number_of_any_kind_is_clamped(value, outcome):
    allowed = Bounds()
    for knob in (Knob.BATCH_ROWS, Knob.QUEUE_DELAY, Knob.CACHE_SIZE, Knob.INSTANCES, Knob.CONCURRENCY):
        assert allowed.allow(knob, allowed.clamped(knob, value))
    assert Tried(Knob.BATCH_ROWS, 1, 2, outcome, 1, 0.0).outcome is outcome
