"""What a lane has counted and learnt of its requests and executions. No clock, no I/O."""

from __future__ import annotations

from math import sqrt

from proxy.core.batches import Batch
from proxy.core.errors import Reason
from proxy.scheduler.latency_model import LatencyModel
from proxy.scheduler.statistics import SizeStatistics

# Executions after which the mean and variance of a size forget the oldest. Larger: smoother, slower to follow.
SIZE_MEMORY = 100
# Sizes counted apart. Larger: more memory where batches have very many different sizes.
MOST_SIZES = 256
# Time constant of the rate of arrivals, in mean executions. Larger: smoother; smaller: follows faster, and noise too.
RATE_MEMORY = 4
# Weight of the newest gap between arrivals. Larger: follows faster, and noise too.
GAP_WEIGHT = 0.1


class _Size:
    """Running mean and variance; the newest weighs 1/n, and never less than 1/SIZE_MEMORY.

    Source: West: Updating mean and variance estimates, CACM 22(9), 1979, doi.org/10.1145/359146.359153.
    """

    __slots__ = ("count", "mean", "variance")

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self.variance = 0.0

    def observe(self, value: float) -> None:
        self.count += 1
        weight = 1 / min(self.count, SIZE_MEMORY)
        difference = value - self.mean
        self.mean += weight * difference
        self.variance = (1 - weight) * (self.variance + weight * difference * difference)


class Measurements:
    """Counters and averages of one lane."""

    __slots__ = (
        "_busy_changed_ns",
        "_busy_ns",
        "_came",
        "_rated_ns",
        "_sizes",
        "arrived_ns",
        "came_per_ns",
        "cancelled",
        "displaced",
        "executing",
        "executions",
        "expired",
        "gap_ns",
        "inferences",
        "latency",
        "queue_wait_ns",
        "queue_waits",
        "reasons",
        "rejected",
        "requests",
        "retried",
        "running",
        "splits",
    )

    def __init__(self, now_ns: int) -> None:
        self.latency = LatencyModel()
        self.reasons: dict[Reason, int] = {}
        self.running = 0
        self.executing: dict[int, tuple[int, int]] = {}  # by batch: when it began, with how many rows
        self.came_per_ns = 0.0  # requests in the mean, those that were refused included
        self._came = 0
        self._rated_ns = now_ns
        self.requests = self.inferences = self.executions = self.splits = 0
        self.expired = self.rejected = self.retried = self.cancelled = self.displaced = 0
        self.queue_wait_ns = self.queue_waits = 0
        self.arrived_ns = 0
        self.gap_ns = 0.0
        self._busy_ns = 0
        self._busy_changed_ns = now_ns
        self._sizes: dict[int, _Size] = {}

    def came(self, now_ns: int) -> None:
        """A request arrived: the mean gap between arrivals moves."""
        if self.arrived_ns:
            self.gap_ns += GAP_WEIGHT * (now_ns - self.arrived_ns - self.gap_ns)
        self.arrived_ns = now_ns

    def count(self, reason: Reason) -> None:
        """One more ended without an answer."""
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def began(self, batch_id: int, rows: int, now_ns: int) -> None:
        """An execution began: the rate of arrivals moves by what came since the last one did."""
        self._account(1, now_ns)
        self.executing[batch_id] = now_ns, rows
        since_ns = now_ns - self._rated_ns
        if since_ns > 0:
            came = self.requests + self.rejected
            memory_ns = RATE_MEMORY * self.latency.mean_ns
            if since_ns < memory_ns:
                self.came_per_ns += (came - self._came - self.came_per_ns * since_ns) / memory_ns
            else:
                self.came_per_ns = (came - self._came) / since_ns
            self._came, self._rated_ns = came, now_ns

    def rate_per_ns(self, now_ns: int) -> float:
        """Requests that come, in the mean; where more came since the last execution began than by chance, that rate.

        So a step is known once a few have come, not some executions later. Of n that came, n - 2·√n are surely more
        than chance.
        """
        came, since_ns = self.requests + self.rejected - self._came, now_ns - self._rated_ns
        if since_ns <= 0:
            return self.came_per_ns
        return max(self.came_per_ns, (came - 2 * sqrt(came)) / since_ns)

    def ended(self, batch_id: int, now_ns: int) -> None:
        """It ended, in whatever way."""
        self._account(-1, now_ns)
        self.executing.pop(batch_id, None)

    def _account(self, change: int, now_ns: int) -> None:
        self._busy_ns += self.running * (now_ns - self._busy_changed_ns)
        self._busy_changed_ns = now_ns
        self.running += change

    def busy_ns(self, now_ns: int) -> int:
        """Execution time of all instances so far."""
        return self._busy_ns + self.running * (now_ns - self._busy_changed_ns)

    def executed(self, batch: Batch, service_ns: int) -> None:
        """Learn from one execution that gave outputs."""
        self.executions += 1
        self.inferences += batch.rows
        self.latency.observe(batch.rows, service_ns)
        rows = batch.padded_rows or batch.rows
        size = self._sizes.get(rows)
        if size is None:
            if len(self._sizes) >= MOST_SIZES:
                return
            size = self._sizes[rows] = _Size()
        size.observe(service_ns)

    def by_size(self) -> dict[int, SizeStatistics]:
        """Rows executed → what was measured."""
        return {
            rows: SizeStatistics(size.count, size.mean, size.variance) for rows, size in sorted(self._sizes.items())
        }
