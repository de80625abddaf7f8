"""Least recently used leaves first. Cheapest of all on a hit: one built-in function moves the entry to the end.

Source: the oldest policy of all; Triton's local cache has no other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic

from proxy.cache.eviction import Entry


class LruOrder(Generic[Entry]):
    """Entries by the time of their last use."""

    __slots__ = ("_entries", "touch")

    def __init__(self, max_bytes: int) -> None:
        self._entries: OrderedDict[Entry, None] = OrderedDict()
        self.touch: Callable[[Entry], object] = self._entries.move_to_end
        self.bound(max_bytes)

    def bound(self, max_bytes: int) -> None:
        """No part of it has a bound of its own."""

    def insert(self, entry: Entry) -> None:
        """Used just now."""
        self._entries[entry] = None

    def remove(self, entry: Entry) -> None:
        """Forget it."""
        del self._entries[entry]

    def resized(self, entry: Entry, grown_bytes: int) -> None:
        """Bytes do not matter here."""

    def evict(self) -> Entry:
        """The one that was not used for longest."""
        return self._entries.popitem(last=False)[0]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)
