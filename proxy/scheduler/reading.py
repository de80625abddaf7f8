"""A lane's numbers as of now, for those who read them. No clock, no I/O."""

from __future__ import annotations

from proxy.scheduler.forecast import drain_ns
from proxy.scheduler.lane import Lane
from proxy.scheduler.statistics import LaneStatistics


def read(lane: Lane, now_ns: int) -> LaneStatistics:
    """A copy of the numbers as of `now_ns`."""
    measured = lane.measured
    return LaneStatistics(
        queue_depth=lane.depth,
        queue_rows=lane.queue.rows,
        in_flight=lane.in_flight,
        running=measured.running,
        ready=len(lane.group.ready_instances()),
        requests=measured.requests,
        inferences=measured.inferences,
        executions=measured.executions,
        expired=measured.expired,
        rejected=measured.rejected,
        retried=measured.retried,
        busy_ns=measured.busy_ns(now_ns),
        predicted_wait_ns=drain_ns(lane, now_ns),
        arrivals=measured.requests + measured.rejected,
        displaced=measured.displaced,
        cancelled=measured.cancelled,
        splits=measured.splits,
        queue_wait_ns=measured.queue_wait_ns,
        queue_waits=measured.queue_waits,
        alpha_ns=measured.latency.alpha_ns,
        beta_ns=measured.latency.beta_ns,
        concurrency_limit=lane.limit_now(),
        row_cap=lane.cap.rows,
        by_size=measured.by_size(),
        by_level=lane.queue.by_level(),
        reasons=dict(measured.reasons),
    )
