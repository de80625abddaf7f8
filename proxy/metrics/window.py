"""Counts of one model over one window, and their sums since start. No clock, no I/O.

Rules: counting one answer touches a handful of integers (under 1 µs); a window merges into the totals when it closes,
so nothing is lost between the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.core.errors import Reason
from proxy.core.reports import ModelSecond
from proxy.core.units import NS_PER_MS
from proxy.metrics.histogram import merge, quantiles

# Refused at admission, or expired: the load's doing. They count as demand when instances are scaled.
REJECTIONS = frozenset(
    {
        Reason.QUEUE_FULL,
        Reason.PREDICTED_LATE,
        Reason.CONCURRENCY_LIMIT,
        Reason.NO_ROOM,
        Reason.FAIR_SHARE,
        Reason.NOT_READY,
        Reason.SHUTTING_DOWN,
        Reason.DEADLINE_EXCEEDED,
    }
)
# Before a model was authorised, a key's own doing, or nobody's fault: counted by reason, but no error of a model, and
# no demand for more instances. Requests that can never be right (OVERSIZE, like INVALID_SHAPE) are errors.
NOT_ERRORS = frozenset(
    {
        Reason.UNAUTHENTICATED,
        Reason.FORBIDDEN,
        Reason.UNKNOWN_MODEL,
        Reason.UNKNOWN_ROUTE,
        Reason.METHOD_NOT_ALLOWED,
        Reason.REPEAT_OFFENDER,
        Reason.QUOTA,
        Reason.CANCELLED,
    }
)


class Counts:
    """What happened to one model: answers, their times, look-ups."""

    __slots__ = (
        "cache_hits",
        "cache_misses",
        "coalesced",
        "compute_ns",
        "latencies",
        "latency_ns",
        "queue_ns",
        "reasons",
        "requests",
    )

    def __init__(self) -> None:
        self.requests = 0
        self.cache_hits = 0
        self.cache_misses = 0
        self.coalesced = 0
        self.latency_ns = 0
        self.queue_ns = 0
        self.compute_ns = 0
        self.latencies: dict[int, int] = {}
        self.reasons: dict[Reason, int] = {}

    def add(self, other: Counts) -> None:
        """Take `other`'s counts in."""
        self.requests += other.requests
        self.cache_hits += other.cache_hits
        self.cache_misses += other.cache_misses
        self.coalesced += other.coalesced
        self.latency_ns += other.latency_ns
        self.queue_ns += other.queue_ns
        self.compute_ns += other.compute_ns
        merge(self.latencies, other.latencies)
        for reason, count in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count


class ExecutionCounts:
    """What the instances of one version did."""

    __slots__ = ("executions", "inferences", "rows_by_bits", "service_ns")

    def __init__(self) -> None:
        self.inferences = 0
        self.executions = 0
        self.service_ns = 0
        self.rows_by_bits: dict[int, int] = {}

    def add(self, other: ExecutionCounts) -> None:
        """Take `other`'s counts in."""
        self.inferences += other.inferences
        self.executions += other.executions
        self.service_ns += other.service_ns
        merge(self.rows_by_bits, other.rows_by_bits)


@dataclass(slots=True)
class Gauges:
    """What is, rather than what happened, when a window closes; summed over the versions of a model.

    `busy_ns` is the busy time of all instances within the window.
    """

    queue_depth: int = 0
    in_flight: int = 0
    instances: int = 0
    busy_ns: int = 0
    cache_bytes: int = 0

    def add(self, other: Gauges) -> None:
        """Take `other` in."""
        self.queue_depth += other.queue_depth
        self.in_flight += other.in_flight
        self.instances += other.instances
        self.busy_ns += other.busy_ns
        self.cache_bytes += other.cache_bytes


@dataclass(slots=True)
class ModelWindow:
    """Everything of one model over one window."""

    counts: Counts = field(default_factory=Counts)
    executed: ExecutionCounts = field(default_factory=ExecutionCounts)
    gauges: Gauges = field(default_factory=Gauges)

    def add(self, other: ModelWindow) -> None:
        """Take `other` in (the window of all models together)."""
        self.counts.add(other.counts)
        self.executed.add(other.executed)
        self.gauges.add(other.gauges)


def summarise(window: ModelWindow, window_ns: int) -> ModelSecond:
    """The window as a report's numbers. Means and percentiles are None where nothing was answered."""
    counts, gauges = window.counts, window.gauges
    rejections = sum(count for reason, count in counts.reasons.items() if reason in REJECTIONS)
    uncounted = sum(count for reason, count in counts.reasons.items() if reason in NOT_ERRORS)
    p50_ns, p95_ns, p99_ns = quantiles(counts.latencies, (0.5, 0.95, 0.99))
    executed_requests = counts.requests - counts.cache_hits
    capacity_ns = gauges.instances * window_ns
    return ModelSecond(
        requests=counts.requests,
        errors=sum(counts.reasons.values()) - rejections - uncounted,
        rejections=rejections,
        cache_hits=counts.cache_hits,
        cache_misses=counts.cache_misses,
        coalesced=counts.coalesced,
        inferences=window.executed.inferences,
        executions=window.executed.executions,
        p50_ms=_ms(p50_ns),
        p95_ms=_ms(p95_ns),
        p99_ms=_ms(p99_ns),
        mean_ms=_mean_ms(counts.latency_ns, counts.requests),
        queue_mean_ms=_mean_ms(counts.queue_ns, executed_requests),
        queue_depth=gauges.queue_depth,
        in_flight=gauges.in_flight,
        instances=gauges.instances,
        busy_ratio=min(gauges.busy_ns / capacity_ns, 1.0) if capacity_ns else 0.0,
        cache_bytes=gauges.cache_bytes,
        compute_mean_ms=_mean_ms(counts.compute_ns, executed_requests),
        histogram=dict(counts.latencies),
        rows_by_bits=dict(window.executed.rows_by_bits),
    )


def _ms(value_ns: int | None) -> float | None:
    return None if value_ns is None else value_ns / NS_PER_MS


def _mean_ms(sum_ns: int, count: int) -> float | None:
    return sum_ns / count / NS_PER_MS if count > 0 else None
