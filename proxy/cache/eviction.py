"""Which kept answer leaves when a cache is full: what every policy keeps to. Pure: no clock, no I/O.

Place: a store holds the entries and counts their bytes; its order only says who leaves next. `eviction_orders` lists
the policies, docs/caching.md compares them on the same traces.
Rules: an entry that was inserted is in the order until `remove` or `evict` takes it out; `evict` may be called whenever
the order is not empty; a hit costs O(1), everything else O(1) amortised unless the policy says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar


class Held:
    """What an order sees of a kept entry. `saved_ns`: model time that each hit of it saves.

    `frequency`, `segment` and `rank` are the order's own; `insert` sets those that it uses.
    """

    __slots__ = ("frequency", "key", "rank", "saved_ns", "segment", "size_bytes")

    def __init__(self, key: bytes, size_bytes: int, saved_ns: int) -> None:
        self.key = key
        self.size_bytes = size_bytes
        self.saved_ns = saved_ns
        self.frequency = 0
        self.segment = 0
        self.rank = 0.0


Entry = TypeVar("Entry", bound=Held)


class EvictionOrder(Protocol[Entry]):
    """Who leaves next. `touch` is read once and called for each hit, so a policy may give a built-in function."""

    @property
    def touch(self) -> Callable[[Entry], object]:
        """Note a hit of the entry."""

    def bound(self, max_bytes: int) -> None:
        """The cache may hold so many bytes from now on; the store calls `evict` until it does."""

    def insert(self, entry: Entry) -> None:
        """Take in a new entry."""

    def remove(self, entry: Entry) -> None:
        """Forget an entry that leaves for another reason: purged, aged, replaced."""

    def resized(self, entry: Entry, grown_bytes: int) -> None:
        """`entry.size_bytes` has just changed by so much."""

    def evict(self) -> Entry:
        """Take out the entry that leaves next, and return it. Raises KeyError when there is none."""

    def __len__(self) -> int:
        """How many entries are in it."""

    def __iter__(self) -> Iterator[Entry]:
        """All entries, those that would leave first at the front as well as that is known."""
