"""Scaling policies beside each other on simulated load: `python -m proxy.testing.scaling` prints one row a policy.

A second at a time: Poisson arrivals of a seeded trace, a queue without bound, instances that each answer `RATE`
requests a second and take `LOAD_S` to be ready; each 5 s the real decision is taken on the real signals of the last
15 s. No clock, no process: the same numbers on every machine.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import exp, pi, sin
from types import MappingProxyType

from proxy.core.policies import ScalingPolicy
from proxy.core.units import NS_PER_S
from proxy.tuner.instance_count import SIGNALS, CountDecision, CountReason, instance_count
from proxy.tuner.signals import MeasuredSecond, signals_from

RATE = 100.0
LOAD_S = 4
LENGTH_S = 1_200
WINDOW_S = 15
TICK_S = 5
POLICY = ScalingPolicy(min_instances=1, max_instances=12)

TRACES: Mapping[str, Callable[[int], float]] = MappingProxyType(
    {
        "steady": lambda s: 250.0,
        "step": lambda s: 60.0 if s < 300 or s >= 800 else 500.0,
        "diurnal": lambda s: 300.0 + 250.0 * sin(2 * pi * s / LENGTH_S),
        "burst": lambda s: 80.0 + (500.0 if s % 240 < 30 else 0.0),
        "noise": lambda s: 210.0,  # at the edge between three and four instances
    }
)
NOISE_RATIO = 0.35
POLICIES: Mapping[str, Collection[CountReason]] = MappingProxyType(
    {
        "utilisation only": (CountReason.UTILISATION,),
        "demand only": (CountReason.DEMAND,),
        "backlog only": (CountReason.BACKLOG,),
        "all three": SIGNALS,
    }
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`late_ratio`: share of requests that waited over 1 s; `wait_s` the mean wait; `instances` the mean number."""

    late_ratio: float
    wait_s: float
    instances: float
    changes: int
    reversals: int
    most_reversals_a_minute: int


def simulate(trace: str, heed: Collection[CountReason], seed: int = 1) -> Outcome:
    """One policy on one trace."""
    dice = random.Random(f"{trace} {seed}")  # noqa: S311  a simulation
    wanted = ready = 1
    waiting = late = waited_s = used_s = total = 0.0
    low_since_ns: int | None = None
    starting: list[tuple[int, int]] = []
    seconds: list[MeasuredSecond] = []
    changes: list[tuple[int, int]] = []
    for now_s in range(LENGTH_S):
        ready = min(max([ready, *(count for at, count in starting if at <= now_s)]), wanted)
        rate = TRACES[trace](now_s) * (max(dice.gauss(1, NOISE_RATIO), 0) if trace == "noise" else 1.0)
        arrived = _poisson(dice, rate)
        capacity = ready * RATE
        done = min(waiting + arrived, capacity)
        waiting += arrived - done
        total += arrived
        late += arrived if waiting / capacity > 1 else 0
        waited_s += arrived * waiting / capacity
        used_s += max(wanted, ready)
        seconds.append(MeasuredSecond(now_s, round(done), 0, 0, round(waiting), ready, done / capacity))
        if now_s % TICK_S:
            continue
        signals = signals_from(seconds[-WINDOW_S:], now_s)
        decision = instance_count(signals, POLICY, wanted, low_since_ns, now_s * NS_PER_S, load_s=LOAD_S, heed=heed)
        low_since_ns = decision.low_since_ns
        if isinstance(decision, CountDecision):
            changes.append((now_s, decision.count - wanted))
            wanted = decision.count
            starting = [*((at, min(count, wanted)) for at, count in starting), (now_s + LOAD_S, wanted)]
    turns = [at for (_, before), (at, change) in pairwise(changes) if (before > 0) != (change > 0)]
    busiest = max((sum(at <= other < at + 60 for other in turns) for at in turns), default=0)
    return Outcome(late / total, waited_s / total, used_s / LENGTH_S, len(changes), len(turns), busiest)


def table() -> str:
    """One row a policy and trace, as Markdown."""
    lines = [
        "| policy | trace | waited over 1 s | mean wait | mean instances | changes | reversals | most in a minute |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for policy, heed in POLICIES.items():
        for trace in TRACES:
            o = simulate(trace, heed)
            lines.append(
                f"| {policy} | {trace} | {o.late_ratio:.1%} | {o.wait_s * 1_000:.0f} ms | {o.instances:.2f} "
                f"| {o.changes} | {o.reversals} | {o.most_reversals_a_minute} |"
            )
    return "\n".join(lines) + "\n"


def _poisson(dice: random.Random, mean: float) -> int:
    """A Poisson number; by the normal law where that is as good."""
    if mean > 50:
        return max(round(dice.gauss(mean, mean**0.5)), 0)
    limit, count, product = exp(-mean), 0, dice.random()
    while product > limit:
        count += 1
        product *= dice.random()
    return count


if __name__ == "__main__":
    sys.stdout.write(table())
