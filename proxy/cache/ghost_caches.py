"""What each eviction order would hit under the requests seen lately: a small cache without answers for each. Pure.

    a sample of `rate` of the keys, in a cache of `rate` × the bound, hits as often as all keys in the whole cache

The orders are those that serve (proxy.cache.eviction_orders), fed with keys, sizes and model times of the sampled keys
as the miss-ratio curve knows them; its correction for very popular keys (SHARDS-adj) applies here, too.
Rules: keys outside the sample cost the caller one comparison with `limit`; more than USES_PER_S sampled uses thin the
sample, and what is more than twice of that between two ticks is only counted; a denser one begins anew and says nothing
for WARM_NS, while the last figures stand. What was seen HALF_LIFE_S ago counts half.
Source: Waldspurger et al., "Cache Modeling and Optimization using Miniature Simulations", ATC'17.
"""

from __future__ import annotations

from proxy.cache.eviction import EvictionOrder, Held
from proxy.cache.eviction_orders import eviction_order
from proxy.cache.sampled_stack import Followed, limit_of
from proxy.core.policies import Eviction
from proxy.core.reports import OrderEstimate
from proxy.core.units import NS_PER_MS, NS_PER_S

# Sampled uses a second, 15 to 30 µs each for all orders. Larger: finer figures, more of a core (0.9 % at 300).
USES_PER_S = 300.0
# Sampled uses between two ticks that are followed; after more, the tick thins the sample and forgets what was counted.
MOST_BETWEEN_TICKS = 2 * USES_PER_S
# Larger: steadier figures that follow a change later.
HALF_LIFE_S = 120.0
# How long new ghosts are only filled. Shorter: an empty cache looks like a bad order.
WARM_NS = 60 * NS_PER_S
# Sampled uses, aged, below which nothing is said.
FEWEST_USES = 500.0


class _Ghost:
    """One order with the keys that it would hold."""

    __slots__ = ("_entries", "_order", "_used_bytes", "hits", "max_bytes", "saved_ns")

    def __init__(self, eviction: Eviction, max_bytes: int) -> None:
        self._entries: dict[bytes, Held] = {}
        self._order: EvictionOrder[Held] = eviction_order(eviction, max_bytes)
        self._used_bytes = 0
        self.max_bytes = max_bytes
        self.hits = self.saved_ns = 0.0

    def use(self, key: bytes, known: Followed | None) -> None:
        """Somebody asks for `key`. `known`: its answer, where one is there to be kept; None: none is, or it aged."""
        entry = self._entries.get(key)
        if entry is None:
            if known is not None:
                self.keep(key, known)
            return
        if known is None:
            self._drop(entry)
            return
        self._order.touch(entry)
        self.hits += 1.0
        self.saved_ns += entry.saved_ns

    def keep(self, key: bytes, known: Followed) -> None:
        """An answer is put under `key`."""
        if key in self._entries or known.size_bytes > self.max_bytes:
            return
        entry = self._entries[key] = Held(key, known.size_bytes, known.service_ns)
        self._order.insert(entry)
        self._used_bytes += entry.size_bytes
        self._shrink()

    def bound(self, max_bytes: int) -> None:
        """Hold so many bytes from now on."""
        self.max_bytes = max_bytes
        self._order.bound(max_bytes)
        self._shrink()

    def lower(self, limit: bytes) -> None:
        """Forget the keys that are not below `limit`."""
        for entry in [entry for key, entry in self._entries.items() if key >= limit]:
            self._drop(entry)

    def age(self, share: float) -> None:
        """Let what was counted count for less."""
        self.hits *= share
        self.saved_ns *= share

    def _drop(self, entry: Held) -> None:
        del self._entries[entry.key]
        self._order.remove(entry)
        self._used_bytes -= entry.size_bytes

    def _shrink(self) -> None:
        while self._used_bytes > self.max_bytes:
            entry = self._order.evict()
            del self._entries[entry.key]
            self._used_bytes -= entry.size_bytes


class GhostCaches:
    """Every order's ghost of one model's cache. `limit`: only keys below it are of interest (`use`, `kept`)."""

    def __init__(self) -> None:
        self.limit = b""
        self._rate = 0.0
        self._max_bytes = 0
        self._ghosts: dict[Eviction, _Ghost] = {}
        self._estimates: tuple[OrderEstimate, ...] = ()
        self._began_ns = 0
        self._last_ns: int | None = None
        self._last_uses = 0
        self._recent = 0  # sampled uses since the last tick
        self._sampled = self._uses = self._seconds = 0.0  # of late, since the ghosts are warm

    def use(self, key: bytes, known: Followed | None) -> None:
        """A request asked for `key`, which is below `limit`; `known` as the curve follows it."""
        self._recent += 1
        if self._recent > MOST_BETWEEN_TICKS:
            return
        answer = known if known is not None and known.is_kept else None
        for ghost in self._ghosts.values():
            ghost.use(key, answer)

    def kept(self, key: bytes, known: Followed | None) -> None:
        """There is an answer to `key` now, or would be if the cache were in use."""
        if known is not None and self._recent <= MOST_BETWEEN_TICKS:
            for ghost in self._ghosts.values():
                ghost.keep(key, known)

    def tick(self, now_ns: int, uses: int, max_bytes: int, most_rate: float) -> None:
        """Called about once a second: `uses` of all keys since ever, the present bound, the share that is followed."""
        elapsed_s = 0.0 if self._last_ns is None else max((now_ns - self._last_ns) / NS_PER_S, 0.0)
        new_uses = max(uses - self._last_uses, 0)
        self._last_ns, self._last_uses = now_ns, uses
        if elapsed_s > 0:
            self._count(now_ns, elapsed_s, new_uses)
            self._adapt(now_ns, most_rate, self._recent / elapsed_s, new_uses / elapsed_s)
        elif not self._ghosts:
            self._begin(now_ns, most_rate)
        self._recent = 0
        if max_bytes != self._max_bytes:
            self._max_bytes = max_bytes
            self._bound()

    def estimates(self) -> tuple[OrderEstimate, ...]:
        """Every order's hit ratio and model time saved at the present bound; empty while too little is known."""
        if self._sampled < FEWEST_USES or self._uses <= 0 or self._seconds <= 0:
            return self._estimates
        # SHARDS-adj: uses of popular keys that the sample has too few or too many of are hits of every order.
        missing = self._uses - self._sampled / self._rate
        all_hits = sum(ghost.hits for ghost in self._ghosts.values())
        missing_ns = missing * sum(ghost.saved_ns for ghost in self._ghosts.values()) / all_hits if all_hits else 0.0
        found = []
        for eviction, ghost in self._ghosts.items():
            ratio = (ghost.hits / self._rate + missing) / self._uses if ghost.hits else 0.0
            saved_ns = ghost.saved_ns / self._rate + missing_ns if ghost.hits else 0.0
            saved_ms_per_s = max(saved_ns, 0.0) / self._seconds / NS_PER_MS
            found.append(OrderEstimate(eviction.value, min(max(ratio, 0.0), 1.0), saved_ms_per_s))
        self._estimates = tuple(found)
        return self._estimates

    def _begin(self, now_ns: int, rate: float) -> None:
        """New, empty ghosts of so many of the keys."""
        self._rate, self.limit = rate, limit_of(rate)
        bound = max(round(self._max_bytes * rate), 1)
        self._ghosts = {eviction: _Ghost(eviction, bound) for eviction in Eviction}
        self._began_ns = now_ns
        self._forget_counts()

    def _count(self, now_ns: int, elapsed_s: float, new_uses: int) -> None:
        if now_ns - self._began_ns < WARM_NS:
            self._forget_counts()
            return
        share = 2.0 ** -(elapsed_s / HALF_LIFE_S)
        self._sampled = self._sampled * share + self._recent
        self._uses = self._uses * share + new_uses
        self._seconds = self._seconds * share + elapsed_s
        for ghost in self._ghosts.values():
            ghost.age(share)

    def _adapt(self, now_ns: int, most_rate: float, sampled_per_s: float, uses_per_s: float) -> None:
        rate = min(self._rate, most_rate)
        if sampled_per_s > USES_PER_S:
            rate = min(rate, self._rate * max(USES_PER_S / sampled_per_s, 0.125))
        if rate < self._rate:
            self._lower(now_ns, rate)
            return
        room = min(0.5 * USES_PER_S / uses_per_s, 1.0) if uses_per_s else 1.0
        if min(room, most_rate) >= 2 * self._rate:
            self.estimates()  # the last word of the old ones
            self._begin(now_ns, min(room, most_rate))

    def _lower(self, now_ns: int, rate: float) -> None:
        """Of fewer keys from now on; those that stay are as warm as they were."""
        self.estimates()
        self._rate, self.limit = rate, limit_of(rate)
        for ghost in self._ghosts.values():
            ghost.lower(self.limit)
        self._bound()
        self._forget_counts()

    def _bound(self) -> None:
        for ghost in self._ghosts.values():
            ghost.bound(max(round(self._max_bytes * self._rate), 1))

    def _forget_counts(self) -> None:
        self._sampled = self._uses = self._seconds = 0.0
        for ghost in self._ghosts.values():
            ghost.hits = ghost.saved_ns = 0.0
