"""Decides how many instances a model should have. Pure.

    by utilisation = busy instances / target                           what runs now, spread to the target
    by demand      = arrivals/s × service time / target                what arrives, refused requests included
    by backlog     = arrivals/s × service time + waiting × service time / drain goal      what waits, cleared in time

Each is rounded up; the largest decides and is clamped to the policy's bounds and to what the cores carry. Up at once;
down by one, and only after a lower count has sufficed for the whole scale-down delay.
Rules: missing, stale or impossible signals hold (F36); the bounds hold even then; a step at most doubles and adds one.
Source: Ray Serve's ongoing requests, Kubernetes' ceil(current × metric / target) and stabilisation window, queueing
theory's offered load a = λ·S (PROTOCOLS sections 8 and 10).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil, isfinite

from proxy.core.policies import ScalingPolicy
from proxy.core.units import NS_PER_S
from proxy.tuner.signals import ScalingSignals

# Age beyond which a measurement says nothing of now, seconds. Larger: decides on older news when writing lags.
MAX_AGE_S = 15.0
# How far ahead of our clock a measurement may be, seconds: two processes read the same clock, rounding aside.
MAX_AHEAD_S = 2.0
# Time in which waiting requests should be gone, seconds. Smaller: more instances for the same burst.
DRAIN_GOAL_S = 5.0
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


@dataclass(frozen=True, slots=True)
class Hold:
    """Leave the count alone. `low_since_ns` is to be given back at the next look."""

    reason: CountReason
    words: str
    low_since_ns: int | None = None
    evidence: Evidence = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What each signal asks for; 0 where it has nothing to say."""

    by_utilisation: int
    by_demand: int
    by_backlog: int

    def largest(self) -> tuple[int, CountReason]:
        """The number that decides, and whose it is (the first of equals)."""
        named = (
            (self.by_utilisation, CountReason.UTILISATION),
            (self.by_demand, CountReason.DEMAND),
            (self.by_backlog, CountReason.BACKLOG),
        )
        return max(named, key=lambda pair: pair[0])


def core_limit(cores: int, threads_per_instance: int) -> int:
    """How many instances the cores carry without sharing; at least one."""
    return max(cores // max(threads_per_instance, 1), 1)


def instance_count(
    signals: ScalingSignals,
    policy: ScalingPolicy,
    current: int,
    low_since_ns: int | None,
    now_ns: int,
    *,
    cores_carry: int | None = None,
) -> CountDecision | Hold:
    """Decide, being at `current`, where load has been low since `low_since_ns` (None: it is not).

    `cores_carry` (see `core_limit`; None: no bound) limits growth only: it takes nothing away, and never undercuts
    the policy's minimum.
    """
    if not policy.enabled:
        return Hold(CountReason.DISABLED, "Automatic scaling is switched off; the operator's number stays.")
    if current < policy.min_instances:
        words = f"{current} is below the minimum of {policy.min_instances}."
        return CountDecision(policy.min_instances, CountReason.BELOW_MINIMUM, words, "The policy's minimum is kept.")
    if current > policy.max_instances:
        words = f"{current} is above the maximum of {policy.max_instances}."
        return CountDecision(policy.max_instances, CountReason.ABOVE_MAXIMUM, words, "The policy's maximum is kept.")
    unusable = _unusable(signals)
    if unusable is not None:
        return Hold(*unusable, low_since_ns=None, evidence=_evidence(signals))
    return _by_load(signals, policy, current, low_since_ns, now_ns, cores_carry)


def _by_load(
    signals: ScalingSignals,
    policy: ScalingPolicy,
    current: int,
    low_since_ns: int | None,
    now_ns: int,
    cores_carry: int | None,
) -> CountDecision | Hold:
    asked = _ask(signals, policy.target_utilisation_ratio)
    evidence = _evidence(signals, asked)
    words = _words(signals, asked, policy.target_utilisation_ratio)
    wanted, signal = asked.largest()
    limit = policy.max_instances
    if cores_carry is not None:
        limit = min(limit, max(cores_carry, policy.min_instances))
    reachable = min(wanted, limit, 2 * current + 1)
    if reachable > current:
        words = f"{words} {signal.value.capitalize()} decides: {current} → {reachable}{_cut(wanted, reachable)}."
        return CountDecision(reachable, signal, words, _expected(signals, reachable), evidence=evidence)
    if wanted > current:
        bound = "the cores carry" if limit < policy.max_instances else "the policy allows"
        words = f"{words} {wanted} would be needed, {current} run and {limit} is what {bound}."
        return Hold(CountReason.AT_LIMIT, words, evidence=evidence)
    enough, _ = _ask(signals, policy.target_utilisation_ratio * DOWN_MARGIN).largest()
    if max(enough, policy.min_instances) >= current:
        return Hold(CountReason.STEADY, f"{words} {current} is right.", evidence=evidence)
    if (signals.ready_instances or 0) < current:
        words = f"{words} Only {signals.ready_instances} of {current} are ready, so low load proves nothing yet."
        return Hold(CountReason.NOT_ALL_READY, words, evidence=evidence)
    since_ns = now_ns if low_since_ns is None or low_since_ns > now_ns else low_since_ns
    low_s = (now_ns - since_ns) / NS_PER_S
    delay_s = policy.scale_down_delay_ns / NS_PER_S
    if now_ns - since_ns < policy.scale_down_delay_ns:
        words = f"{words} {current - 1} would do for {low_s:.0f} s now; one goes after {delay_s:.0f} s."
        return Hold(CountReason.LOW_NOT_LONG_ENOUGH, words, since_ns, evidence)
    words = f"{words} {current - 1} would have done for {low_s:.0f} s: {current} → {current - 1}."
    expected = _expected(signals, current - 1)
    return CountDecision(current - 1, CountReason.LOW_LOAD, words, expected, now_ns, evidence)


def _ask(signals: ScalingSignals, target_ratio: float) -> _Asked:
    offered = None
    if signals.arrivals_per_s is not None and signals.service_s is not None:
        offered = signals.arrivals_per_s * signals.service_s
    by_utilisation = by_demand = by_backlog = 0
    if signals.busy_instances is not None:
        by_utilisation = _up(signals.busy_instances / target_ratio)
    if offered is not None:
        by_demand = _up(offered / target_ratio)
    if offered is not None and signals.queue_depth and signals.service_s is not None:
        by_backlog = _up(offered + signals.queue_depth * signals.service_s / DRAIN_GOAL_S)
    return _Asked(by_utilisation, by_demand, by_backlog)


def _up(value: float) -> int:
    """Ceiling that forgives the last bits of a division."""
    return ceil(value - 1e-9)


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
    )
    for name, value, largest in bounds:
        if value is not None and not (isfinite(value) and 0 <= value <= largest):
            return CountReason.IMPOSSIBLE_SIGNALS, f"The measured {name} of {value} is impossible; the number stays."
    if not isfinite(age_s) or age_s < -MAX_AHEAD_S:
        return CountReason.IMPOSSIBLE_SIGNALS, "The newest measurement lies in the future; the number stays."
    if age_s > MAX_AGE_S:
        return CountReason.STALE_SIGNALS, f"The newest measurement is {age_s:.0f} s old; the number stays."
    return None


def _words(signals: ScalingSignals, asked: _Asked, target_ratio: float) -> str:
    parts = []
    if signals.busy_instances is not None and signals.utilisation_ratio is not None:
        parts.append(
            f"Utilisation of {signals.utilisation_ratio:.0%} ({signals.busy_instances:.2f} busy on average) "
            f"asks for {asked.by_utilisation} (target {target_ratio:.0%})"
        )
    else:
        parts.append("Utilisation is unknown: nothing was ready")
    if signals.arrivals_per_s is not None and signals.service_s is not None:
        parts.append(
            f"demand of {signals.arrivals_per_s:.1f} requests/s × {signals.service_s * 1_000:.2f} ms "
            f"asks for {asked.by_demand}"
        )
        parts.append(f"a backlog of {signals.queue_depth or 0:.0f} requests asks for {asked.by_backlog}")
    else:
        parts.append("demand and backlog are unknown: nothing was executed")
    return "; ".join(parts) + "."


def _cut(wanted: int, reachable: int) -> str:
    return "" if wanted == reachable else f" ({wanted} would be needed)"


def _expected(signals: ScalingSignals, count: int) -> str:
    if signals.busy_instances is None:
        return f"Load is spread over {count}."
    ratio = signals.busy_instances / count
    return f"Utilisation of about {min(ratio, 1):.0%} with {count} at the load measured."


def _evidence(signals: ScalingSignals, asked: _Asked | None = None) -> Evidence:
    """The numbers behind the words; what is not finite, and so no JSON number, is left out as None."""
    evidence: dict[str, float | int | None] = {
        "busy_instances": signals.busy_instances,
        "utilisation_ratio": signals.utilisation_ratio,
        "arrivals_per_s": signals.arrivals_per_s,
        "service_s": signals.service_s,
        "queue_depth": signals.queue_depth,
        "ready_instances": signals.ready_instances,
        "age_s": signals.age_s,
    }
    if asked is not None:
        evidence.update(by_utilisation=asked.by_utilisation, by_demand=asked.by_demand, by_backlog=asked.by_backlog)
    return {name: value if value is None or isfinite(value) else None for name, value in evidence.items()}
