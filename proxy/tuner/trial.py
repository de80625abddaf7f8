"""Judges a change by equal windows before and after it under comparable load. Pure.

    comparable   arrivals a second within LOAD_RANGE, rows a request within ROWS_RANGE, the mix that a cache meets
                 within MIX_RANGE, the same instances (unless they are the knob)
    significant  by proxy.tuner.comparison: the change at equal load, against its standard error
    KEPT         better: the score fell by LEAST_GAIN or more over the whole window, and significantly over its parts
                 (if not significantly: inconclusive, so that it is tried again before long); or, of a cache, hits rose
                 significantly and as expected, and the score did not rise: a tail is far noisier than its hits;
                 cheaper: it did not rise by MOST_HARM or more, what was saved being part of the score
    open         what more of the same may decide: a longer look follows (proxy.tuner.trial_length)
    guards       (proxy.tuner.trial_guards) failed and refused requests, p99 where throughput counts, throughput where
                 latency or cost does, the target where there is one, other models on the machine (by more than half of
                 what is gained, or by a fifth): any of them hurt undoes

Rules: not comparable is inconclusive, and undone: nobody stays with a change that nothing speaks for.
"""

from __future__ import annotations

from enum import StrEnum
from math import sqrt

from proxy.core.policies import Knob
from proxy.core.words import joined, say
from proxy.tuner.comparison import Change, change_of
from proxy.tuner.knobs import shown
from proxy.tuner.objective import Goal, score
from proxy.tuner.trial_guards import MOST_HARM, guard_hurt, neighbours_hurt
from proxy.tuner.tried import Outcome, Tried, load_bucket
from proxy.tuner.tuning_view import SETTLE_S, WINDOW_S, Aim, Proposal, Running, TuningView, Verdict
from proxy.tuner.windows import Window, between, window_from

# (lowest, highest) ratio of after to before within which loads are comparable.
LOAD_RANGE = (0.8, 1.25)
ROWS_RANGE = (0.8, 1.25)
# Difference of hit ratios beyond which the mix has changed.
MIX_RANGE = 0.08
# By how much a score must fall to be worth a change.
LEAST_GAIN = 0.02
# Requests without which a window says nothing of a tail.
LEAST_REQUESTS = 100
# Part of the expected rise of hits that counts as expected, and standard errors of one that chance does not explain:
# more than of scores, since whether keys come again is not independent from request to request.
LEAST_OF_EXPECTED = 0.5
SURE_HITS = 3.0


def measured_until_unix_s(running: Running, window_s: int = WINDOW_S) -> float:
    """When the window after is complete."""
    return running.applied_at_unix_s + running.proposal.settle_s + window_s


def judge(view: TuningView, running: Running, now_unix_s: float, window_s: int = WINDOW_S) -> Verdict:
    """The verdict on a change whose windows, of `window_s` each, are complete."""
    proposal, at_s = running.proposal, running.applied_at_unix_s
    seconds_before = between(view.seconds, at_s - window_s, at_s)
    start_s = at_s + proposal.settle_s
    seconds_after = between(view.seconds, start_s, start_s + window_s)
    before, after = window_from(seconds_before), window_from(seconds_after)
    load = load_bucket(before.arrivals_per_s if before else after.arrivals_per_s if after else 0.0)

    def verdict(outcome: Outcome, words: str, *, is_open: bool = False) -> Verdict:
        tried = Tried(
            proposal.knob,
            proposal.from_value,
            proposal.to_value,
            outcome,
            load,
            now_unix_s,
            view.goal.objective.value,
            before.hit_ratio if before else None,
            after.hit_ratio if after else None,
        )
        return Verdict(outcome, words, before, after, tried, is_open)

    if before is None or after is None:
        return verdict(Outcome.INCONCLUSIVE, say("Measurements are missing before or after: undone."))
    difference = incomparable(before, after, proposal.knob, mix_before=_mix(running), mix_after=_mix_now(view, running))
    if difference is not None:
        few = min(before.requests, after.requests) < LEAST_REQUESTS
        return verdict(
            Outcome.INCONCLUSIVE,
            say("%(difference)s: nothing to conclude, undone.", difference=difference),
            is_open=few,
        )
    old = view.settings.moved(proposal.knob, proposal.from_value)
    new = view.settings.moved(proposal.knob, proposal.to_value)
    change = change_of(seconds_before, seconds_after, old, new, view.goal, proposal.knob)
    gained = -change.ratio if change is not None and change.is_sure else 0.0
    hurt = guard_hurt(before, after, view.goal) or neighbours_hurt(view, at_s, start_s, window_s, gained)
    told = _told(before, after, view.goal)
    if hurt is not None:
        return verdict(Outcome.UNDONE, say("%(told)s; %(hurt)s: undone.", told=told, hurt=hurt))
    was, now = score(before, old, view.goal, proposal.knob), score(after, new, view.goal, proposal.knob)
    if change is None or was is None or now is None:
        return verdict(
            Outcome.INCONCLUSIVE, say("%(told)s; too little was answered to tell: undone.", told=told), is_open=True
        )
    moved = say("%(told)s (%(change)s)", told=told, change=change.words)
    if proposal.aim is Aim.CHEAPER:
        if change.ratio > MOST_HARM:
            words = say("%(moved)s; what it saves is not worth that: undone.", moved=moved)
            return verdict(Outcome.UNDONE, words, is_open=not change.is_sure)
        return verdict(Outcome.KEPT, say("%(moved)s; it costs nothing that can be measured: kept.", moved=moved))
    outcome, why, is_open = _of_better(change, now / was, _hits_rise(before, after, proposal))
    back = (
        say(": %(shown)s is back.", shown=shown(proposal.knob, proposal.from_value))
        if outcome is Outcome.UNDONE
        else say(".")
    )
    return verdict(outcome, joined(say("; "), (moved, why)) + back, is_open=is_open)


def _of_better(change: Change, score_ratio: float, rise: Rise) -> tuple[Outcome, str, bool]:
    """(Outcome, why, whether more of the same may change it) of a change that was to be better.

    `score_ratio` is that of the whole windows, after / before.
    """
    if change.ratio <= -LEAST_GAIN and score_ratio <= 1 - LEAST_GAIN:
        if change.is_sure:
            return Outcome.KEPT, say("it helped: kept"), False
        if rise is not Rise.SURE:
            return Outcome.INCONCLUSIVE, say("it may have helped, which chance explains as well: undone"), True
    if rise is Rise.SURE and change.ratio <= 0 and score_ratio <= 1:
        return Outcome.KEPT, say("hits rose as expected, which chance does not explain: kept"), False
    is_open = not change.is_sure and (change.ratio <= -LEAST_GAIN / 2 or rise is not Rise.NONE)
    is_worse = change.ratio > 0 and change.is_sure
    return Outcome.UNDONE, say("it got worse") if is_worse else say("it did not help measurably"), is_open


class Rise(StrEnum):
    """How hits rose that were expected to: not as expected, as expected, and so surely that chance does not explain."""

    NONE = "none"
    EXPECTED = "expected"
    SURE = "sure"


def _hits_rise(before: Window, after: Window, proposal: Proposal) -> Rise:
    """How hits rose in a trial that is to raise them. A tail is far noisier than the hits that it comes from."""
    was, now, expected = before.hit_ratio, after.hit_ratio, proposal.expectation
    if expected.metric != "hits_ratio" or was is None or now is None or now <= was:
        return Rise.NONE
    if now - was < LEAST_OF_EXPECTED * (expected.after - expected.before):
        return Rise.NONE
    looked = before.cache_hits + before.cache_misses, after.cache_hits + after.cache_misses
    share = (before.cache_hits + after.cache_hits) / sum(looked)
    error = sqrt(share * (1 - share) * (1 / looked[0] + 1 / looked[1]))
    return Rise.SURE if now - was > SURE_HITS * error else Rise.EXPECTED


def incomparable(
    before: Window, after: Window, knob: Knob, *, mix_before: float | None = None, mix_after: float | None = None
) -> str | None:
    """Why two windows must not be compared, in words; None if they may."""
    if min(before.requests, after.requests) < LEAST_REQUESTS:
        return say(
            "Only %(requests)s requests were answered in a window", requests=min(before.requests, after.requests)
        )
    if abs(before.length_s - after.length_s) > before.length_s / 10:
        return say(
            "The windows have %(length_s)s and %(length_s_2)s measured seconds",
            length_s=before.length_s,
            length_s_2=after.length_s,
        )
    ratio = after.arrivals_per_s / before.arrivals_per_s
    if not LOAD_RANGE[0] <= ratio <= LOAD_RANGE[1]:
        return say(
            "Load changed from %(arrivals_per_s)s to %(arrivals_per_s_2)s requests/s",
            arrivals_per_s=f"{before.arrivals_per_s:.0f}",
            arrivals_per_s_2=f"{after.arrivals_per_s:.0f}",
        )
    one, other = before.rows_per_request, after.rows_per_request
    if one and other and not ROWS_RANGE[0] <= other / one <= ROWS_RANGE[1]:
        return say("Requests changed from %(one)s to %(other)s rows", one=f"{one:.1f}", other=f"{other:.1f}")
    if knob not in (Knob.CACHE_SIZE, Knob.CACHE_POLICY):
        mix_before, mix_after = before.hit_ratio, after.hit_ratio
    if mix_before is not None and mix_after is not None and abs(mix_after - mix_before) > MIX_RANGE:
        return say(
            "What is asked repeats differently (hits of %(mix_before)s, then %(mix_after)s)",
            mix_before=f"{mix_before:.0%}",
            mix_after=f"{mix_after:.0%}",
        )
    if knob is not Knob.INSTANCES and abs(after.instances - before.instances) > 0.1 * before.instances:
        return say(
            "Instances changed from %(instances)s to %(instances_2)s",
            instances=f"{before.instances:.1f}",
            instances_2=f"{after.instances:.1f}",
        )
    return None


def _mix(running: Running) -> float | None:
    value = running.proposal.evidence.get("mix_hit_ratio")
    return float(value) if isinstance(value, int | float) else None


def _mix_now(view: TuningView, running: Running) -> float | None:
    """Hit ratio that a cache of the size before would have now, by the curve: what is asked, apart from the knob."""
    if view.cache is None:
        return None
    size_mib = running.proposal.evidence.get("mix_mib")
    points = [point for point in view.cache.curve if isinstance(size_mib, int | float)]
    if not points or not isinstance(size_mib, int | float):
        return None
    return min(points, key=lambda point: abs(point.size_bytes / 2**20 - size_mib)).hit_ratio


def _told(before: Window, after: Window, goal: Goal) -> str:
    was, now = before.quantile_ms(goal.quantile), after.quantile_ms(goal.quantile)
    parts = [
        say("p%(quantile)s %(was)s → %(now)s ms", quantile=goal.quantile, was=f"{was:.1f}", now=f"{now:.1f}")
        if was is not None and now is not None
        else ""
    ]
    if before.mean_ms is not None and after.mean_ms is not None:
        parts.append(
            say(
                "mean %(mean_ms)s → %(mean_ms_2)s ms", mean_ms=f"{before.mean_ms:.1f}", mean_ms_2=f"{after.mean_ms:.1f}"
            )
        )
    parts.append(
        say(
            "answered %(throughput_per_s)s → %(throughput_per_s_2)s/s",
            throughput_per_s=f"{before.throughput_per_s:.0f}",
            throughput_per_s_2=f"{after.throughput_per_s:.0f}",
        )
    )
    if before.hit_ratio is not None and after.hit_ratio is not None:
        parts.append(
            say(
                "hits %(hit_ratio)s → %(hit_ratio_2)s",
                hit_ratio=f"{before.hit_ratio:.0%}",
                hit_ratio_2=f"{after.hit_ratio:.0%}",
            )
        )
    return joined(", ", (part for part in parts if part))


def settle_from(bytes_to_fill: float, bytes_per_s: float, longest_s: float) -> float:
    """Seconds until a cache has filled what was added to it, between SETTLE_S and the longest."""
    if bytes_per_s <= 0:
        return SETTLE_S
    return min(max(bytes_to_fill / bytes_per_s, SETTLE_S), longest_s)
