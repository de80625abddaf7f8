"""Which deadline comes next, of requests that wait or run.

Rules: adding costs O(1) when deadlines come in order (equal timeouts) and O(log n) else; finished requests are swept
out when they outnumber the living, so that long timeouts hold no memory.
"""

from __future__ import annotations

import heapq

from proxy.scheduler.entries import DONE, Entry

# Finished places kept before a sweep. Larger: rarer sweeps, more memory.
SWEEP_SLACK = 256


class Deadlines:
    """A heap of (deadline, sequence, entry) with lazy removal."""

    __slots__ = ("_heap", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Entry]] = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, entry: Entry, live: int) -> None:
        """Watch `entry`; `live` is how many unfinished requests there are."""
        self._sequence += 1
        heapq.heappush(self._heap, (entry.deadline_ns, self._sequence, entry))
        if len(self._heap) > 2 * live + SWEEP_SLACK:
            self._heap = [item for item in self._heap if item[2].state is not DONE]
            heapq.heapify(self._heap)

    def next_ns(self) -> int | None:
        """The earliest deadline of an unfinished request."""
        heap = self._heap
        while heap:
            if heap[0][2].state is not DONE:
                return heap[0][0]
            heapq.heappop(heap)
        return None

    def pop_due(self, now_ns: int) -> list[Entry]:
        """Remove and return every unfinished request whose deadline is at or before `now_ns`."""
        due = []
        heap = self._heap
        while heap and (heap[0][2].state is DONE or heap[0][0] <= now_ns):
            entry = heapq.heappop(heap)[2]
            if entry.state is not DONE:
                due.append(entry)
        return due
