"""Callers who were just answered and are likely to call again at once: whom an idle instance may wait for.

A client that sends its next request when it has its answer comes back within a round trip. If the instance starts
without it, two crowds form that take turns, each with half of the callers, and every execution runs half empty. No
clock, no I/O.

Rules: waits only while callers are expected back; only where half of them came back lately; only while every other
instance is busy (an idle one takes what waits); never longer than `LONGEST_WAIT_NS` and never where the fixed cost of
an execution, which a fuller batch shares, is not worth it.
Source: docs/decisions/0015-waiting-for-callers.md.
"""

from __future__ import annotations

from proxy.core.units import NS_PER_MS

# Larger: catches slower clients, and costs more where they do not come. A round trip on one host is under 1 ms.
LONGEST_WAIT_NS = 2 * NS_PER_MS
# Part of an execution's fixed cost that waiting may take. Larger: waits for cheaper models, too.
WORTH_RATIO = 0.75
# Shorter waits are not begun: event loops round timers to a millisecond.
SHORTEST_WAIT_NS = NS_PER_MS
# Share of callers that must have come back lately. Larger: gives up sooner on clients that do not.
LEAST_RETURN_RATIO = 0.5
# Weight of the newest window in that share. Larger: forgets faster.
RETURN_WEIGHT = 0.2


class Callers:
    """Counts, for a short window after each execution, how many of those it answered have called again."""

    __slots__ = ("_answered", "_back", "_until_ns", "return_ratio")

    def __init__(self) -> None:
        self._answered = 0
        self._back = 0
        self._until_ns = 0
        self.return_ratio = 1.0

    @property
    def until_ns(self) -> int:
        """When the present window ends."""
        return self._until_ns

    def answered(self, requests: int, alpha_ns: int, now_ns: int) -> None:
        """An execution with the fixed cost `alpha_ns` answered `requests` callers."""
        if now_ns >= self._until_ns:
            if self._answered:
                self.return_ratio += RETURN_WEIGHT * (self._back / self._answered - self.return_ratio)
            self._answered = self._back = 0
        wait_ns = min(LONGEST_WAIT_NS, int(alpha_ns * WORTH_RATIO))
        if wait_ns >= SHORTEST_WAIT_NS:
            self._answered += requests
            self._until_ns = now_ns + wait_ns

    def came(self, now_ns: int) -> None:
        """A request arrived."""
        if self._back < self._answered and now_ns < self._until_ns:
            self._back += 1

    def expected(self, now_ns: int) -> int:
        """How many callers are worth waiting for now."""
        if now_ns >= self._until_ns or self.return_ratio < LEAST_RETURN_RATIO:
            return 0
        return self._answered - self._back
