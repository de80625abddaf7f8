"""Decides how many instances a model should have. Pure.

Three signals ask for a number each (proxy.tuner.proposals: utilisation, demand, backlog); the largest decides and is
clamped to the policy's bounds and to what the host carries (proxy.tuner.bounds). Up at once; down by one, and only
after a lower count has sufficed for the whole scale-down delay; to none where the policy allows it and no request came
for its time.
Rules: missing, stale or impossible signals hold (F36); the bounds hold even then; a step at most doubles and adds one.
Source: Ray Serve's ongoing requests, Kubernetes' ceil(current × metric / target) and stabilisation window, queueing
theory's offered load a = λ·S (PROTOCOLS sections 8 and 10).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite

from proxy.core.policies import ScalingPolicy
from proxy.core.units import NS_PER_S
from proxy.core.words import say
from proxy.tuner.bounds import Bound, tightest
from proxy.tuner.proposals import Evidence, Proposals, evidence_of, propose
from proxy.tuner.signals import ScalingSignals

# Age beyond which a measurement says nothing of now, seconds. Larger: decides on older news when writing lags.
MAX_AGE_S = 15.0
# How far ahead of our clock a measurement may be, seconds: two processes read the same clock, rounding aside.
MAX_AHEAD_S = 2.0
# Part of the target that a lower count must stay within. Smaller: wider gap between up and down, calmer, dearer.
DOWN_MARGIN = 0.9
# Above these a measurement is a mistake, not load.
MAX_UTILISATION_RATIO = 1.5
MAX_ARRIVALS_PER_S = 1e7
MAX_SERVICE_S = 3_600.0
MAX_QUEUE_DEPTH = 1e6
MAX_READY = 10_000


class CountReason(StrEnum):
    """Why the count changes, or does not."""

    UTILISATION = "utilisation"
    DEMAND = "demand"
    BACKLOG = "backlog"
    LOW_LOAD = "low_load"
    BELOW_MINIMUM = "below_minimum"
    ABOVE_MAXIMUM = "above_maximum"
    DISABLED = "disabled"
    MISSING_SIGNALS = "missing_signals"
    STALE_SIGNALS = "stale_signals"
    IMPOSSIBLE_SIGNALS = "impossible_signals"
    STEADY = "steady"
    AT_LIMIT = "at_limit"
    LOW_NOT_LONG_ENOUGH = "low_not_long_enough"
    NOT_ALL_READY = "not_all_ready"
    UNUSED = "unused"
    ASLEEP = "asleep"
    WOKEN = "woken"


@dataclass(frozen=True, slots=True)
class CountDecision:
    """Have `count` instances from now on. `words` say why with numbers, `expected` what should come of it."""

    count: int
    reason: CountReason
    words: str
    expected: str
    low_since_ns: int | None = None
    evidence: Evidence = field(default_factory=dict)
    proposals: Proposals | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Leave the count alone. `low_since_ns` is to be given back at the next look."""

    reason: CountReason
    words: str
    low_since_ns: int | None = None
    evidence: Evidence = field(default_factory=dict)
    proposals: Proposals | None = None


SIGNALS = (CountReason.UTILISATION, CountReason.DEMAND, CountReason.BACKLOG)
SIGNAL_NAMES = {
    CountReason.UTILISATION: say("Utilisation"),
    CountReason.DEMAND: say("Demand"),
    CountReason.BACKLOG: say("Backlog"),
}


def _largest(proposals: Proposals, heed: Collection[CountReason]) -> tuple[int, CountReason]:
    """The number that decides, and whose it is (the first of equals)."""
    named = (
        (proposals.utilisation.count, CountReason.UTILISATION),
        (proposals.demand.count, CountReason.DEMAND),
        (proposals.backlog.count, CountReason.BACKLOG),
    )
    return max((pair for pair in named if pair[1] in heed), key=lambda pair: pair[0])


def instance_count(
    signals: ScalingSignals,
    policy: ScalingPolicy,
    current: int,
    low_since_ns: int | None,
    now_ns: int,
    *,
    bounds: Sequence[Bound | None] = (),
    load_s: float | None = None,
    unused_ns: int | None = None,
    heed: Collection[CountReason] = SIGNALS,
) -> CountDecision | Hold:
    """Decide, being at `current`, where load has been low since `low_since_ns` (None: it is not).

    `bounds` are what the host carries, `load_s` what a new instance takes to be ready (None: not measured), `unused_ns`
    the time since the last request (None: not known). `heed` are the signals that count: all, but where a simulation
    compares them.
    """
    if not policy.enabled:
        return Hold(CountReason.DISABLED, say("Automatic scaling is switched off; the operator's number stays."))
    if not current and policy.zero_after_ns:
        return Hold(CountReason.ASLEEP, say("No instance: the next request wakes the model."))
    if current < policy.min_instances:
        words = say(
            "%(current)s is below the minimum of %(min_instances)s.",
            current=current,
            min_instances=policy.min_instances,
        )
        return CountDecision(
            policy.min_instances, CountReason.BELOW_MINIMUM, words, say("The policy's minimum is kept.")
        )
    if current > policy.max_instances:
        words = say(
            "%(current)s is above the maximum of %(max_instances)s.",
            current=current,
            max_instances=policy.max_instances,
        )
        return CountDecision(
            policy.max_instances, CountReason.ABOVE_MAXIMUM, words, say("The policy's maximum is kept.")
        )
    unusable = _unusable(signals)
    if unusable is not None:
        return Hold(*unusable, low_since_ns=None, evidence=evidence_of(signals))
    if policy.zero_after_ns and unused_ns is not None and unused_ns >= policy.zero_after_ns and not signals.queue_depth:
        words = say(
            "No request came for %(unused_ns)s s (%(zero_after_ns)s s allowed).",
            unused_ns=f"{unused_ns / NS_PER_S:.0f}",
            zero_after_ns=f"{policy.zero_after_ns / NS_PER_S:.0f}",
        )
        expected = say("No memory is held; the next request waits for one load.")
        return CountDecision(0, CountReason.UNUSED, words, expected, evidence=evidence_of(signals))
    bound = tightest(bounds, policy.min_instances, policy.max_instances)
    return _by_load(signals, policy, current, low_since_ns, now_ns, bound, load_s, heed)


def _by_load(
    signals: ScalingSignals,
    policy: ScalingPolicy,
    current: int,
    low_since_ns: int | None,
    now_ns: int,
    bound: Bound,
    load_s: float | None,
    heed: Collection[CountReason],
) -> CountDecision | Hold:
    asked = propose(signals, policy, load_s)
    evidence = evidence_of(signals, asked, load_s)
    words = asked.words
    wanted, signal = _largest(asked, heed)
    reachable = min(wanted, bound.count, 2 * current + 1)
    if reachable > current:
        words = say(
            "%(words)s %(signal)s decides: %(current)s → %(reachable)s%(cut)s.",
            words=words,
            signal=SIGNAL_NAMES[signal],
            current=current,
            reachable=reachable,
            cut=_cut(wanted, reachable),
        )
        expected = _expected(signals, reachable)
        return CountDecision(reachable, signal, words, expected, evidence=evidence, proposals=asked)
    if wanted > current:
        words = say(
            "%(words)s %(wanted)s would be needed, %(current)s run and %(count)s is what %(words_2)s.",
            words=words,
            wanted=wanted,
            current=current,
            count=bound.count,
            words_2=bound.words,
        )
        return Hold(CountReason.AT_LIMIT, words, evidence=evidence, proposals=asked)
    enough, _ = _largest(propose(signals, policy, load_s, DOWN_MARGIN), heed)
    if max(enough, policy.min_instances) >= current:
        return Hold(
            CountReason.STEADY,
            say("%(words)s %(current)s is right.", words=words, current=current),
            evidence=evidence,
            proposals=asked,
        )
    if (signals.ready_instances or 0) < current:
        words = say(
            "%(words)s Only %(ready_instances)s of %(current)s are ready, so low load proves nothing yet.",
            words=words,
            ready_instances=signals.ready_instances,
            current=current,
        )
        return Hold(CountReason.NOT_ALL_READY, words, evidence=evidence, proposals=asked)
    since_ns = now_ns if low_since_ns is None or low_since_ns > now_ns else low_since_ns
    low_s = (now_ns - since_ns) / NS_PER_S
    delay_s = policy.scale_down_delay_ns / NS_PER_S
    if now_ns - since_ns < policy.scale_down_delay_ns:
        words = say(
            "%(words)s %(current)s would do for %(low_s)s s now; one goes after %(delay_s)s s.",
            words=words,
            current=current - 1,
            low_s=f"{low_s:.0f}",
            delay_s=f"{delay_s:.0f}",
        )
        return Hold(CountReason.LOW_NOT_LONG_ENOUGH, words, since_ns, evidence, asked)
    words = say(
        "%(words)s %(current)s would have done for %(low_s)s s: %(current_2)s → %(current)s.",
        words=words,
        current=current - 1,
        low_s=f"{low_s:.0f}",
        current_2=current,
    )
    expected = _expected(signals, current - 1)
    return CountDecision(current - 1, CountReason.LOW_LOAD, words, expected, now_ns, evidence, asked)


def _unusable(signals: ScalingSignals) -> tuple[CountReason, str] | None:
    age_s = signals.age_s
    if age_s is None or (signals.busy_instances is None and signals.arrivals_per_s is None):
        return CountReason.MISSING_SIGNALS, say("There are no measurements of the last seconds; the number stays.")
    bounds = (
        (say("number of busy instances"), signals.busy_instances, MAX_READY),
        ("utilisation", signals.utilisation_ratio, MAX_UTILISATION_RATIO),
        (say("arrivals per second"), signals.arrivals_per_s, MAX_ARRIVALS_PER_S),
        (say("service time"), signals.service_s, MAX_SERVICE_S),
        (say("queue depth"), signals.queue_depth, MAX_QUEUE_DEPTH),
        (say("ready instances"), signals.ready_instances, MAX_READY),
        (say("CPU share"), signals.cpu_ratio, 1.0),
        (say("GPU share"), signals.gpu_ratio, 1.0),
        (say("memory share"), signals.memory_ratio, 1.0),
    )
    for name, value, largest in bounds:
        if value is not None and not (isfinite(value) and 0 <= value <= largest):
            return CountReason.IMPOSSIBLE_SIGNALS, say(
                "The measured %(name)s of %(value)s is impossible; the number stays.", name=name, value=value
            )
    if not isfinite(age_s) or age_s < -MAX_AHEAD_S:
        return CountReason.IMPOSSIBLE_SIGNALS, say("The newest measurement lies in the future; the number stays.")
    if age_s > MAX_AGE_S:
        return CountReason.STALE_SIGNALS, say(
            "The newest measurement is %(age_s)s s old; the number stays.", age_s=f"{age_s:.0f}"
        )
    return None


def _cut(wanted: int, reachable: int) -> str:
    return "" if wanted == reachable else say(" (%(wanted)s would be needed)", wanted=wanted)


def _expected(signals: ScalingSignals, count: int) -> str:
    if signals.busy_instances is None:
        return say("Load is spread over %(count)s.", count=count)
    ratio = signals.busy_instances / count
    return say(
        "Utilisation of about %(ratio)s with %(count)s at the load measured.", ratio=f"{min(ratio, 1):.0%}", count=count
    )
