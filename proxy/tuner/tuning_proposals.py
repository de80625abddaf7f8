"""Which steps promise a better score, each with what it is expected to move, in numbers and words. Pure.

Place: `proxy.tuner.tuning` takes the most promising one that was not tried at such a load. Here are the knobs that the
live fit predicts (batch size, number of instances); the others are in tuning_proposals_cache and _lane.
Rules: one knob a proposal; a knob whose mode is off is not looked at; what neither a fit nor a measurement speaks for
is not proposed.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.core.policies import Knob, Objective, TuningMode
from proxy.core.words import say
from proxy.tuner.capacity import fit_from
from proxy.tuner.knobs import Value, steps
from proxy.tuner.tuning_estimates import Estimate, Present
from proxy.tuner.tuning_proposals_cache import eviction, size
from proxy.tuner.tuning_proposals_lane import concurrency, delay, placement
from proxy.tuner.tuning_view import Aim, Expectation, Proposal, TuningView, Why
from proxy.tuner.tuning_words import Said, best_of, expected
from proxy.tuner.windows import Window

# Part of the target within which a smaller number of instances must be expected to stay.
TARGET_MARGIN = 0.95


def propose(view: TuningView, window: Window) -> tuple[list[Proposal], Mapping[Knob, str]]:
    """Every step that promises something, and what there is to say of each knob."""
    told: dict[Knob, str] = {}
    found: list[Proposal] = []
    fit = fit_from(window, view.settings)
    for knob in Knob:
        if view.mode(knob) is TuningMode.OFF:
            told[knob] = say("Off.")
        elif knob is Knob.INSTANCES and view.instance_rule is not None:
            told[knob] = view.instance_rule
        elif fit is None:
            told[knob] = say("Nothing was executed lately, so nothing can be expected.")
        else:
            proposals, told[knob] = _ask(knob, Present(view, window, fit))
            found += [one for one in proposals if view.bounds.allow(knob, one.to_value)]
    return found, told


def _ask(knob: Knob, present: Present) -> Said:
    asked = {
        Knob.PLACEMENT: placement,
        Knob.INSTANCES: instances,
        Knob.CACHE_SIZE: size,
        Knob.CACHE_POLICY: eviction,
        Knob.BATCH_ROWS: batch_rows,
        Knob.QUEUE_DELAY: delay,
        Knob.CONCURRENCY: concurrency,
    }
    return asked[knob](present)


def batch_rows(present: Present) -> Said:
    """Half or twice the rows, as the fit predicts."""
    view, window = present.view, present.window
    now = present.estimate(Knob.BATCH_ROWS, view.settings)
    most = view.settings.max_batch_rows
    half_empty = window.half_empty_ratio(most) or 0.0
    found = []
    for value in steps(Knob.BATCH_ROWS, most, view.bounds):
        after = present.estimate(Knob.BATCH_ROWS, view.settings.moved(Knob.BATCH_ROWS, value))
        if after is None:
            continue
        larger = isinstance(value, int | float) and value > most
        words = (
            say(
                "%(line_words)s and %(value)s of the batches are more than half full",
                line_words=present.line_words,
                value=f"{1 - half_empty:.0%}",
            )
            if larger
            else say(
                "%(line_words)s, so a request waits less for the other rows of its batch", line_words=present.line_words
            )
        )
        before = now or _overloaded(present, after)
        why = Why.BATCHES_FULL if larger else Why.EXECUTIONS_TOO_LONG
        found.append(_proposal(present, Knob.BATCH_ROWS, most, value, why, words, before, after))
    return found, best_of(
        found, say("%(half_empty)s of the batches are at most half full", half_empty=f"{half_empty:.0%}")
    )


def instances(present: Present) -> Said:
    """One more or less, as the fit predicts; of interest where the cost counts, or the load is not carried."""
    view, window = present.view, present.window
    goal, count = view.goal, view.settings.instances
    now = present.estimate(Knob.INSTANCES, view.settings)
    found = []
    for value in steps(Knob.INSTANCES, count, view.bounds):
        after = present.estimate(Knob.INSTANCES, view.settings.moved(Knob.INSTANCES, value))
        if after is None or not isinstance(value, int):
            continue
        before = now or _overloaded(present, after)
        is_less = value < count
        measured_ms = window.quantile_ms(goal.quantile) or before.quantile_ms
        if is_less and (
            goal.objective is not Objective.LOWEST_COST or after.quantile_ms > TARGET_MARGIN * goal.target_ms
        ):
            continue
        if not is_less and goal.objective is Objective.LOWEST_COST and measured_ms <= goal.target_ms:
            continue
        words = say(
            "%(line_words)s, and %(value)s would be %(utilisation)s busy with p%(quantile)s at %(quantile_ms)s ms",
            line_words=present.line_words,
            value=value,
            utilisation=f"{after.utilisation:.0%}",
            quantile=goal.quantile,
            quantile_ms=f"{after.quantile_ms:.1f}",
        )
        why = Why.TARGET_HELD if is_less else Why.TARGET_MISSED
        found.append(_proposal(present, Knob.INSTANCES, count, value, why, words, before, after))
    return found, best_of(
        found, say("%(count)s are %(busy_ratio)s busy", count=count, busy_ratio=f"{window.busy_ratio:.0%}")
    )


def _overloaded(present: Present, after: Estimate) -> Estimate:
    """What is now, where the fit says that it cannot be: twice as bad as what would carry the load."""
    window, percent = present.window, present.view.goal.quantile
    measured_ms = window.quantile_ms(percent) or after.quantile_ms
    return Estimate(2 * after.score, measured_ms, window.mean_ms or 0.0, 1.0, after.rows, after.hit_ratio)


def _proposal(
    present: Present,
    knob: Knob,
    old: Value,
    new: Value,
    why: Why,
    words: str,
    before: Estimate,
    after: Estimate,
) -> Proposal:
    goal, window = present.view.goal, present.window
    gain = present.gain(knob, before, after)
    if goal.objective is Objective.LOWEST_COST and knob is Knob.INSTANCES:
        expectation = Expectation("instances", window.instances, float(new), True, words)
    elif goal.objective is Objective.HIGHEST_THROUGHPUT:
        # What could be answered if busy all the time.
        now_per_s = window.throughput_per_s / max(window.busy_ratio, 1e-3)
        expectation = Expectation("capacity_per_s", now_per_s, now_per_s / max(1 - gain, 1e-3), False, words)
    else:
        measured_ms = window.quantile_ms(goal.quantile) or before.quantile_ms
        ratio = min(after.quantile_ms / before.quantile_ms, 1.0) if before.quantile_ms else 1.0
        expectation = Expectation(f"p{goal.quantile}_ms", measured_ms, measured_ms * ratio, True, words)
    evidence = {
        "alpha_ms": present.fit.line.alpha_s * 1_000,
        "beta_ms": present.fit.line.beta_s * 1_000,
        "arrivals_per_s": window.arrivals_per_s,
        "rows_per_execution": window.rows_per_execution,
        "busy_ratio": window.busy_ratio,
    }
    told = say("%(expected)s because %(words)s.", expected=expected(expectation), words=words)
    return Proposal(knob, old, new, why, told, expectation, Aim.BETTER, gain, evidence=evidence)
