"""What one model's cache is judged by: its curve, its costs, whether it is in use; and what is said of it. Pure.

Place: sees the uses of a share of the keys from the store, times from the cache, and once a second decides with the
store's counts whether look-ups are made. Rules: nothing here is done for each look-up; what a look-up and an insertion
cost is measured for one key in 64, which keys are digests, chosen by nobody.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.cache.bypass import Bypass, CacheCosts, CacheState, words
from proxy.cache.ghost_caches import GhostCaches
from proxy.cache.miss_ratio_curve import MissRatioCurve
from proxy.cache.sampled_stack import ALL_KEYS
from proxy.cache.store import Store
from proxy.core.reports import CacheReport, CurvePoint, SecondLevelReport
from proxy.core.units import NS_PER_MS, NS_PER_S, NS_PER_US
from proxy.core.words import parts_of

# Keys below it are timed: one in 64.
TIMED_BELOW = b"\x04"
# Times taken of every key at first, so that models that are seldom asked have a measured cost, too.
FIRST_TIMES = 32
# Share of a new time in the mean, and the most that one may exceed it: a pause of the process is no cost of the cache.
TIME_WEIGHT = 1 / 32
MOST_TIMES_MEAN = 8
# How often the curve is drawn anew.
CURVE_NS = 5 * NS_PER_S


class MeanTime:
    """An exponential mean of durations in nanoseconds; None before the first."""

    __slots__ = ("count", "value_ns")

    def __init__(self) -> None:
        self.value_ns: float | None = None
        self.count = 0

    def add(self, duration_ns: float) -> None:
        """One more."""
        self.count += 1
        if self.value_ns is None:
            self.value_ns = float(duration_ns)
        else:
            bounded_ns = min(duration_ns, MOST_TIMES_MEAN * max(self.value_ns, 1.0))
            self.value_ns += (bounded_ns - self.value_ns) * max(TIME_WEIGHT, 1 / self.count)


class CacheWatch:
    """One model's. It observes `store`, and opens and shuts it."""

    def __init__(self, store: Store, now_ns: Callable[[], int]) -> None:
        self.store = store
        self.lookup, self.insert, self.service = MeanTime(), MeanTime(), MeanTime()
        self._own_ns = 0  # what observing the present use took; no part of what the cache costs
        self._now_ns = now_ns
        self._curve = MissRatioCurve()
        self._ghosts = GhostCaches()
        self._bypass = Bypass()
        self._points: tuple[CurvePoint, ...] = ()
        self._would_hit_ratio: float | None = None
        self._drawn_ns: int | None = None
        # The last report: when it was made, what it rests on, and itself.
        self._last: tuple[int, tuple[int, int, int], CacheReport] | None = None
        store.observer = self
        self._open(CacheState.ON)

    @property
    def state(self) -> CacheState:
        """What a look-up meets."""
        return self._bypass.state if self.store.policy.enabled else CacheState.OFF

    def on_lookup(self, key: bytes, size_bytes: int | None) -> None:
        """proxy.cache.store.Observer."""
        if key < self._curve.limit:
            now_ns = self._now_ns()
            self._curve.use(key, now_ns, self.store.policy.ttl_ns)
            if size_bytes is not None:
                self._curve.resized(key, size_bytes)
            if key < self._ghosts.limit:
                self._ghosts.use(key, self._curve.followed(key))
            self._own_ns = self._now_ns() - now_ns

    def on_insert(self, key: bytes, size_bytes: int, saved_ns: int) -> None:
        """proxy.cache.store.Observer."""
        if key < self._curve.limit:
            now_ns = self._now_ns()
            self._curve.kept(key, size_bytes, saved_ns, now_ns)
            if key < self._ghosts.limit:
                self._ghosts.kept(key, self._curve.followed(key))
            self._own_ns = self._now_ns() - now_ns

    def begin(self) -> int:
        """A use that is timed begins; give what comes back to `looked_up` or `inserted`."""
        self._own_ns = 0
        return self._now_ns()

    def looked_up(self, began_ns: int) -> None:
        """A timed look-up has ended."""
        self.lookup.add(self._now_ns() - began_ns - self._own_ns)

    def inserted(self, began_ns: int) -> None:
        """A timed insertion has ended."""
        self.insert.add(self._now_ns() - began_ns - self._own_ns)

    def policy_changed(self) -> None:
        """Another bound, age or order may pay where the former did not: begin anew."""
        self._bypass = Bypass()
        self._drawn_ns = self._last = None
        self._open(CacheState.ON)

    def second(self, now_ns: int, second_level: SecondLevelReport | None) -> CacheReport:
        """About once a second: learn from the store's counts, decide whether it is in use, and report.

        Of a cache that nobody has asked since the last report that one still holds, for a while: a server may have a
        thousand of them.
        """
        store = self.store
        uses = store.hits + store.misses + store.passed
        rests_on = uses, store.insertions, store.size_bytes
        if self._last is not None and second_level is None and self._last[1] == rests_on:
            made_ns, _, report = self._last
            if uses == 0 or now_ns - made_ns < CURVE_NS:
                return report
        self._tick(now_ns, uses)
        report = self._report(second_level)
        self._last = now_ns, rests_on, report
        return report

    def _tick(self, now_ns: int, uses: int) -> None:
        max_bytes = self.store.policy.max_bytes
        self._curve.tick(now_ns, uses, max_bytes)
        self._ghosts.tick(now_ns, uses, max_bytes, self._curve.rate)
        if self._drawn_ns is None or now_ns - self._drawn_ns >= CURVE_NS:
            self._points = self._curve.points(max_bytes)
            self._drawn_ns = now_ns if self._points else None
            self._would_hit_ratio = next((p.hit_ratio for p in self._points if p.size_bytes == max_bytes), None)
        self._open(self._bypass.update(now_ns, self._costs()))

    def _report(self, second_level: SecondLevelReport | None) -> CacheReport:
        store = self.store
        policy = store.policy
        message = words(self._bypass, self._costs(), self._now_ns(), is_enabled=policy.enabled)
        return CacheReport(
            state=self.state.value,
            bytes=store.size_bytes,
            max_bytes=policy.max_bytes,
            entries=len(store),
            eviction=policy.eviction.value,
            hits=store.hits,
            misses=store.misses - store.coalesced,
            insertions=store.insertions,
            evictions=store.evictions,
            expirations=store.expirations,
            refused=store.refused,
            message=message,
            message_parts=parts_of(message),
            saved_ms_per_s=store.saved_ns_per_s / NS_PER_MS,
            lookup_us=_in(NS_PER_US, self.lookup.value_ns),
            insert_us=_in(NS_PER_US, self.insert.value_ns),
            service_ms=_in(NS_PER_MS, self.service.value_ns),
            curve=self._points,
            sample_ratio=self._curve.rate,
            second_level=second_level,
            saved_ms=store.saved_ns / NS_PER_MS,
            coalesced=store.coalesced,
            orders=self._ghosts.estimates(),
        )

    def _costs(self) -> CacheCosts:
        store = self.store
        return CacheCosts(
            looked=store.hits + store.misses,
            hits=store.hits,
            would_hit_ratio=self._would_hit_ratio,
            lookup_ns=self.lookup.value_ns,
            insert_ns=self.insert.value_ns,
            service_ns=self.service.value_ns,
        )

    def _open(self, state: CacheState) -> None:
        store = self.store
        store.is_open = store.policy.enabled and state is not CacheState.BYPASSED
        store.sampled_below = self._curve.limit
        fewest = min(self.lookup.count, self.insert.count)
        store.timed_below = ALL_KEYS if fewest < FIRST_TIMES else TIMED_BELOW


def _in(unit_ns: int, value_ns: float | None) -> float | None:
    return None if value_ns is None else value_ns / unit_ns
