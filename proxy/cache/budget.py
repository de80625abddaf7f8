"""The bytes of all models' caches together, and whose answers leave when they are too many. Pure.

    equal share = budget / caches that hold anything
    leaves from: of the caches that hold more than an equal share, the one whose hits saved least model time per byte

Rules: a cache within its equal share is never robbed for another's sake, so one that has just begun can show what it
saves; of the others the least useful byte goes first. Equal use goes by size: the largest first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from proxy.core.policies import CACHE_SHARE_OF_HOST


class Ledger:
    """What all stores hold, counted by themselves as it changes. `max_bytes` 0: no bound over all."""

    __slots__ = ("bytes", "max_bytes")

    def __init__(self, max_bytes: int = 0) -> None:
        self.bytes = 0
        self.max_bytes = max_bytes

    @property
    def is_over(self) -> bool:
        """True if something has to leave."""
        return 0 < self.max_bytes < self.bytes


class Robbable(Protocol):
    """What the choice looks at: bytes held, and model time that hits saved a second lately."""

    size_bytes: int
    saved_ns_per_s: float


Store = TypeVar("Store", bound=Robbable)


def budget_bytes(configured_bytes: int, host_total_bytes: int) -> int:
    """The configured budget; if that is 0, an eighth of the host's memory."""
    return configured_bytes or round(host_total_bytes * CACHE_SHARE_OF_HOST)


def equal_share_bytes(stores: Iterable[Robbable], max_bytes: int) -> float:
    """What each cache that holds anything may keep whatever the others want."""
    return max_bytes / max(sum(store.size_bytes > 0 for store in stores), 1)


def robbed(stores: Iterable[Store], max_bytes: int) -> Store:
    """Whose answers leave next. Asked only while all hold more than the budget: one is above its share then."""
    held = [store for store in stores if store.size_bytes > 0]
    share_bytes = equal_share_bytes(held, max_bytes)
    above = [store for store in held if store.size_bytes > share_bytes]
    return min(above, key=lambda one: (one.saved_ns_per_s / one.size_bytes, -one.size_bytes))
