"""What a lane says of itself: read by the model manager, the metrics and tests alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LaneStatistics:
    """One version's lane. Totals count from its attachment; `busy_ns` is the sum over instances, running ones included.

    `queue_depth` and `queue_rows` wait, `in_flight` are requests running, `running` executions, `ready` instances.
    """

    queue_depth: int
    queue_rows: int
    in_flight: int
    running: int
    ready: int
    requests: int
    inferences: int
    executions: int
    expired: int
    rejected: int
    retried: int
    busy_ns: int
    predicted_wait_ns: int
