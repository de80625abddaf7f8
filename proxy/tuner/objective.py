"""What a window is worth under a model's objective: one number, lower is better, and what must not get worse. Pure.

    resources   instances + cache MiB / MIB_PER_INSTANCE                 one exchange rate for every objective
    latency     √(mean × quantile) × resources / instances               tail and mean, in equal parts
    throughput  busy share / answered a second × resources / instances   the inverse of what could be answered if busy
                                                                         all the time: holds below and at the limit
    cost        resources × (1 + breach)                                 breach: how far the quantile is above target
    each        × (1 + LOSS_WEIGHT × share of requests lost)             a refusal is no way to be fast or cheap

Rules: a window without answers has no score (None). Guards are compared by proxy.tuner.trial.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from proxy.core.policies import Objective
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


def resources(settings: Settings, instances: float) -> float:
    """What the settings use, in instances: those, and the memory of the cache at the stated rate."""
    return instances + settings.cache_max_mib / MIB_PER_INSTANCE


def score(window: Window, settings: Settings, goal: Goal) -> float | None:
    """What the window is worth; lower is better. None where nothing was answered or no instance was there."""
    quantile_ms, instances = window.quantile_ms(goal.quantile), window.instances
    if quantile_ms is None or window.mean_ms is None or not window.requests or not instances:
        return None
    return scored(
        goal,
        settings,
        instances=instances,
        mean_ms=window.mean_ms,
        quantile_ms=quantile_ms,
        busy_s_per_answer=window.busy_ratio / window.throughput_per_s,
        lost_ratio=window.lost_ratio,
    )


def scored(
    goal: Goal,
    settings: Settings,
    *,
    instances: float,
    mean_ms: float,
    quantile_ms: float,
    busy_s_per_answer: float,
    lost_ratio: float = 0.0,
) -> float:
    """The same of figures, measured or predicted. `busy_s_per_answer`: busy share over answers a second."""
    used = resources(settings, instances)
    loss = 1 + LOSS_WEIGHT * lost_ratio
    if goal.objective is Objective.LOWEST_COST:
        return used * (1 + breach(quantile_ms, goal)) * loss
    if goal.objective is Objective.HIGHEST_THROUGHPUT:
        return busy_s_per_answer * used / instances * loss
    return sqrt(mean_ms * quantile_ms) * used / instances * loss


def breach(quantile_ms: float, goal: Goal) -> float:
    """How much a missed target weighs; 0 where it is held, or where there is none."""
    if not goal.target_ms or quantile_ms <= goal.target_ms:
        return 0.0
    return BREACH_WEIGHT * (quantile_ms / goal.target_ms - 1)
