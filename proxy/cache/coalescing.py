"""Identical requests in flight share one execution (single flight, F25). Pure bookkeeping, no clock, no I/O.

Rules: per key there is one leader, whose execution everybody waits for, and any number of followers; a waiter that
leaves takes nobody with it; the execution may be cancelled only when its last waiter has left.
Source: golang.org/x/sync/singleflight; Clipper's cache entry that holds promises (src/libclipper, task_executor.hpp).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Waiter = TypeVar("Waiter")


class _Flight(Generic[Waiter]):
    """One execution under way: who started it, and who still waits for it."""

    __slots__ = ("leader", "waiters")

    def __init__(self, leader: Waiter) -> None:
        self.leader = leader
        self.waiters: list[Waiter] = [leader]


class InFlight(Generic[Waiter]):
    """Who waits for which key."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[Waiter]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def leader(self, key: Hashable) -> Waiter | None:
        """Who leads `key` now."""
        flight = self._flights.get(key)
        return flight.leader if flight else None

    def join(self, key: Hashable, waiter: Waiter) -> bool:
        """Wait for `key`. True: nobody led it, so the caller does and has to execute."""
        flight = self._flights.get(key)
        if flight is None:
            self._flights[key] = _Flight(waiter)
            return True
        flight.waiters.append(waiter)
        return False

    def leave(self, key: Hashable, waiter: Waiter) -> Waiter | None:
        """Stop waiting. Returns the leader when nobody waits any more: its execution may be cancelled."""
        flight = self._flights.get(key)
        if flight is None or waiter not in flight.waiters:
            return None
        flight.waiters.remove(waiter)
        if flight.waiters:
            return None
        del self._flights[key]
        return flight.leader

    def settle(self, key: Hashable, leader: Waiter) -> list[Waiter]:
        """End the flight that `leader` leads and return all who still wait for it, in order of arrival."""
        flight = self._flights.get(key)
        if flight is None or flight.leader is not leader:
            return []
        del self._flights[key]
        return flight.waiters
