"""A result cache of a simulated model: real eviction orders and miss-ratio curve, keys without answers.

Sizes are the keys' own, so a million look-ups cost seconds and no memory. No single flight: two requests for the same
missing key both run, as they would where their executions begin together.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from proxy.cache.eviction import EvictionOrder, Held
from proxy.cache.eviction_orders import eviction_order
from proxy.cache.ghost_caches import GhostCaches
from proxy.cache.miss_ratio_curve import MissRatioCurve
from proxy.core.policies import Eviction
from proxy.core.reports import CacheReport
from proxy.core.units import BYTES_PER_MIB


def digest(key: int) -> bytes:
    """What the cache knows a key by: uniform, as the curve's sample needs it."""
    return blake2b(key.to_bytes(8, "little"), digest_size=16).digest()


class _Held(Held):
    """A kept key."""

    __slots__ = ("number",)

    def __init__(self, number: int, name: bytes, size_bytes: int, saved_ns: int) -> None:
        super().__init__(name, size_bytes, saved_ns)
        self.number = number


class SimulatedCache:
    """Keys of one model. `with_curve`: follow the miss-ratio curve, which only tuning reads."""

    def __init__(self, max_mib: int, eviction: str, *, with_curve: bool = True) -> None:
        self.max_bytes = max_mib * BYTES_PER_MIB
        self.size_bytes = 0
        self.hits = self.misses = self.insertions = self.evictions = 0
        self._eviction = eviction
        self._entries: dict[int, _Held] = {}
        self._order: EvictionOrder[_Held] = eviction_order(Eviction(eviction), self.max_bytes)
        self._touch: Callable[[_Held], object] = self._order.touch
        self._curve = MissRatioCurve() if with_curve else None
        self._ghosts = GhostCaches()
        self._last = (0, 0, 0.0)

    def apply(self, max_mib: int, eviction: str) -> None:
        """Follow another bound or order; what is kept stays as far as it fits."""
        if eviction != self._eviction:
            order: EvictionOrder[_Held] = eviction_order(Eviction(eviction), max_mib * BYTES_PER_MIB)
            for entry in self._order:
                order.insert(entry)
            self._order, self._touch, self._eviction = order, order.touch, eviction
        if max_mib * BYTES_PER_MIB != self.max_bytes:
            self.max_bytes = max_mib * BYTES_PER_MIB
            self._order.bound(self.max_bytes)
            self._shrink()

    def look_up(self, key: int, now_ns: int) -> bool:
        """True: a hit."""
        if self._curve is not None:
            name = digest(key)
            if name < self._curve.limit:
                self._curve.use(name, now_ns)
                if name < self._ghosts.limit:
                    self._ghosts.use(name, self._curve.followed(name))
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return False
        self._touch(entry)
        self.hits += 1
        return True

    def insert(self, key: int, size_bytes: int, saved_ns: int, now_ns: int) -> None:
        """An execution answered `key`."""
        if self._curve is not None:
            name = digest(key)
            if name < self._curve.limit:
                self._curve.kept(name, size_bytes, saved_ns, now_ns)
                if name < self._ghosts.limit:
                    self._ghosts.kept(name, self._curve.followed(name))
        else:
            name = key.to_bytes(8, "little")
        if key in self._entries or size_bytes > self.max_bytes:
            return
        entry = self._entries[key] = _Held(key, name, size_bytes, saved_ns)
        self._order.insert(entry)
        self.size_bytes += size_bytes
        self.insertions += 1
        self._shrink()

    def tick(self, now_ns: int) -> None:
        """A second is over."""
        if self._curve is not None:
            self._curve.tick(now_ns, self.hits + self.misses, self.max_bytes)
            self._ghosts.tick(now_ns, self.hits + self.misses, self.max_bytes, self._curve.rate)

    def report(self, service_ms: float) -> CacheReport:
        """As the data plane reports it."""
        curve = self._curve.points(self.max_bytes) if self._curve is not None else ()
        return CacheReport(
            "on",
            self.size_bytes,
            self.max_bytes,
            len(self._entries),
            self._eviction,
            self.hits,
            self.misses,
            self.insertions,
            self.evictions,
            0,
            service_ms=service_ms,
            curve=curve,
            sample_ratio=self._curve.rate if self._curve is not None else 0.0,
            orders=self._ghosts.estimates(),
        )

    def _shrink(self) -> None:
        while self.size_bytes > self.max_bytes:
            entry = self._order.evict()
            self.size_bytes -= entry.size_bytes
            self.evictions += 1
            del self._entries[entry.number]
