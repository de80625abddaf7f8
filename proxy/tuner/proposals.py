"""What each of the three signals asks for, in numbers and words. Pure.

    utilisation   max(busy instances, ready instances × busy share of their GPU) / target
                  what runs now, spread to the target. CPU and memory of the host are told, too, but ask for nothing:
                  another instance brings no core and no byte; they bound growth (proxy.tuner.bounds)
    demand        the smallest c with a(c) / c ≤ target and Wq(c) ≤ the queue-wait target, where
                  a(c) = λ·r / b(c) × S(b(c))   executions a second × seconds each (S: proxy.tuner.service_time)
                  b(c) = b·c₀ / c               rows an execution: they gather by arrivals an instance; never more
                                                than measured (b at c₀ instances), never less than a request's (r)
                  Wq by Erlang C with Allen–Cunneen's correction (proxy.tuner.queueing), Cs² taken as 1
                  λ is what arrives, refused requests included, carried on by its trend over the measured load time:
                  an instance decided on now serves then
    backlog       λ·S + waiting × S / drain goal   what waits, cleared in time

Each is rounded up. Rules: what cannot be known asks for nothing (0).
Source: PROTOCOLS sections 8 and 10; docs/decisions/0025-three-signals.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, isfinite

from proxy.core.policies import ScalingPolicy
from proxy.core.units import NS_PER_S
from proxy.core.words import Words, joined, say
from proxy.tuner.queueing import mean_wait_s
from proxy.tuner.signals import ScalingSignals

# Time in which waiting requests should be gone, seconds. Smaller: more instances for the same burst.
DRAIN_GOAL_S = 5.0
# Most that a trend may add to what arrives, as a share of it. Larger: faster up a steep ramp, and more for a false one.
MOST_LOOK_AHEAD = 1.0
# Counts beyond which the wait is not looked at: what carries so much load hardly waits.
MOST_COUNTED = 256
# Squared variation of service times: of exponential ones. Batches of one size vary less; nothing measured says so.
SERVICE_VARIATION = 1.0


Evidence = Mapping[str, float | int | None]


@dataclass(frozen=True, slots=True)
class Proposal:
    """`count` instances, 0 where the signal has nothing to say; `words` tell why, without a full stop."""

    count: int
    words: str


@dataclass(frozen=True, slots=True)
class Proposals:
    """All three."""

    utilisation: Proposal
    demand: Proposal
    backlog: Proposal

    @property
    def words(self) -> str:
        """One sentence of all."""
        return joined(say("; "), (self.utilisation.words, self.demand.words, self.backlog.words)) + say(".")


def propose(
    signals: ScalingSignals, policy: ScalingPolicy, load_s: float | None = None, margin: float = 1.0
) -> Proposals:
    """What the signals ask for. `load_s`: what a new instance takes to be ready (None: no look ahead).

    `margin` below 1 makes every target stricter by that factor (asked before one instance is taken away).
    """
    target = policy.target_utilisation_ratio * margin
    wait_s = policy.target_queue_wait_ns / NS_PER_S * margin
    return Proposals(_utilisation(signals, target), _demand(signals, target, wait_s, load_s), _backlog(signals))


def expected_arrivals_per_s(signals: ScalingSignals, load_s: float | None) -> float | None:
    """What will arrive when an instance decided on now is ready; a falling trend is not counted on."""
    now = signals.arrivals_per_s
    if now is None or load_s is None or not signals.trend_per_s2:
        return now
    return min(max(now + signals.trend_per_s2 * load_s, now), now * (1 + MOST_LOOK_AHEAD))


def _utilisation(signals: ScalingSignals, target: float) -> Proposal:
    busy, ratio = signals.busy_instances, signals.utilisation_ratio
    if busy is None or ratio is None:
        return Proposal(0, say("Utilisation is unknown: nothing was ready%(host)s", host=_host(signals)))
    on_gpu = (signals.ready_instances or 0) * (signals.gpu_ratio or 0.0)
    count = _up(max(busy, on_gpu) / target)
    words = say(
        "Utilisation of %(ratio)s (%(busy)s busy on average%(host)s) asks for %(count)s",
        ratio=f"{ratio:.0%}",
        busy=f"{busy:.2f}",
        host=_host(signals),
        count=count,
    )
    return Proposal(count, say("%(words)s (target %(target)s)", words=words, target=f"{target:.0%}"))


def _host(signals: ScalingSignals) -> str:
    named = (
        (Words("CPU"), signals.cpu_ratio),
        (Words("GPU"), signals.gpu_ratio),
        (say("memory"), signals.memory_ratio),
    )
    told = [name + f" {value:.0%}" for name, value in named if value is not None]
    return joined("", (say("; "), joined(say(", "), told))) if told else ""


def _demand(signals: ScalingSignals, target: float, target_wait_s: float, load_s: float | None) -> Proposal:
    arrivals = expected_arrivals_per_s(signals, load_s)
    if arrivals is None or signals.service_s is None:
        return Proposal(0, say("demand is unknown: nothing was executed"))
    variability = ((signals.gap_variation or 1.0) + SERVICE_VARIATION) / 2
    count = 1
    while True:
        offered, service_s = _offered(signals, arrivals, count)
        wait_s = mean_wait_s(count, offered, service_s, variability) if count < MOST_COUNTED else 0.0
        if offered <= count * target + 1e-9 and wait_s <= target_wait_s:
            break
        enough = _up(offered / target)
        count = max(count + 1, enough if count >= MOST_COUNTED else min(enough, MOST_COUNTED))
    words = say("demand of %(arrivals_per_s)s requests/s", arrivals_per_s=f"{signals.arrivals_per_s:.1f}")
    if signals.arrivals_per_s is not None and arrivals > signals.arrivals_per_s:
        words += say(
            " (%(arrivals)s in %(load_s)s s, when one more would be ready)",
            arrivals=f"{arrivals:.1f}",
            load_s=f"{load_s:.1f}",
        )
    words += say(" × %(service_s)s ms asks for %(count)s", service_s=f"{signals.service_s * 1_000:.2f}", count=count)
    return Proposal(
        count,
        say(
            "%(words)s (wait of %(wait_s)s ms, target %(target_wait_s)s ms)",
            words=words,
            wait_s=f"{wait_s * 1_000:.1f}",
            target_wait_s=f"{target_wait_s * 1_000:.0f}",
        ),
    )


def _offered(signals: ScalingSignals, arrivals_per_s: float, count: int) -> tuple[float, float]:
    """(Offered load, seconds an execution) with `count` instances."""
    line, rows, measured = signals.execution, signals.rows_per_request, signals.mean_instances
    if line is None or rows is None or not measured:
        service_s = signals.service_s or 0.0
        return arrivals_per_s * service_s, service_s
    batch = max(min(line.rows * measured / count, line.rows), rows)
    return arrivals_per_s * rows / batch * line.of(batch), line.of(batch)


def _backlog(signals: ScalingSignals) -> Proposal:
    if signals.arrivals_per_s is None or signals.service_s is None:
        return Proposal(0, say("backlog is unknown: nothing was executed"))
    depth = signals.queue_depth or 0.0
    count = 0
    if depth:
        count = _up(signals.arrivals_per_s * signals.service_s + depth * signals.service_s / DRAIN_GOAL_S)
    return Proposal(count, say("a backlog of %(depth)s requests asks for %(count)s", depth=f"{depth:.0f}", count=count))


def _up(value: float) -> int:
    """Ceiling that forgives the last bits of a division."""
    return ceil(value - 1e-9)


def evidence_of(signals: ScalingSignals, asked: Proposals | None = None, load_s: float | None = None) -> Evidence:
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
