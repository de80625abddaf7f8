"""Turns measured seconds into the signals that scaling is decided on. Pure.

    arrival  = (answered without the cache + refused) per second + growth of the queue
    service  = busy time of the instances / requests that they answered          (with the batching there was)
    S(b)     = α + β·b, busy time of an execution by its rows                    (proxy.tuner.service_time)
    trend    = slope of the arrivals over the window, where it stands out of their noise
    Ca²      = variance / mean of the arrivals around the trend                  (1 for Poisson arrivals)

Rules: what cannot be known is None, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, sqrt

from proxy.tuner.service_time import ServiceTime, fit

# How many standard errors a slope must be from 0 to be a trend. Larger: fewer false alarms, later to see a rise.
TREND_SIGNIFICANCE = 3.0
# Seconds without which a trend or a variance says nothing.
LEAST_SECONDS = 8
# Arrivals a second below which their variance is the rounding's.
LEAST_ARRIVALS_PER_S = 5.0
# Bounds of Ca²: what lies beyond is a step or a gap in the window, not the arrivals' nature.
LEAST_VARIATION, MOST_VARIATION = 0.25, 4.0


@dataclass(frozen=True, slots=True)
class MeasuredSecond:
    """One version's second, as the report and the table of measurements have it.

    `cache_hits` are all of its requests that were not executed: hits, and those that an identical one answered.
    """

    at_unix_s: float
    requests: int
    cache_hits: int
    rejections: int
    queue_depth: int
    instances: int
    busy_ratio: float
    executions: int = 0
    inferences: int = 0


@dataclass(frozen=True, slots=True)
class ScalingSignals:
    """What is known of a model's load. `age_s` is that of the newest second, `ready_instances` the newest count.

    `busy_instances` is how many were busy on average, `utilisation_ratio` that as a share of those ready then;
    `service_s` instance-seconds a request. The average is taken over the window, not as share × newest count: just
    after a step up, the share still tells of fewer instances and would ask for too many. `mean_instances` were ready
    on average while `execution` was measured. The host's shares are 0 to 1.
    """

    busy_instances: float | None
    utilisation_ratio: float | None
    arrivals_per_s: float | None
    service_s: float | None
    queue_depth: float | None
    ready_instances: int | None
    age_s: float | None
    execution: ServiceTime | None = None
    rows_per_request: float | None = None
    mean_instances: float | None = None
    trend_per_s2: float | None = None
    gap_variation: float | None = None
    cpu_ratio: float | None = None
    gpu_ratio: float | None = None
    memory_ratio: float | None = None


NO_SIGNALS = ScalingSignals(None, None, None, None, None, None, None)


def signals_from(
    seconds: Sequence[MeasuredSecond],
    now_unix_s: float,
    *,
    cpu_ratio: float | None = None,
    gpu_ratio: float | None = None,
    memory_ratio: float | None = None,
) -> ScalingSignals:
    """Signals of a window of consecutive seconds, oldest first. Seconds without a ready instance say nothing of use."""
    if not seconds:
        return NO_SIGNALS
    newest, oldest = seconds[-1], seconds[0]
    serving = [second for second in seconds if second.instances > 0]
    executed = sum(max(second.requests - second.cache_hits, 0) for second in seconds)
    refused = sum(second.rejections for second in seconds)
    growth = newest.queue_depth - oldest.queue_depth
    busy_s = sum(second.busy_ratio * second.instances for second in serving)
    capacity_s = sum(second.instances for second in serving)
    inferences = sum(second.inferences for second in seconds)
    trend, variation = _shape(_arrivals(seconds))
    return ScalingSignals(
        busy_instances=busy_s / len(serving) if serving else None,
        utilisation_ratio=busy_s / capacity_s if capacity_s else None,
        arrivals_per_s=max(executed + refused + growth, 0) / len(seconds),
        service_s=busy_s / executed if executed else None,
        queue_depth=float(newest.queue_depth),
        ready_instances=newest.instances,
        age_s=now_unix_s - newest.at_unix_s,
        execution=fit(_points(serving)),
        rows_per_request=inferences / executed if executed and inferences else None,
        mean_instances=capacity_s / len(serving) if serving else None,
        trend_per_s2=trend,
        gap_variation=variation,
        cpu_ratio=cpu_ratio,
        gpu_ratio=gpu_ratio,
        memory_ratio=memory_ratio,
    )


def _points(seconds: Sequence[MeasuredSecond]) -> list[tuple[float, float, float]]:
    """(executions, rows an execution, seconds an execution) of each second that executed anything."""
    return [
        (
            float(second.executions),
            second.inferences / second.executions,
            second.busy_ratio * second.instances / second.executions,
        )
        for second in seconds
        if second.executions > 0 and second.inferences > 0 and isfinite(second.busy_ratio) and second.busy_ratio >= 0
    ]


def _arrivals(seconds: Sequence[MeasuredSecond]) -> list[float]:
    """Requests that came in each second but the first, whose queue before is unknown: what left, and what is left."""
    return [
        float(max(second.requests - second.cache_hits, 0) + second.rejections + second.queue_depth - before.queue_depth)
        for before, second in pairwise(seconds)
    ]


def _shape(arrivals: Sequence[float]) -> tuple[float | None, float | None]:
    """(slope a second that stands out of the noise, variance / mean around it); None where too little is known."""
    count = len(arrivals)
    mean = sum(arrivals) / count if count else 0.0
    if count < LEAST_SECONDS or mean < LEAST_ARRIVALS_PER_S:
        return None, None
    middle = (count - 1) / 2
    spread = sum((at - middle) ** 2 for at in range(count))
    slope = sum((at - middle) * value for at, value in enumerate(arrivals)) / spread
    residual = sum((value - mean - slope * (at - middle)) ** 2 for at, value in enumerate(arrivals)) / (count - 2)
    error = sqrt(residual / spread)
    trend = slope if abs(slope) > TREND_SIGNIFICANCE * error else 0.0
    return trend, min(max(residual / mean, LEAST_VARIATION), MOST_VARIATION)
