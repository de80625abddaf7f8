"""What saves least model time per byte leaves first (GreedyDual-Size-Frequency).

    rank  = floor + hits and insertion × model time saved by a hit / bytes      at each hit and insertion
    floor = rank of the last one that left                                      so what is no longer asked for sinks

Speed: a hit computes the rank and no more. The heap keeps the rank at which each entry was last looked at; an entry
that has risen since is put back when it comes to the top. So an insertion costs O(log n) in the heap's built-in code,
and each hit at most one such step later. What was removed for other reasons stays in the heap as a number only.
Source: Cherkasova, Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy, HPL-98-69R1;
Cao, Irani, Cost-Aware WWW Proxy Caching Algorithms, USITS 1997 (the floor).
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Generic

from proxy.cache.eviction import Entry

# Numbers in the heap for each entry before those that stand for none are swept out. Larger: swept less often.
HEAP_SLACK = 2
_LEAST_HEAP = 64


class SavedPerByteOrder(Generic[Entry]):
    """`segment` of an entry is its number in the heap, `rank` its present rank, `frequency` how often it was wanted."""

    __slots__ = ("_entries", "_floor", "_heap", "_number")

    def __init__(self, max_bytes: int) -> None:
        self._entries: dict[int, Entry] = {}
        self._heap: list[tuple[float, int]] = []
        self._floor = 0.0
        self._number = 0
        self.bound(max_bytes)

    def bound(self, max_bytes: int) -> None:
        """No part of it has a bound of its own."""

    def touch(self, entry: Entry) -> None:
        """It rises by what another hit of it would save."""
        entry.frequency += 1
        entry.rank = self._floor + entry.frequency * entry.saved_ns / entry.size_bytes

    def insert(self, entry: Entry) -> None:
        """Rank it as wanted once."""
        entry.frequency = 0
        self.touch(entry)
        self._number += 1
        entry.segment = self._number
        self._entries[entry.segment] = entry
        heappush(self._heap, (entry.rank, entry.segment))

    def remove(self, entry: Entry) -> None:
        """Forget it; its number goes when it comes to the top, or in the next sweep."""
        del self._entries[entry.segment]
        if len(self._heap) > HEAP_SLACK * len(self._entries) + _LEAST_HEAP:
            self._heap = [(kept.rank, number) for number, kept in self._entries.items()]
            heapify(self._heap)

    def resized(self, entry: Entry, grown_bytes: int) -> None:
        """Its rank follows with the next hit."""

    def evict(self) -> Entry:
        """The lowest rank of all; it becomes the floor."""
        if not self._entries:
            raise KeyError("there is no entry")
        while True:
            rank, number = heappop(self._heap)
            entry = self._entries.get(number)
            if entry is None:
                continue
            if entry.rank > rank:
                heappush(self._heap, (entry.rank, number))
                continue
            del self._entries[number]
            self._floor = max(self._floor, entry.rank)
            return entry

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(sorted(self._entries.values(), key=lambda entry: entry.rank))
