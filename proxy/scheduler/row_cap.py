"""Fewer rows an execution for a while after one ran out of memory. No clock.

Rules: half of what ran out is the new cap, at least 1; each quiet period doubles it until the policy's own bound holds
again; another fault halves again.
"""

from __future__ import annotations

from proxy.core.units import NS_PER_S

# Time after which a larger batch is tried. Larger: fewer faults where memory stays short, longer at low throughput.
QUIET_NS = 30 * NS_PER_S


class RowCap:
    """`rows` 0: no cap."""

    __slots__ = ("_raise_at_ns", "rows")

    def __init__(self) -> None:
        self.rows = 0
        self._raise_at_ns = 0

    def ran_out(self, rows: int, now_ns: int) -> None:
        """An execution of `rows` ran out of memory."""
        half = max(rows // 2, 1)
        self.rows = min(self.rows, half) if self.rows else half
        self._raise_at_ns = now_ns + QUIET_NS

    def bound(self, max_rows: int, now_ns: int) -> int:
        """The most rows of an execution now, `max_rows` being the policy's."""
        while self.rows and now_ns >= self._raise_at_ns:
            self.rows *= 2
            self._raise_at_ns += QUIET_NS
            if self.rows >= max_rows:
                self.rows = 0
        return min(self.rows, max_rows) if self.rows else max_rows
