"""What a shadow's answers were so far: counts, differences, and how long both versions took. No clock, no I/O."""

from __future__ import annotations

from math import floor, isfinite, log10

from proxy.core.reports import ShadowReport
from proxy.core.snapshot import RolloutSnapshot
from proxy.metrics import histogram

# The report's histogram: exactly 0, then one bucket a power of ten from below 1e-8 up to 1 and above.
DECADES = 9
BUCKETS = DECADES + 2
# What an infinite difference (another shape) is taken for in the mean and the largest: numbers that JSON can hold.
LARGEST_SHOWN = 1e9


def bucket(difference: float) -> int:
    """0: equal; 1: below 1e-8; …; 9: 0.1 to 1; 10: 1 and more."""
    if difference <= 0:
        return 0
    if not isfinite(difference):
        return BUCKETS - 1
    return min(max(floor(log10(difference)) + DECADES + 1, 1), BUCKETS - 1)


class ShadowStatistics:
    """One rollout's comparisons in this process."""

    def __init__(self, model: str, rollout: RolloutSnapshot) -> None:
        self.model = model
        self.rollout = rollout
        self._compared = 0
        self._differing = 0
        self._failed = 0
        self._skipped = 0
        self._largest = 0.0
        self._total = 0.0
        self._differences = [0] * BUCKETS
        self._default_ns: dict[int, int] = {}
        self._candidate_ns: dict[int, int] = {}

    def compared(self, difference: float, default_ns: int, candidate_ns: int) -> None:
        """Both answered: how far apart they were, and the compute time of each."""
        shown = min(difference, LARGEST_SHOWN)
        self._compared += 1
        self._differing += difference > self.rollout.tolerance
        self._largest = max(self._largest, shown)
        self._total += shown
        self._differences[bucket(difference)] += 1
        histogram.merge(self._default_ns, {histogram.index(default_ns): 1})
        histogram.merge(self._candidate_ns, {histogram.index(candidate_ns): 1})

    def failed(self) -> None:
        """The candidate had no answer where the default had one."""
        self._failed += 1

    def skipped(self) -> None:
        """A copy was not executed, so that no real request was held up."""
        self._skipped += 1

    def report(self) -> ShadowReport:
        """Everything so far."""
        return ShadowReport(
            model=self.model,
            rollout_id=self.rollout.rollout_id,
            candidate=self.rollout.candidate,
            compared=self._compared,
            differing=self._differing,
            failed=self._failed,
            largest_difference=self._largest,
            mean_difference=self._total / self._compared if self._compared else 0.0,
            skipped=self._skipped,
            differences=tuple(self._differences),
            default_histogram=dict(self._default_ns),
            candidate_histogram=dict(self._candidate_ns),
        )
