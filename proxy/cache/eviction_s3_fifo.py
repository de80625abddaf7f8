"""S3-FIFO: a small queue that most entries only pass through, a main one, and a memory of keys that passed.

    new            → small, or main if its key is still remembered
    out of small   → main if it was asked for again there, else evicted and its key remembered
    out of main    → to its end again while its frequency (0 to 3, one less each time round) lasts, else evicted

So what is asked for once leaves soon, whatever a scan brings. A hit only counts.
Source: Yang et al., FIFO Queues are All You Need for Cache Eviction, SOSP 2023, algorithm 1; s3fifo.com.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from typing import Generic

from proxy.cache.eviction import Entry

# Share of the bytes that the small queue may hold before it gives up the next entry. The paper's; larger: new entries
# have longer to prove themselves, a scan displaces more.
SMALL_SHARE = 0.1
MOST_FREQUENCY = 3
# Hits in the small queue that lead to the main one. The paper's figure is 2; with 1 the traces of docs/caching.md have
# as many hits or up to half a point more (both in libCacheSim 0.3.5, with which these queues agree to 0.2 points).
PROVEN_HITS = 1
_SMALL, _MAIN = 0, 1


class S3FifoOrder(Generic[Entry]):
    """`segment` of an entry says which queue it is in, `frequency` how often it was asked for there."""

    __slots__ = ("_main", "_passed", "_small", "_small_bytes", "_small_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._small: OrderedDict[Entry, None] = OrderedDict()
        self._main: OrderedDict[Entry, None] = OrderedDict()
        self._passed: OrderedDict[bytes, None] = OrderedDict()  # keys alone, at most as many as there are entries
        self._small_bytes = 0
        self.bound(max_bytes)

    def bound(self, max_bytes: int) -> None:
        """The small queue has its share of it."""
        self._small_max_bytes = round(max_bytes * SMALL_SHARE)

    def touch(self, entry: Entry) -> None:
        """Count, up to three."""
        if entry.frequency < MOST_FREQUENCY:
            entry.frequency += 1

    def insert(self, entry: Entry) -> None:
        """Into the small queue, or into main if it was here not long ago."""
        entry.frequency = 0
        if entry.key in self._passed:
            del self._passed[entry.key]
            entry.segment = _MAIN
            self._main[entry] = None
            return
        entry.segment = _SMALL
        self._small[entry] = None
        self._small_bytes += entry.size_bytes

    def remove(self, entry: Entry) -> None:
        """Forget it; its key is not remembered."""
        if entry.segment == _SMALL:
            del self._small[entry]
            self._small_bytes -= entry.size_bytes
        else:
            del self._main[entry]
        self._forget_passed()

    def resized(self, entry: Entry, grown_bytes: int) -> None:
        """The small queue counts its bytes."""
        if entry.segment == _SMALL:
            self._small_bytes += grown_bytes

    def evict(self) -> Entry:
        """The next of the small queue while it holds more than its share, else of main."""
        while True:
            if self._small and (self._small_bytes > self._small_max_bytes or not self._main):
                entry, _ = self._small.popitem(last=False)
                self._small_bytes -= entry.size_bytes
                if entry.frequency < PROVEN_HITS:
                    self._passed[entry.key] = None
                    self._forget_passed()
                    return entry
                entry.frequency, entry.segment = 0, _MAIN
            else:
                entry, _ = self._main.popitem(last=False)
                if not entry.frequency:
                    self._forget_passed()
                    return entry
                entry.frequency -= 1
            self._main[entry] = None

    def _forget_passed(self) -> None:
        while len(self._passed) > len(self):
            self._passed.popitem(last=False)

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def __iter__(self) -> Iterator[Entry]:
        return chain(self._small, self._main)
