"""How many rows an execution holds while a key that sends little stands beside one that sends much. Pure.

Whatever the order of the queue, a request waits for an execution that has just begun, and then for its own. Where rows
take the time, both are full for as long as anybody floods, and a key that sends less than its share waits about twice
as long as alone. With `rows` set, executions hold no more than that while keys contend: a key had all its requests
taken while others still waited, no longer than `LASTING_NS` ago. Where all keys have more waiting than can be run,
nobody is quiet, and executions are full.
What it costs is known beforehand: an execution of α + β·b runs b / (α + β·b) rows a second.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.core.units import NS_PER_S
from proxy.scheduler.flows import Flow

# How long a key that asked counts as there. Larger: rarer keys are spared, too, and a flood is held back for longer
# after the last of them.
LASTING_NS = 10 * NS_PER_S


class Contention:
    """Whether keys contend now, in one lane; `rows` 0: they may."""

    __slots__ = ("_until_ns", "is_on", "rows")

    def __init__(self) -> None:
        self.rows = 0
        self.is_on = False
        self._until_ns = 0

    def follow(self, rows: int, padded: Sequence[int]) -> None:
        """Take the policy's bound; with allowed sizes (ascending), the largest of them within it, or else the smallest.

        A batch of another size would be padded beyond the bound, and what was padded gains nobody anything.
        """
        if rows and padded:
            rows = max((size for size in padded if size <= rows), default=padded[0])
        self.rows = rows

    def look(self, now_ns: int) -> None:
        """An execution is about to be formed."""
        self.is_on = now_ns < self._until_ns

    def served_out(self, flow: Flow, now_ns: int) -> None:
        """Requests of a key were taken: if they were all it had, while another key's still wait, keys contend."""
        if not flow.live and flow.level.active:
            self._until_ns = now_ns + LASTING_NS

    def bound(self, max_rows: int) -> int:
        """How many of `max_rows` an execution may hold."""
        return self.rows if self.is_on and 0 < self.rows < max_rows else max_rows
