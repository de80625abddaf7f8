"""The waiting requests of one lane, by priority, key and shape: who goes next, with whom, and who gives way.

Rules: `push`, `discard` and `take` cost O(1) amortised for one key, O(log keys) else; what was discarded is freed at
once and its empty place is swept when such places outnumber the living. Depth and rows count the living only. An entry
is in the queue just while it has a line: its state is the scheduler's, and may change later. Within a priority, a key
and a shape, requests leave in the order in which they came. Who goes first: proxy.scheduler.flows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from proxy.scheduler.batching import bound_with
from proxy.scheduler.contention import Contention
from proxy.scheduler.entries import Entry
from proxy.scheduler.flows import Flow, Level, Line, ShapeGroup, best_of
from proxy.scheduler.latency_model import LatencyModel
from proxy.scheduler.longest_queue import LongestQueue, may_displace, newest

# Empty places kept before a sweep. Larger: rarer sweeps, more memory held by an idle queue.
SWEEP_SLACK = 64


class Taken:
    """What left the queue: `entries` to run together (`rows` in all), and those `expired`."""

    __slots__ = ("entries", "expired", "rows")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.expired: list[Entry] = []
        self.rows = 0


class RequestQueue:
    """`ageing_ns` of waiting counts as much as one level of priority (0: levels are strict)."""

    __slots__ = ("_groups", "_levels", "_longest", "ageing_ns", "contention", "depth", "rows")

    def __init__(self) -> None:
        self._levels: dict[int, Level] = {}
        self._groups: dict[Hashable, ShapeGroup] = {}
        self._longest: dict[int, LongestQueue] = {}
        self.ageing_ns = 0
        self.contention = Contention()
        self.depth = 0
        self.rows = 0

    def push(self, entry: Entry, shape: Hashable, number: int = 1, key: str = "", weight: int = 1) -> ShapeGroup:
        """Append to the flow of `key` in level `number`."""
        level = self._levels.get(number)
        if level is None:
            level = self._levels[number] = Level(number)
        flow = level.flows.get(key)
        if flow is None or not flow.live:
            flow = level.flow(key, weight)
        group = self._groups.get(shape)
        if group is None:
            group = self._groups[shape] = ShapeGroup(shape)
        line = group.lines.get(flow)
        if line is None or not line.is_listed:
            line = group.line(flow)
        rows = entry.rows
        entry.line = line
        line.entries.append(entry)
        if flow.shared is not line:
            flow.also(entry, line)
        flow.live += 1
        flow.rows += rows
        level.live += 1
        level.rows += rows
        if not group.live or entry.deadline_ns < group.earliest_ns:
            group.earliest_ns = entry.deadline_ns
        group.live += 1
        group.rows += rows
        self.depth += 1
        self.rows += rows
        if self._longest and number in self._longest:
            self._longest[number].grew(flow)
        return group

    def head_group(self) -> ShapeGroup | None:
        """The shape of the request that goes next."""
        if len(self._groups) == 1:
            (group,) = self._groups.values()
            return group if group.live else None
        flow = best_of({number: level.listed for number, level in self._levels.items()}, self.ageing_ns)
        return flow.entries[0].line.group if flow is not None else None

    def take(self, group: ShapeGroup, max_rows: int, now_ns: int, pace: LatencyModel) -> Taken:
        """Remove the next batch of `group`: at most `max_rows`, except for one larger request alone.

        A request whose deadline is at or before `now_ns` expires. One that a full batch begun now would make late
        expires too, but only while enough others wait to fill it: a small batch for one would cost many. Else the batch
        stays so small that nobody who would be in time alone is late by joining it; who would be late in any case runs
        all the same: a wrong prediction must never keep an instance from running, or it would never be corrected.
        """
        taken = Taken()
        limit = max_rows
        late_ns = now_ns + pace.predict_ns(min(group.rows, max_rows))
        if len(group.lines) == 1:
            (only,) = group.lines.values()
            self._take_run(only, limit, late_ns, taken)
            self.contention.served_out(only.flow, now_ns)
            if not group.live:
                self._tidy(group)
                return taken
        while taken.rows < limit:
            line = group.next_line(self.ageing_ns)
            if line is None:
                break
            entry = line.entries[0]
            rows = entry.rows
            if entry.deadline_ns <= late_ns:
                others_fill = group.rows - rows >= max_rows - taken.rows and group.live > 1
                if entry.deadline_ns <= now_ns or (entry.deadline_ns < late_ns and others_fill):
                    self._remove(entry, line)
                    taken.expired.append(entry)
                    continue
                room_rows = pace.rows_within(entry.deadline_ns - now_ns)
                limit = bound_with(entry.rows, room_rows, taken.rows, limit)
            if taken.rows and taken.rows + rows > limit:
                break
            self._remove(entry, line)
            flow = line.flow
            flow.served(rows)
            if not flow.live:
                self.contention.served_out(flow, now_ns)
            taken.entries.append(entry)
            taken.rows += rows
        if group.live == 0:
            self._tidy(group)
        return taken

    def _take_run(self, line: Line, max_rows: int, late_ns: int, taken: Taken) -> None:
        """The common case of `take`, counted once for all: one key, nobody near a deadline. Stops where that ends."""
        entries, found = line.entries, taken.entries
        flow, group = line.flow, line.group
        rows = last = 0
        while entries:
            entry = entries[0]
            if entry.line is None:
                entries.popleft()
                continue
            last = entry.rows
            if entry.deadline_ns <= late_ns or (rows and rows + last > max_rows):
                break
            entries.popleft()
            entry.line = None
            found.append(entry)
            rows += last
            if rows >= max_rows:
                break
        if not rows:
            return
        taken.rows = rows
        flow.served(rows)
        if flow.shared is not line and len(flow.entries) > 2 * flow.live + SWEEP_SLACK:
            flow.entries = _living(flow.entries)
        self._count_out(flow, group, len(found), rows)

    def discard(self, entry: Entry) -> None:
        """Forget an entry, wherever it stands; nothing happens if it has left already."""
        line = entry.line
        if line is None:
            return
        self._uncount(entry, line)
        self._sweep(line)
        self._tidy(line.group)

    def drain(self) -> list[Entry]:
        """Remove and return everything that waits, oldest first within each flow."""
        flows = [flow for level in self._levels.values() for flow in level.flows.values()]
        waiting = [entry for flow in flows for entry in flow.entries if entry.line is not None]
        for entry in waiting:
            entry.line = None
        self._levels, self._groups, self._longest = {}, {}, {}
        self.depth = self.rows = 0
        return waiting

    def depth_of(self, number: int) -> int:
        """Requests that wait in one level."""
        level = self._levels.get(number)
        return level.live if level is not None else 0

    def rows_before(self, number: int, key: str, weight: int) -> int:
        """Rows that are likely to go before a newcomer: what is in higher levels, and in its own level its fair part.

        While a flow has r rows waiting, others of its level get about r × their weights / its own.
        """
        level = self._levels.get(number)
        if level is None:
            return sum(other.rows for other in self._levels.values() if other.number < number)
        before = level.rows
        flow = level.flows.get(key)
        if flow is not None and flow.rows == self.rows:
            return before
        own_rows = flow.rows if flow is not None else 0
        if own_rows < before:
            others = level.weight - (weight if own_rows else 0)
            before = min(before, own_rows + (own_rows + 1) * others // weight)
        if len(self._levels) > 1:
            before += sum(other.rows for other in self._levels.values() if other.number < number)
        return before

    def displaced_by(self, number: int, key: str, weight: int, *, same_level: bool = False) -> Entry | None:
        """The request that gives its place to a newcomer to a full queue, or None: nobody does.

        Of the lowest level below the newcomer's that has any, else of its own level if a key there stays at no less
        than the newcomer's has (for their weights). It is not removed. `same_level`: of its own level only.
        """
        for lower in sorted(self._levels, reverse=True):
            level = self._levels[lower]
            if lower < number or not level.live or (same_level and lower != number):
                continue
            if lower == number and level.active == 1 and key in level.flows and level.flows[key].live:
                return None
            heaviest = self._longest_of(level).first()
            if heaviest is None:
                continue
            if lower > number:
                return newest(heaviest)
            own = level.flows.get(key)
            live = own.live if own is not None else 0
            return newest(heaviest) if may_displace(live, weight, heaviest) else None
        return None

    def by_level(self) -> dict[int, int]:
        """Requests that wait in each level that ever had one."""
        return {number: level.live for number, level in self._levels.items()}

    @property
    def shapes(self) -> int:
        """Different shapes that wait."""
        return len(self._groups)

    @property
    def places(self) -> int:
        """Places held, living and empty (what the sweeps bound)."""
        return sum(len(flow.entries) for level in self._levels.values() for flow in level.flows.values())

    def _longest_of(self, level: Level) -> LongestQueue:
        longest = self._longest.get(level.number)
        if longest is None:
            longest = self._longest[level.number] = LongestQueue(level)
        return longest

    def _remove(self, entry: Entry, line: Line) -> None:
        """Take the head of `line` out."""
        line.entries.popleft()
        flow = line.flow
        if flow.shared is not line:
            if flow.entries[0] is entry:
                flow.entries.popleft()
            elif len(flow.entries) > 2 * flow.live + SWEEP_SLACK:
                flow.entries = _living(flow.entries)
        self._uncount(entry, line)

    def _uncount(self, entry: Entry, line: Line) -> None:
        entry.line = None
        self._count_out(line.flow, line.group, 1, entry.rows)

    def _count_out(self, flow: Flow, group: ShapeGroup, requests: int, rows: int) -> None:
        level = flow.level
        flow.live -= requests
        flow.rows -= rows
        level.live -= requests
        level.rows -= rows
        group.live -= requests
        group.rows -= rows
        self.depth -= requests
        self.rows -= rows
        if not flow.live:
            level.fell_idle(flow)
            if not level.live and self._longest:
                self._longest.pop(level.number, None)

    def _sweep(self, line: Line) -> None:
        """Drop empty places that outnumber the living."""
        flow = line.flow
        most = 2 * flow.live + SWEEP_SLACK
        if len(line.entries) > most:
            line.entries = _living(line.entries)
        if flow.shared is line:
            flow.entries = line.entries
        elif len(flow.entries) > most:
            flow.entries = _living(flow.entries)

    def _tidy(self, group: ShapeGroup) -> None:
        """Forget a shape that nothing has."""
        if group.live == 0 and group.key is not None:
            self._groups.pop(group.key, None)


def _living(entries: deque[Entry]) -> deque[Entry]:
    return deque(entry for entry in entries if entry.line is not None)
