"""Turns measured seconds into the signals that scaling is decided on. Pure.

    arrival  = (answered without the cache + refused) per second + growth of the queue
    service  = busy time of the instances / requests that they answered          (with the batching there was)

Rules: what cannot be known is None, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeasuredSecond:
    """One model's second, as the report and the table of measurements have it."""

    at_unix_s: float
    requests: int
    cache_hits: int
    rejections: int
    queue_depth: int
    instances: int
    busy_ratio: float


@dataclass(frozen=True, slots=True)
class ScalingSignals:
    """What is known of a model's load. `age_s` is that of the newest second, `ready_instances` the newest count.

    `busy_instances` is how many were busy on average, `utilisation_ratio` that as a share of those ready then;
    `service_s` instance-seconds a request. The average is taken over the window, not as share × newest count: just
    after a step up, the share still tells of fewer instances and would ask for too many.
    """

    busy_instances: float | None
    utilisation_ratio: float | None
    arrivals_per_s: float | None
    service_s: float | None
    queue_depth: float | None
    ready_instances: int | None
    age_s: float | None


NO_SIGNALS = ScalingSignals(None, None, None, None, None, None, None)


def signals_from(seconds: Sequence[MeasuredSecond], now_unix_s: float) -> ScalingSignals:
    """Signals of a window of consecutive seconds, oldest first. Seconds without a ready instance say nothing of use."""
    if not seconds:
        return NO_SIGNALS
    newest, oldest = seconds[-1], seconds[0]
    length_s = len(seconds)
    serving = [second for second in seconds if second.instances > 0]
    executed = sum(max(second.requests - second.cache_hits, 0) for second in seconds)
    refused = sum(second.rejections for second in seconds)
    growth = max(newest.queue_depth - oldest.queue_depth, 0)
    busy_s = sum(second.busy_ratio * second.instances for second in serving)
    capacity_s = sum(second.instances for second in serving)
    return ScalingSignals(
        busy_instances=busy_s / len(serving) if serving else None,
        utilisation_ratio=busy_s / capacity_s if capacity_s else None,
        arrivals_per_s=(executed + refused + growth) / length_s,
        service_s=busy_s / executed if executed else None,
        queue_depth=float(newest.queue_depth),
        ready_instances=newest.instances,
        age_s=now_unix_s - newest.at_unix_s,
    )
