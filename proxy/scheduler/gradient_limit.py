"""How many requests of a model may be in the lane at once, learnt from how service times change. No clock.

Rules: fed with service times, not with waits: waiting in a queue and for a batch are the scheduler's own doing. One
step a window of at least `WINDOW_NS` and `LEAST_SAMPLES` executions; below half of the limit nothing is learnt.
Source: Netflix concurrency-limits, Gradient2Limit.java (PROTOCOLS section 9): g = clamp(tolerance × long / short, 0.5,
1); limit = (1 - s) × limit + s × (g × limit + queue).
"""

from __future__ import annotations

from proxy.core.units import NS_PER_S

# All of Gradient2Limit's own values. Larger tolerance: later reaction; larger smoothing: faster; larger queue: growth.
TOLERANCE = 1.5
SMOOTHING = 0.2
QUEUE = 4
LONG_WINDOW = 600
WARM_UP = 10
# If the long average is this many times the present, it is led down by DRIFT: the load has changed for good.
RECOVERED_RATIO = 2
DRIFT = 0.95
WINDOW_NS = NS_PER_S
LEAST_SAMPLES = 10


def least_limit(lowest: int, max_rows: int, instances: int) -> int:
    """What full batches on all instances need, running and waiting, if that is more than `lowest`. Pure.

    With less, batches run half empty and the limit costs most of the throughput (docs/decisions/0023).
    """
    return max(lowest, 2 * max_rows * max(instances, 1))


def next_limit(limit: float, long: float, short: float, in_flight: int, lowest: int, highest: int) -> float:
    """The limit after a window with mean service time `short`, the long-time mean being `long`. Pure.

    Vector: limit 100, long 10, short 20, in flight 50 or more → 95.8.
    """
    if in_flight < limit / 2 or short <= 0:
        return limit
    gradient = max(0.5, min(1.0, TOLERANCE * long / short))
    moved = (1 - SMOOTHING) * limit + SMOOTHING * (gradient * limit + QUEUE)
    return max(float(lowest), min(float(highest), moved))  # the lowest wins where the two contradict each other


class GradientLimit:
    """The limit of one lane. Starts at the lowest, as its source does."""

    __slots__ = ("_count", "_most", "_sum", "_window_since_ns", "_windows", "limit", "long")

    def __init__(self, lowest: int) -> None:
        self.limit = float(lowest)
        self.long = 0.0
        self._windows = 0
        self._window_since_ns = 0
        self._sum = 0.0
        self._count = 0
        self._most = 0

    def now(self, lowest: int) -> int:
        """The limit, or `lowest` if instances were added since it was learnt."""
        return max(int(self.limit), lowest)

    def observe(self, service_ns: int, in_lane: int, lowest: int, highest: int, now_ns: int) -> None:
        """One execution took `service_ns` while `in_lane` requests waited or ran."""
        self._sum += service_ns
        self._count += 1
        self._most = max(self._most, in_lane)
        if self._count < LEAST_SAMPLES or now_ns - self._window_since_ns < WINDOW_NS:
            return
        short = self._sum / self._count
        self._average(short)
        self.limit = next_limit(self.limit, self.long, short, self._most, lowest, highest)
        self._sum, self._count, self._most, self._window_since_ns = 0.0, 0, 0, now_ns

    def _average(self, short: float) -> None:
        """Plain mean while warming up, then exponential; led down when it is far above the present."""
        self._windows += 1
        if self._windows <= WARM_UP:
            self.long += (short - self.long) / self._windows
        else:
            self.long += (short - self.long) * 2 / (LONG_WINDOW + 1)
        if self.long > RECOVERED_RATIO * short:
            self.long *= DRIFT
