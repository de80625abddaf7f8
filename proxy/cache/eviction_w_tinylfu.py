"""W-TinyLFU: who comes in must have been asked for more often lately than who would leave for it.

    new → window (least recently used, 1 % of the bytes) → candidate for main
    main: on probation → protected once asked for (80 % of main; its oldest goes back on probation)
    full: candidate against the oldest on probation; the one with the lower count in the sketch leaves

Bytes: a candidate displaces as many as its place takes, each against its own count; one that main could never hold
leaves at once.
Speed: a hit only notes the entry; counts and queues follow before the next change, so every decision sees them. Of more
hits than that between two changes the oldest are not counted, as in Caffeine's read buffer.
Source: Einziger, Friedman, Manes, TinyLFU, ACM TOS 2017; Caffeine, BoundedLocalCache.java (shares, and the small chance
of a candidate with a count of 6 or more, against floods of keys that hold a victim's count up).
Why not Caffeine's climbing window: of 1, 5, 20 and 50 %, 1 % had the most hits on every trace of docs/caching.md, and
tuning changes the whole policy where another one serves better.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Generic

from proxy.cache.eviction import Entry
from proxy.cache.frequency_sketch import FrequencySketch

WINDOW_SHARE = 0.01
PROTECTED_SHARE = 0.8
# A candidate counted at least so often is let in once in so many refusals, whatever the victim's count.
WARM_COUNT = 6
WARM_CHANCE = 128
# Hits noted between two changes. Larger: fewer are lost at high hit ratios, the next change takes longer (1 µs each).
NOTED_HITS = 256
_WINDOW, _PROBATION, _PROTECTED = 0, 1, 2


class WTinyLfuOrder(Generic[Entry]):
    """`segment` of an entry says which queue it is in; how often it was asked for is the sketch's to say."""

    __slots__ = ("_bytes", "_draw", "_max_bytes", "_noted", "_queues", "_sketch", "touch")

    def __init__(self, max_bytes: int) -> None:
        self._queues: tuple[OrderedDict[Entry, None], ...] = (OrderedDict(), OrderedDict(), OrderedDict())
        self._bytes = [0, 0, 0]
        self._sketch = FrequencySketch()
        self._draw = 1
        self._noted: deque[Entry] = deque(maxlen=NOTED_HITS)
        self.touch: Callable[[Entry], object] = self._noted.append
        self.bound(max_bytes)

    def bound(self, max_bytes: int) -> None:
        """Window, main and the protected part of main have their shares of it."""
        window_bytes = round(max_bytes * WINDOW_SHARE)
        main_bytes = max_bytes - window_bytes
        self._max_bytes = (window_bytes, main_bytes, round(main_bytes * PROTECTED_SHARE))

    def insert(self, entry: Entry) -> None:
        """Count it and let it into the window; the window's oldest go on while main has room."""
        if self._noted:
            self._catch_up()
        if len(self) >= self._sketch.keys:
            self._sketch.hold(len(self) + 1)
        self._sketch.add(entry.key)
        entry.segment = _WINDOW
        window = self._queues[_WINDOW]
        window[entry] = None
        if entry.size_bytes > self._max_bytes[_WINDOW]:  # it goes on at once, before those that the window can hold
            window.move_to_end(entry, last=False)
        self._bytes[_WINDOW] += entry.size_bytes
        self._let_on()

    def remove(self, entry: Entry) -> None:
        """Forget it; the sketch remembers how often it was asked for."""
        self._catch_up()
        self._take_out(entry)

    def resized(self, entry: Entry, grown_bytes: int) -> None:
        """Every queue counts its bytes."""
        self._bytes[entry.segment] += grown_bytes

    def evict(self) -> Entry:
        """The loser between the window's oldest and main's, or main's oldest while the window keeps to its share."""
        if self._noted:
            self._catch_up()
        window, probation, protected = self._queues
        victim = next(iter(probation or protected), None)
        leaving = victim
        if window and (victim is None or self._bytes[_WINDOW] > self._max_bytes[_WINDOW]):
            candidate = next(iter(window))
            if victim is None or not self._is_let_in(candidate, victim):
                leaving = candidate
        if leaving is None:
            raise KeyError("there is no entry")
        self._take_out(leaving)
        self._let_on()
        return leaving

    def _catch_up(self) -> None:
        """Count the hits noted; what was on probation is protected from now on."""
        while self._noted:
            entry = self._noted.popleft()
            self._sketch.add(entry.key)
            if entry.segment != _PROBATION:
                self._queues[entry.segment].move_to_end(entry)
                continue
            self._move(entry, _PROTECTED)
            while self._bytes[_PROTECTED] > self._max_bytes[_PROTECTED]:
                self._move(next(iter(self._queues[_PROTECTED])), _PROBATION)

    def _is_let_in(self, candidate: Entry, victim: Entry) -> bool:
        if candidate.size_bytes > self._max_bytes[1]:
            return False
        count = self._sketch.estimate(candidate.key)
        if count > self._sketch.estimate(victim.key):
            return True
        self._draw = (self._draw * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
        return count >= WARM_COUNT and (self._draw >> 16) % WARM_CHANCE == 0

    def _let_on(self) -> None:
        """The window's oldest go on probation while the window is over its share and main has room."""
        window_max_bytes, main_max_bytes, _ = self._max_bytes
        while self._bytes[_WINDOW] > window_max_bytes:
            candidate = next(iter(self._queues[_WINDOW]))
            if self._bytes[_PROBATION] + self._bytes[_PROTECTED] + candidate.size_bytes > main_max_bytes:
                return
            self._move(candidate, _PROBATION)

    def _move(self, entry: Entry, segment: int) -> None:
        self._take_out(entry)
        entry.segment = segment
        self._queues[segment][entry] = None
        self._bytes[segment] += entry.size_bytes

    def _take_out(self, entry: Entry) -> None:
        del self._queues[entry.segment][entry]
        self._bytes[entry.segment] -= entry.size_bytes

    def __len__(self) -> int:
        window, probation, protected = self._queues
        return len(window) + len(probation) + len(protected)

    def __iter__(self) -> Iterator[Entry]:
        window, probation, protected = self._queues
        return chain(probation, window, protected)
