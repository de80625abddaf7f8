"""What a window is worth under a model's objective: one number, lower is better, and what must not get worse. Pure.

    resources   instances + cache MiB / MIB_PER_INSTANCE                 one exchange rate for every objective
    latency     √(mean × quantile) × resources / instances               tail and mean, in equal parts
    throughput  busy share / answered a second × resources / instances   the inverse of what could be answered if busy
                                                                         all the time: holds below and at the limit
    cost        resources × (1 + breach)                                 breach: how far the quantile is above target
    each        × (1 + LOSS_WEIGHT × share of requests lost)             a refusal is no way to be fast or cheap

While another knob than the number of instances is tried for the cost, busy instances count instead of all: what it
frees can be taken away afterwards, one knob at a time.
Rules: a window without answers has no score (None). Guards are compared by proxy.tuner.trial.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from proxy.core.policies import Knob, Objective
from proxy.tuner.knobs import Settings
from proxy.tuner.windows import Window

# MiB of cache that cost as much as one instance. Larger: memory is cheaper, so caches grow further.
MIB_PER_INSTANCE = 1_024
# By how much a share of lost requests makes everything else worse: at 10, losing 1 % costs 10 %.
LOSS_WEIGHT = 10.0
# By how much a missed target makes a cost worse, for each part of the target that it is missed by. At 4, a quantile
# a quarter above the target doubles the cost, so that no saving of an instance pays for it.
BREACH_WEIGHT = 4.0


@dataclass(frozen=True, slots=True)
class Goal:
    """The operator's objective. `quantile` is 95 or 99; `target_ms` 0: no target."""

    objective: Objective = Objective.LOWEST_LATENCY
    quantile: int = 99
    target_ms: float = 0.0

    @property
    def words(self) -> str:
        """The objective in words."""
        target = f" that holds p{self.quantile} at {self.target_ms:g} ms" if self.target_ms else ""
        return f"{self.objective.value.replace('_', ' ')}{target}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a score is made of, measured or expected."""

    instances: float
    mean_ms: float
    quantile_ms: float
    busy_ratio: float
    throughput_per_s: float
    lost_ratio: float = 0.0


def cache_instances(settings: Settings) -> float:
    """The cache's memory, in instances."""
    return settings.cache_max_mib / MIB_PER_INSTANCE


def score(window: Window, settings: Settings, goal: Goal, knob: Knob = Knob.INSTANCES) -> float | None:
    """What the window is worth, lower is better, in a trial of `knob`. None: nothing was answered, or by nobody."""
    quantile_ms = window.quantile_ms(goal.quantile)
    if quantile_ms is None or window.mean_ms is None or not window.requests or not window.instances:
        return None
    figures = Figures(
        instances=window.instances,
        mean_ms=window.mean_ms,
        quantile_ms=quantile_ms,
        busy_ratio=window.busy_ratio,
        throughput_per_s=window.throughput_per_s,
        lost_ratio=window.lost_ratio,
    )
    return scored(goal, settings, figures, knob)


def scored(goal: Goal, settings: Settings, figures: Figures, knob: Knob = Knob.INSTANCES) -> float:
    """The same of figures."""
    instances = figures.instances
    loss = 1 + LOSS_WEIGHT * figures.lost_ratio
    if goal.objective is Objective.LOWEST_COST:
        used = instances if knob is Knob.INSTANCES else instances * figures.busy_ratio
        return (used + cache_instances(settings)) * (1 + breach(figures.quantile_ms, goal)) * loss
    share = 1 + cache_instances(settings) / instances
    if goal.objective is Objective.HIGHEST_THROUGHPUT:
        return figures.busy_ratio / figures.throughput_per_s * share * loss
    return sqrt(figures.mean_ms * figures.quantile_ms) * share * loss


def breach(quantile_ms: float, goal: Goal) -> float:
    """How much a missed target weighs; 0 where it is held, or where there is none."""
    if not goal.target_ms or quantile_ms <= goal.target_ms:
        return 0.0
    return BREACH_WEIGHT * (quantile_ms / goal.target_ms - 1)
