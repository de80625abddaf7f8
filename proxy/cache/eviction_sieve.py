"""SIEVE: one queue, one bit an entry, a hand that walks from the oldest to the newest.

A hit sets the entry's bit and moves nothing. To evict, the hand clears set bits and takes the first entry whose bit is
unset; the survivors stay where they are, and new entries come in at the young end.
The queue is kept as two: `_ahead` of the hand (oldest first, new ones behind) and `_behind` it (survivors, oldest
first). When nothing is ahead the hand starts again at the oldest: the two change places. The newest entry is in neither
until another comes: the paper makes room before it inserts, so the hand never meets what it makes room for. (Else a
hand that once reaches the young end stays there and takes each new entry in turn.)
Source: Zhang et al., SIEVE is Simpler than LRU, NSDI 2024, algorithm 1.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from typing import Generic

from proxy.cache.eviction import Entry


class SieveOrder(Generic[Entry]):
    """`frequency` of an entry is its bit."""

    __slots__ = ("_ahead", "_behind", "_newest")

    def __init__(self, max_bytes: int) -> None:
        self._ahead: OrderedDict[Entry, None] = OrderedDict()
        self._behind: OrderedDict[Entry, None] = OrderedDict()
        self._newest: Entry | None = None
        self.bound(max_bytes)

    def bound(self, max_bytes: int) -> None:
        """No part of it has a bound of its own."""

    def touch(self, entry: Entry) -> None:
        """It survives the hand's next visit."""
        entry.frequency = 1

    def insert(self, entry: Entry) -> None:
        """At the young end, not yet asked for again."""
        entry.frequency = 0
        if self._newest is not None:
            self._ahead[self._newest] = None
        self._newest = entry

    def remove(self, entry: Entry) -> None:
        """Forget it, on whichever side of the hand it is."""
        if entry is self._newest:
            self._newest = None
        elif entry in self._ahead:
            del self._ahead[entry]
            self._turn()
        else:
            del self._behind[entry]

    def resized(self, entry: Entry, grown_bytes: int) -> None:
        """Bytes do not matter here."""

    def evict(self) -> Entry:
        """The first from the hand on that was not asked for since it came or since the hand's last visit."""
        self._turn()
        if not self._ahead and self._newest is not None:
            entry, self._newest = self._newest, None
            return entry
        while True:
            entry, _ = self._ahead.popitem(last=False)
            is_wanted, entry.frequency = entry.frequency, 0
            if is_wanted:
                self._behind[entry] = None
            self._turn()
            if not is_wanted:
                return entry

    def _turn(self) -> None:
        """At the young end the hand goes back to the oldest at once, not when the next entry has come in."""
        if not self._ahead:
            self._ahead, self._behind = self._behind, self._ahead

    def __len__(self) -> int:
        return len(self._ahead) + len(self._behind) + (self._newest is not None)

    def __iter__(self) -> Iterator[Entry]:
        return chain(self._ahead, self._behind, () if self._newest is None else (self._newest,))
