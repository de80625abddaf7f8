"""One look at one model: hold, advise, begin a trial, go on measuring, keep or undo. Pure.

Place: asked each few seconds by the control loop, which applies what it is told and keeps what it is given back.
Rules, in order: frozen changes nothing (a running trial is undone by whoever froze, or stays, as they say); a running
trial is finished before anything else, whatever its knob's mode says now; measurements that are missing, stale or
absurd hold (F36); after a verdict there is a rest; one knob at a time; never outside the bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from proxy.core.policies import Knob, Objective, TuningMode
from proxy.core.words import Words, say
from proxy.tuner.knobs import moved_in_words, named_move
from proxy.tuner.trial import LEAST_REQUESTS, LOAD_RANGE, judge, measured_until_unix_s
from proxy.tuner.trial_length import longer_s
from proxy.tuner.tried import Circumstances, Outcome, load_bucket, rests_until_unix_s
from proxy.tuner.tuning_proposals import propose
from proxy.tuner.tuning_view import (
    COOLDOWN_S,
    MOST_SETTLE_S,
    SETTLE_S,
    WINDOW_S,
    Advise,
    Aim,
    Begin,
    Hold,
    Keep,
    Measure,
    Proposal,
    Running,
    Step,
    TuningView,
    Undo,
    Why,
)
from proxy.tuner.windows import TuningSecond, Unusable, Window, between, unusable, window_from

# Difference of hit ratios within a window from which the cache is filling, or the mix changing.
MOST_HIT_DRIFT = 0.05
# Share of the window's seconds that must have been measured.
LEAST_MEASURED = 0.9
# How long a trial is waited for when measurements stop coming, beyond its time, seconds; then it is undone.
MOST_OVERTIME_S = 30
# How far ahead of now a trial may have begun, or a rest may end, seconds. What lies further ahead was written before
# the clock was set back: waiting for it could take years.
MOST_AHEAD_S = 600
# Gain in the score that is worth a trial: what is cheaper is known before, what is better has to be measurable.
LEAST_GAIN = {Aim.BETTER: 0.03, Aim.CHEAPER: 0.005}

_UNUSABLE = {
    Unusable.MISSING: Why.MISSING_METRICS,
    Unusable.STALE: Why.STALE_METRICS,
    Unusable.ABSURD: Why.ABSURD_METRICS,
}


def next_step(view: TuningView, now_unix_s: float) -> Step:
    """What to do now."""
    if view.frozen:
        return Hold(Why.FROZEN, say("All tuning stands still: somebody froze it."))
    if view.running is not None:
        return _go_on(view, view.running, now_unix_s)
    if all(view.mode(knob) is TuningMode.OFF for knob in Knob):
        return Hold(Why.OFF, say("Tuning of every knob is off."))
    bad = unusable(view.seconds, now_unix_s)
    if bad is not None:
        return Hold(_UNUSABLE[bad[0]], bad[1])
    rest_s = (view.cooldown_until_unix_s or now_unix_s) - now_unix_s
    if 0 < rest_s <= MOST_AHEAD_S:
        return Hold(Why.COOLING_DOWN, say("Rests for %(rest_s)s s after the last change.", rest_s=f"{rest_s:.0f}"))
    seconds = between(view.seconds, now_unix_s - WINDOW_S, now_unix_s)
    window = window_from(seconds)
    held = _not_yet(view, seconds, window)
    if held is not None or window is None:
        return held or Hold(Why.TOO_FEW_SECONDS, say("Too little was measured yet."))
    return _choose(view, window, now_unix_s)


def _go_on(view: TuningView, running: Running, now_unix_s: float) -> Step:
    until_s = measured_until_unix_s(running)
    if _is_awaited(view, running, until_s, now_unix_s):
        return _measure(running, until_s, now_unix_s)
    verdict = judge(view, running, now_unix_s)
    longer = longer_s(view, running.applied_at_unix_s, now_unix_s) if verdict.is_open else None
    if longer is not None:
        until_s = measured_until_unix_s(running, longer)
        if _is_awaited(view, running, until_s, now_unix_s):
            return _measure(running, until_s, now_unix_s)
        verdict = judge(view, running, now_unix_s, longer)
    if verdict.outcome is Outcome.KEPT:
        return Keep(verdict, now_unix_s + COOLDOWN_S)
    # The next window before must lie behind what is undone now, and behind what that takes to settle: a cache has to
    # win back what it lost.
    is_cache = running.proposal.knob in (Knob.CACHE_SIZE, Knob.CACHE_POLICY)
    return Undo(verdict, now_unix_s + (MOST_SETTLE_S if is_cache else SETTLE_S) + WINDOW_S)


def _is_awaited(view: TuningView, running: Running, until_s: float, now_unix_s: float) -> bool:
    newest_s = view.seconds[-1].at_unix_s if view.seconds else None
    wait_s = MOST_OVERTIME_S if newest_s is None or newest_s < until_s else 0
    return now_unix_s < until_s + wait_s and running.applied_at_unix_s <= now_unix_s + MOST_AHEAD_S


def _measure(running: Running, until_s: float, now_unix_s: float) -> Measure:
    words = say(
        "%(running_words)s: measured for %(until_s)s s more.",
        running_words=_running_words(running),
        until_s=f"{max(until_s - now_unix_s, 0):.0f}",
    )
    return Measure(words, until_s)


def _running_words(running: Running) -> Words:
    proposal = running.proposal
    return named_move(proposal.knob, proposal.from_value, proposal.to_value)


def _not_yet(view: TuningView, seconds: Sequence[TuningSecond], window: Window | None) -> Hold | None:
    if window is None or window.length_s < LEAST_MEASURED * WINDOW_S:
        return Hold(
            Why.TOO_FEW_SECONDS,
            say(
                "%(count)s of the last %(window_s)s s were measured; waits for more.",
                count=len(seconds),
                window_s=WINDOW_S,
            ),
        )
    if window.instances <= 0 or view.ready_instances == 0:
        return Hold(Why.NO_INSTANCE, say("No instance is ready, so nothing that is measured says how it serves."))
    if window.requests < LEAST_REQUESTS:
        words = say(
            "%(requests)s requests in %(window_s)s s are too few to tell a change from chance.",
            requests=window.requests,
            window_s=WINDOW_S,
        )
        return Hold(Why.TOO_LITTLE_LOAD, words)
    if view.goal.objective is Objective.LOWEST_COST and not view.goal.target_ms:
        return Hold(Why.NO_TARGET, say("The lowest cost needs a latency to hold: set a target."))
    half = len(seconds) // 2
    first, second = window_from(seconds[:half]), window_from(seconds[half:])
    if first and second and first.arrivals_per_s:
        ratio = second.arrivals_per_s / first.arrivals_per_s
        if not LOAD_RANGE[0] <= ratio <= LOAD_RANGE[1]:
            words = say(
                "Load went from %(arrivals_per_s)s to %(arrivals_per_s_2)s requests/s; waits for calm.",
                arrivals_per_s=f"{first.arrivals_per_s:.0f}",
                arrivals_per_s_2=f"{second.arrivals_per_s:.0f}",
            )
            return Hold(Why.UNSTEADY_LOAD, words)
        was, now = first.hit_ratio, second.hit_ratio
        if was is not None and now is not None and abs(now - was) > MOST_HIT_DRIFT:
            return Hold(
                Why.UNSTEADY_LOAD,
                say(
                    "Hits went from %(was)s to %(now)s; waits until the cache has settled.",
                    was=f"{was:.0%}",
                    now=f"{now:.0%}",
                ),
            )
    return None


def _choose(view: TuningView, window: Window, now_unix_s: float) -> Step:
    """The most promising step that has not been tried at this load; automatic ones first."""
    proposals, by_knob = propose(view, window)
    told: dict[Knob, str] = dict(by_knob)
    now = Circumstances(load_bucket(window.arrivals_per_s), view.goal.objective.value, window.hit_ratio)
    tried = [one for one in view.tried if one.at_unix_s <= now_unix_s + MOST_AHEAD_S]
    open_ones: list[Proposal] = []
    promised = False
    for proposal in proposals:
        if proposal.gain_ratio < LEAST_GAIN[proposal.aim] or not view.bounds.allow(proposal.knob, proposal.to_value):
            continue
        promised = True
        until_s = rests_until_unix_s(tried, proposal.knob, proposal.from_value, proposal.to_value, now)
        if until_s > now_unix_s:
            told[proposal.knob] = say(
                "%(step)s was tried at such a load; not again for %(span)s.",
                step=_step(proposal),
                span=_span(until_s - now_unix_s),
            )
            continue
        open_ones.append(proposal)
    open_ones.sort(key=lambda proposal: -proposal.gain_ratio)
    for proposal in open_ones:
        if view.mode(proposal.knob) is TuningMode.AUTOMATIC:
            return Begin(proposal, told)
    for proposal in open_ones:
        if view.mode(proposal.knob) is TuningMode.ADVISE and proposal.knob not in view.advised:
            return Advise(proposal, told)
    return _nothing(told, promised)


def _nothing(told: Mapping[Knob, str], promised: bool) -> Hold:
    if promised:
        return Hold(Why.ALL_TRIED, say("What promises something was tried at this load, or waits for a person."), told)
    return Hold(Why.NOTHING_PROMISING, say("No step promises a measurable gain."), told)


def _step(proposal: Proposal) -> Words:
    return moved_in_words(proposal.knob, proposal.from_value, proposal.to_value)


def _span(seconds: float) -> str:
    return f"{seconds / 3_600:.1f} h" if seconds >= 3_600 else say("%(seconds)s min", seconds=f"{seconds / 60:.0f}")
