"""The waiting requests of one lane: first come, first served, gathered by trailing shape.

Rules: `push`, `discard` and `take` cost O(1) amortised; what was discarded is freed at once and its empty place is
swept when such places outnumber the living. Depth and rows count the living only. An entry is in the queue just while
it has a group: its state is the scheduler's, and may change later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator

from proxy.scheduler.entries import Entry

# Empty places kept before a sweep. Larger: rarer sweeps, more memory held by an idle queue.
SWEEP_SLACK = 64


class ShapeGroup:
    """Waiting requests that may share an execution, in order of arrival."""

    __slots__ = ("entries", "is_ripe", "key", "live", "rows")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.entries: deque[Entry] = deque()
        self.live = 0
        self.rows = 0
        self.is_ripe = False

    def head(self) -> Entry | None:
        """The longest waiting request, or None."""
        entries = self.entries
        while entries:
            if entries[0].group is not None:
                return entries[0]
            entries.popleft()
        return None


class Taken:
    """What left the queue: `entries` to run together (`rows` in all), and those `expired`."""

    __slots__ = ("entries", "expired", "rows")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.expired: list[Entry] = []
        self.rows = 0


class RequestQueue:
    """FIFO over all shapes, so that no shape starves; a batch is filled from its head's shape only."""

    __slots__ = ("_groups", "_order", "depth", "rows")

    def __init__(self) -> None:
        self._order: deque[Entry] = deque()
        self._groups: dict[Hashable, ShapeGroup] = {}
        self.depth = 0
        self.rows = 0

    def push(self, entry: Entry, key: Hashable) -> ShapeGroup:
        """Append."""
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = ShapeGroup(key)
        entry.group = group
        group.entries.append(entry)
        group.live += 1
        group.rows += entry.rows
        self._order.append(entry)
        self.depth += 1
        self.rows += entry.rows
        return group

    def head_group(self) -> ShapeGroup | None:
        """The shape of the request that waits longest."""
        order = self._order
        while order:
            group = order[0].group
            if group is not None:
                return group
            order.popleft()
        return None

    def take(self, group: ShapeGroup, max_rows: int, now_ns: int, late_ns: int) -> Taken:
        """Remove the next batch of `group`: at most `max_rows`, except for one larger request alone.

        A request whose deadline is at or before `now_ns` expires. One whose deadline is before `late_ns` (when an
        execution begun now would end later) expires too, but only while enough others wait to fill the batch:
        a wrong prediction must never keep an instance from running, or it would never be corrected.
        """
        taken = Taken()
        entries = group.entries
        while entries and taken.rows < max_rows:
            entry = entries[0]
            if entry.group is None:
                entries.popleft()
                continue
            deadline_ns = entry.deadline_ns
            if deadline_ns <= now_ns or (
                deadline_ns < late_ns and group.rows - entry.rows >= max_rows - taken.rows and group.live > 1
            ):
                entries.popleft()
                self._uncount(entry, group)
                taken.expired.append(entry)
                continue
            if taken.rows and taken.rows + entry.rows > max_rows:
                break
            entries.popleft()
            self._uncount(entry, group)
            taken.entries.append(entry)
            taken.rows += entry.rows
        self._tidy(group)
        return taken

    def discard(self, entry: Entry) -> None:
        """Forget an entry, wherever it stands; nothing happens if it has left already."""
        group = entry.group
        if group is None:
            return
        self._uncount(entry, group)
        self._tidy(group)

    def drain(self) -> Iterator[Entry]:
        """Remove and yield everything that waits, oldest first."""
        order, self._order, self._groups = self._order, deque(), {}
        self.depth = self.rows = 0
        for entry in order:
            if entry.group is not None:
                entry.group = None
                yield entry

    @property
    def places(self) -> int:
        """Places held, living and empty (what the sweep bounds)."""
        return len(self._order)

    def _uncount(self, entry: Entry, group: ShapeGroup) -> None:
        entry.group = None
        group.live -= 1
        group.rows -= entry.rows
        self.depth -= 1
        self.rows -= entry.rows

    def _tidy(self, group: ShapeGroup) -> None:
        if group.live == 0:
            group.entries.clear()
            if group.key is not None:
                self._groups.pop(group.key, None)
        elif len(group.entries) > 2 * group.live + SWEEP_SLACK:
            group.entries = deque(e for e in group.entries if e.group is not None)
        if len(self._order) > 2 * self.depth + SWEEP_SLACK:
            self._order = deque(e for e in self._order if e.group is not None)
