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

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite

from proxy.core.policies import ScalingPolicy
from proxy.core.units import NS_PER_S
from proxy.tuner.bounds import Bound, tightest
from proxy.tuner.proposals import Proposals, propose
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


Evidence = Mapping[str, float | int | None]


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
        return Hold(CountReason.DISABLED, "Automatic scaling is switched off; the operator's number stays.")
    if not current and policy.zero_after_ns:
        return Hold(CountReason.ASLEEP, "No instance: the next request wakes the model.")
    if current < policy.min_instances:
        words = f"{current} is below the minimum of {policy.min_instances}."
        return CountDecision(policy.min_instances, CountReason.BELOW_MINIMUM, words, "The policy's minimum is kept.")
    if current > policy.max_instances:
        words = f"{current} is above the maximum of {policy.max_instances}."
        return CountDecision(policy.max_instances, CountReason.ABOVE_MAXIMUM, words, "The policy's maximum is kept.")
    unusable = _unusable(signals)
    if unusable is not None:
        return Hold(*unusable, low_since_ns=None, evidence=_evidence(signals))
    if policy.zero_after_ns and unused_ns is not None and unused_ns >= policy.zero_after_ns and not signals.queue_depth:
        words = f"No request came for {unused_ns / NS_PER_S:.0f} s ({policy.zero_after_ns / NS_PER_S:.0f} s allowed)."
        expected = "No memory is held; the next request waits for one load."
        return CountDecision(0, CountReason.UNUSED, words, expected, evidence=_evidence(signals))
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
    evidence = _evidence(signals, asked, load_s)
    words = asked.words
    wanted, signal = _largest(asked, heed)
    reachable = min(wanted, bound.count, 2 * current + 1)
    if reachable > current:
        words = f"{words} {signal.value.capitalize()} decides: {current} → {reachable}{_cut(wanted, reachable)}."
        expected = _expected(signals, reachable)
        return CountDecision(reachable, signal, words, expected, evidence=evidence, proposals=asked)
    if wanted > current:
        words = f"{words} {wanted} would be needed, {current} run and {bound.count} is what {bound.words}."
        return Hold(CountReason.AT_LIMIT, words, evidence=evidence, proposals=asked)
    enough, _ = _largest(propose(signals, policy, load_s, DOWN_MARGIN), heed)
    if max(enough, policy.min_instances) >= current:
        return Hold(CountReason.STEADY, f"{words} {current} is right.", evidence=evidence, proposals=asked)
    if (signals.ready_instances or 0) < current:
        words = f"{words} Only {signals.ready_instances} of {current} are ready, so low load proves nothing yet."
        return Hold(CountReason.NOT_ALL_READY, words, evidence=evidence, proposals=asked)
    since_ns = now_ns if low_since_ns is None or low_since_ns > now_ns else low_since_ns
    low_s = (now_ns - since_ns) / NS_PER_S
    delay_s = policy.scale_down_delay_ns / NS_PER_S
    if now_ns - since_ns < policy.scale_down_delay_ns:
        words = f"{words} {current - 1} would do for {low_s:.0f} s now; one goes after {delay_s:.0f} s."
        return Hold(CountReason.LOW_NOT_LONG_ENOUGH, words, since_ns, evidence, asked)
    words = f"{words} {current - 1} would have done for {low_s:.0f} s: {current} → {current - 1}."
    expected = _expected(signals, current - 1)
    return CountDecision(current - 1, CountReason.LOW_LOAD, words, expected, now_ns, evidence, asked)


def _unusable(signals: ScalingSignals) -> tuple[CountReason, str] | None:
    age_s = signals.age_s
    if age_s is None or (signals.busy_instances is None and signals.arrivals_per_s is None):
        return CountReason.MISSING_SIGNALS, "There are no measurements of the last seconds; the number stays."
    bounds = (
        ("number of busy instances", signals.busy_instances, MAX_READY),
        ("utilisation", signals.utilisation_ratio, MAX_UTILISATION_RATIO),
        ("arrivals per second", signals.arrivals_per_s, MAX_ARRIVALS_PER_S),
        ("service time", signals.service_s, MAX_SERVICE_S),
        ("queue depth", signals.queue_depth, MAX_QUEUE_DEPTH),
        ("ready instances", signals.ready_instances, MAX_READY),
        ("CPU share", signals.cpu_ratio, 1.0),
        ("GPU share", signals.gpu_ratio, 1.0),
        ("memory share", signals.memory_ratio, 1.0),
    )
    for name, value, largest in bounds:
        if value is not None and not (isfinite(value) and 0 <= value <= largest):
            return CountReason.IMPOSSIBLE_SIGNALS, f"The measured {name} of {value} is impossible; the number stays."
    if not isfinite(age_s) or age_s < -MAX_AHEAD_S:
        return CountReason.IMPOSSIBLE_SIGNALS, "The newest measurement lies in the future; the number stays."
    if age_s > MAX_AGE_S:
        return CountReason.STALE_SIGNALS, f"The newest measurement is {age_s:.0f} s old; the number stays."
    return None


def _cut(wanted: int, reachable: int) -> str:
    return "" if wanted == reachable else f" ({wanted} would be needed)"


def _expected(signals: ScalingSignals, count: int) -> str:
    if signals.busy_instances is None:
        return f"Load is spread over {count}."
    ratio = signals.busy_instances / count
    return f"Utilisation of about {min(ratio, 1):.0%} with {count} at the load measured."


def _evidence(signals: ScalingSignals, asked: Proposals | None = None, load_s: float | None = None) -> Evidence:
    """The numbers behind the words; what is not finite, and so no JSON number, is left out as None."""
    line = signals.execution
    evidence: dict[str, float | int | None] = {
        "busy_instances": signals.busy_instances,
        "utilisation_ratio": signals.utilisation_ratio,
        "arrivals_per_s": signals.arrivals_per_s,
        "service_s": signals.service_s,
        "queue_depth": signals.queue_depth,
        "ready_instances": signals.ready_instances,
        "age_s": signals.age_s,
        "alpha_s": line.alpha_s if line else None,
        "beta_s": line.beta_s if line else None,
        "rows_per_execution": line.rows if line else None,
        "trend_per_s2": signals.trend_per_s2,
        "gap_variation": signals.gap_variation,
        "cpu_ratio": signals.cpu_ratio,
        "gpu_ratio": signals.gpu_ratio,
        "memory_ratio": signals.memory_ratio,
        "load_s": load_s,
    }
    if asked is not None:
        evidence.update(
            by_utilisation=asked.utilisation.count, by_demand=asked.demand.count, by_backlog=asked.backlog.count
        )
    return {name: value if value is None or isfinite(value) else None for name, value in evidence.items()}
