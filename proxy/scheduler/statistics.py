"""What a lane says of itself: read by the model manager, the metrics and tests alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.core.errors import Reason


@dataclass(frozen=True, slots=True)
class SizeStatistics:
    """Service times of the executions of one size, newer ones weighing more: mean and variance (ns²)."""

    executions: int
    mean_ns: float
    variance_ns2: float


@dataclass(frozen=True, slots=True)
class LaneStatistics:
    """One version's lane. Totals count from its attachment; `busy_ns` is the sum over instances, running ones included.

    `queue_depth` and `queue_rows` wait, `in_flight` are requests running, `running` executions, `ready` instances.
    `arrivals` are all that were submitted, `requests` those that were taken on. `queue_wait_ns` is the sum of what the
    `queue_waits` requests whose execution began had waited. `alpha_ns` + `beta_ns` × rows is the fitted service time;
    `by_size` has what was measured for each number of rows executed, `by_level` how many wait in each priority.
    `reasons` counts what was refused or ended without an answer; `expired`, `rejected`, `displaced` and `cancelled` are
    among them.
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
    arrivals: int = 0
    displaced: int = 0
    cancelled: int = 0
    splits: int = 0
    queue_wait_ns: int = 0
    queue_waits: int = 0
    alpha_ns: int = 0
    beta_ns: int = 0
    concurrency_limit: int = 0
    row_cap: int = 0
    by_size: Mapping[int, SizeStatistics] = field(default_factory=dict)
    by_level: Mapping[int, int] = field(default_factory=dict)
    reasons: Mapping[Reason, int] = field(default_factory=dict)
