"""Who goes first among waiting requests: levels of priority, keys within a level, shapes within a key's requests.

A *flow* is what one key has waiting in one level, a *line* the part of a flow that has one shape.

Within a level: start-time fair queueing. Each flow has a virtual start time; the flow with the smallest goes, and its
start moves on by rows / weight; a flow that comes back from idleness starts no earlier than `CREDIT` before the level's
virtual time (the start of what went last): a key below its share may send a few at once without waiting in turn, and
over any time nobody gets more than its share and that. Between levels: the request that wins `arrival + level ×
ageing` goes, so that waiting one ageing time counts as much as one level.

Units: a tag is rows / weight. Rules: tags only rise, so a heap whose items carry old tags is put right at its top;
every step is O(log flows), and O(1) where there is one flow.
Source: Goyal, Vin, Cheng: Start-time Fair Queuing, SIGCOMM 1996, doi.org/10.1145/248156.248171; the credit after Duda,
Cheriton: Borrowed-Virtual-Time Scheduling, SOSP 1999, doi.org/10.1145/319151.319169.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Hashable
from typing import Any

from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import VARIABLE
from proxy.scheduler.entries import Entry

# Idle flows and lines kept beside the busy ones before a sweep. Larger: rarer sweeps, more memory.
IDLE_SLACK = 64
# What a key that was idle may have ahead of the others, rows / weight. Larger: keys below their share wait less behind
# busy ones, and these wait longer for newcomers. A key at half of its share beside one at 20 times its own had a 99th
# percentile of 9.0 ms at 0, 4.5 ms at 8, 32 and 128 (2 ms an execution, no batching; bench/simulate, 2026-11).
CREDIT = 8.0
_EMPTY: deque[Entry] = deque()  # of flows that have nothing yet; never written to


class Flow:
    """One key's waiting requests in one level, in order of arrival.

    While all of them have one shape, `entries` is the very deque of their line, which is `shared`.
    """

    __slots__ = ("entries", "flow", "is_listed", "key", "level", "live", "places", "rows", "shared", "tag", "weight")

    def __init__(self, key: str, level: Level) -> None:
        self.key = key
        self.level = level
        self.weight = 1
        self.tag = 0.0
        self.live = 0
        self.rows = 0
        self.entries: deque[Entry] = _EMPTY
        self.shared: Line | None = None
        self.is_listed = False
        self.places = 0.0  # what the heap of the longest holds of it at most (proxy.scheduler.longest_queue)
        self.flow = self  # as a line's

    def served(self, rows: int) -> None:
        """`rows` of it go: the level's time is its start, and its next start lies behind them."""
        level = self.level
        if self.tag > level.virtual:
            level.virtual = self.tag
        self.tag += rows / self.weight
        if self.tag > level.highest:
            level.highest = self.tag

    def also(self, entry: Entry, line: Line) -> None:
        """`entry` joined a line other than the one whose deque this flow shares."""
        if not self.live:
            self.entries, self.shared = line.entries, line
            return
        if self.shared is not None:
            self.entries, self.shared = deque(self.entries), None
        self.entries.append(entry)


class Line:
    """A flow's requests of one shape, in order of arrival."""

    __slots__ = ("entries", "flow", "group", "is_listed")

    def __init__(self, flow: Flow, group: ShapeGroup) -> None:
        self.flow = flow
        self.group = group
        self.entries: deque[Entry] = deque()
        self.is_listed = False


Item = tuple[float, int, Any]  # tag, sequence, Flow or Line (Any: the two have `entries`, `flow`, `is_listed` alike)


class Listed:
    """Flows or lines by their tags: `first` is the one with the smallest that has something waiting."""

    __slots__ = ("_heap", "_sequence")

    def __init__(self) -> None:
        self._heap: list[Item] = []
        self._sequence = 0

    def add(self, item: Any) -> None:
        """List one that is not listed."""
        item.is_listed = True
        self._sequence += 1
        heapq.heappush(self._heap, (item.flow.tag, self._sequence, item))

    def __len__(self) -> int:
        return len(self._heap)

    def sweep(self) -> None:
        """Forget those that have nothing waiting."""
        listed, self._heap = self._heap, []
        for item in listed:
            item[2].is_listed = first_living(item[2].entries)
            if item[2].is_listed:
                self._heap.append(item)
        heapq.heapify(self._heap)

    def first(self) -> Any:
        """The Flow or Line whose head goes next (its `entries[0]` lives), or None."""
        heap = self._heap
        while heap:
            tag, _, item = heap[0]
            if not first_living(item.entries):
                heapq.heappop(heap)
                item.is_listed = False
            elif len(heap) == 1 or tag == item.flow.tag:
                return item
            else:
                self._sequence += 1
                heapq.heapreplace(heap, (item.flow.tag, self._sequence, item))
        return None


class Level:
    """One priority: its flows, and how far its virtual time has come."""

    __slots__ = ("active", "flows", "highest", "listed", "live", "number", "rows", "virtual", "weight")

    def __init__(self, number: int) -> None:
        self.number = number
        self.flows: dict[str, Flow] = {}
        self.listed = Listed()
        self.virtual = 0.0
        self.highest = 0.0
        self.active = 0
        self.weight = 0
        self.live = 0
        self.rows = 0

    def flow(self, key: str, weight: int) -> Flow:
        """The key's flow, awake."""
        flow = self.flows.get(key)
        if flow is None:
            if len(self.flows) > 2 * self.active + IDLE_SLACK:
                self._sweep()
            flow = self.flows[key] = Flow(key, self)
        if not flow.live:
            flow.weight = weight
            flow.tag = max(flow.tag, self.virtual - CREDIT)
            self.active += 1
            self.weight += weight
            flow.entries, flow.shared = _EMPTY, None
            if not flow.is_listed:
                self.listed.add(flow)
        return flow

    def fell_idle(self, flow: Flow) -> None:
        """The flow's last request has left. With the last flow's, all begin anew as equals."""
        self.active -= 1
        self.weight -= flow.weight
        if not self.active:
            self.virtual = max(self.virtual, self.highest + CREDIT)

    def _sweep(self) -> None:
        """Forget idle flows that have nothing ahead or behind; if that is not enough, those that have little."""
        for least in (self.virtual - CREDIT, self.virtual):
            self.flows = {key: flow for key, flow in self.flows.items() if flow.live or flow.tag > least}
            if len(self.flows) <= 2 * self.active + IDLE_SLACK // 2:
                break
        self.listed.sweep()


class ShapeGroup:
    """Waiting requests that may share an execution. `earliest_ns` is at or before each of their deadlines."""

    __slots__ = ("earliest_ns", "is_noted_full", "key", "levels", "lines", "live", "rows")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.lines: dict[Flow, Line] = {}
        self.levels: dict[int, Listed] = {}
        self.live = 0
        self.rows = 0
        self.earliest_ns = 0
        self.is_noted_full = False

    def line(self, flow: Flow) -> Line:
        """The flow's line, listed."""
        line = self.lines.get(flow)
        if line is None:
            if len(self.lines) > 2 * self.live + IDLE_SLACK:
                self.lines = {f: kept for f, kept in self.lines.items() if first_living(kept.entries)}
                for each in self.levels.values():
                    each.sweep()
            line = self.lines[flow] = Line(flow, self)
        if not line.is_listed:
            number = flow.level.number
            listed = self.levels.get(number)
            if listed is None:
                listed = self.levels[number] = Listed()
            listed.add(line)
        return line

    def next_line(self, ageing_ns: int) -> Line | None:
        """The line whose head (`entries[0]`) goes next."""
        if len(self.lines) == 1:
            for line in self.lines.values():
                return line if first_living(line.entries) else None
        found: Line | None = best_of(self.levels, ageing_ns)
        return found

    def head(self, ageing_ns: int = 0) -> Entry | None:
        """The request that goes next, or None."""
        line = self.next_line(ageing_ns)
        return line.entries[0] if line is not None else None


def first_living(entries: deque[Entry]) -> bool:
    """Drop what has left from the front; True if something is left."""
    while entries:
        if entries[0].line is not None:
            return True
        entries.popleft()
    return False


def best_of(levels: dict[int, Listed], ageing_ns: int) -> Any:
    """The Flow or Line whose head goes next over all levels, or None: the smallest arrival + level × ageing."""
    best = None
    best_at = 0
    for number, listed in levels.items():
        item = listed.first()
        if item is None:
            continue
        at = item.entries[0].request.queued_ns + number * ageing_ns if ageing_ns else number
        if best is None or at < best_at:
            best, best_at = item, at
    return best


def variable_inputs(version: VersionSnapshot) -> tuple[int, ...]:
    """Which inputs may differ in shape from request to request, beside the first dimension."""
    if not version.batchable:
        return ()
    return tuple(i for i, spec in enumerate(version.signature.inputs) if VARIABLE in spec.shape[1:])
