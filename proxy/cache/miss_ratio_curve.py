"""What a cache of any size would give under the requests seen lately: hit ratio and model time saved. Pure.

    hit ratio at s bytes = share of uses whose reuse distance, in bytes, is at most s

It describes a cache that drops the least recently used first; another policy's hit ratio at the present size may lie
above or below it. A use counts as a hit only if an answer was there to be given out: kept, and not aged.
What was seen `HALF_LIFE_S` ago counts half, so the curve follows the load. Uses of keys outside the sample cost the
caller one comparison with `limit`; the sample is thinned while its uses are more than `USES_PER_S`. When it could be
denser again, a denser one is followed beside it for `WARM_NS` and then takes its place, so that the keys which the new
sample has never met do not look like misses.
Sources: SHARDS (proxy.cache.sampled_stack), with its correction SHARDS-adj for very popular keys inside or outside the
sample; Cormode et al., "Forward Decay", ICDE'09, for the ageing.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import log2

from proxy.cache.sampled_stack import MOST_KEYS, Followed, SampledStack
from proxy.core.reports import CurvePoint
from proxy.core.units import BYTES_PER_MIB, NS_PER_MS, NS_PER_S
from proxy.metrics.histogram import index as bucket_of
from proxy.metrics.histogram import lower_ns as lower_bytes

# Larger: a steadier curve that follows a change later.
HALF_LIFE_S = 60.0
# Sampled uses a second, about 9 µs each. Larger: a finer curve, more of a core (0.9 % at 1 000).
USES_PER_S = 1_000.0
# How long a denser sample is followed before it counts. Shorter: keys reused more seldom look new for a while.
WARM_NS = 60 * NS_PER_S
# Sampled uses, aged, below which nothing is said.
FEWEST_USES = 200.0
# The curve reaches to this many times the present bound, and at least one step beyond it.
REACH = 4
STEP_BYTES = 64 * BYTES_PER_MIB
# Points: powers of the square root of two from this many below the bound.
_POINTS_BELOW = 14
_POINTS_ABOVE = 2 * int(log2(REACH))
# Weights are scaled back when they reach this, long before a float loses its grip on small ones.
_HEAVIEST = 2.0**40
# What an answer is taken to weigh until the first one is known.
_FIRST_GUESS_BYTES = 4_096


class MissRatioCurve:
    """The curve of one model. `limit`: only keys below it are of interest (`use`, `kept`)."""

    def __init__(self) -> None:
        self.limit = b""
        self._stack = SampledStack()
        self._denser: SampledStack | None = None
        self._denser_since_ns = 0
        self._reuses: dict[int, float] = {}  # bucket of the reuse distance → weight of the uses
        self._saved_ns: dict[int, float] = {}  # and of the model time that a hit would have saved
        self._colds = 0.0  # weight of uses that no size would have made a hit
        self._samples = 0.0  # weight of the sampled uses, each as one
        self._uses = 0.0  # weight of all uses, sampled or not
        self._seconds = 0.0
        self._weight = 1.0
        self._recent = 0.0  # sampled uses since the last tick
        self._guess_bytes = float(_FIRST_GUESS_BYTES)
        self._horizon_bytes = horizon_bytes(STEP_BYTES)
        self._last_ns: int | None = None
        self._last_uses = 0
        self._see_limit()

    @property
    def rate(self) -> float:
        """The share of the keys that is sampled."""
        return self._stack.rate

    def followed(self, key: bytes) -> Followed | None:
        """What is known of a key of the sample."""
        return self._stack.get(key)

    def use(self, key: bytes, now_ns: int, ttl_ns: int = 0) -> None:
        """A request asked for `key`, which is below `limit`. Answers older than `ttl_ns` (0: never) are no hits."""
        self._recent += 1
        if self._denser is not None:
            self._move_up(self._denser, key, now_ns, ttl_ns)
        if key < self._stack.limit:
            self._count(self._move_up(self._stack, key, now_ns, ttl_ns))
        if self._recent > 2 * USES_PER_S:
            self._thin(0.5)

    def kept(self, key: bytes, size_bytes: int, service_ns: int, now_ns: int) -> None:
        """There is an answer to `key` now, or would be if the cache were in use; `service_ns`: what a hit saves."""
        for stack in self._stacks():
            known = stack.get(key)
            if known is None:
                continue
            if not known.is_kept:
                known.is_kept, known.stored_ns = True, now_ns
            known.service_ns = service_ns
            stack.resize(known, size_bytes)
        self._guess_bytes += (size_bytes - self._guess_bytes) / 32

    def resized(self, key: bytes, size_bytes: int) -> None:
        """The answer to `key` takes another size now."""
        for stack in self._stacks():
            known = stack.get(key)
            if known is not None:
                stack.resize(known, size_bytes)

    def tick(self, now_ns: int, uses: int, max_bytes: int) -> None:
        """Called about once a second: `uses` of all keys since ever, the present bound. Adapts the sample, ages."""
        elapsed_s = 0.0 if self._last_ns is None else max((now_ns - self._last_ns) / NS_PER_S, 0.0)
        new_uses = max(uses - self._last_uses, 0)
        self._last_ns, self._last_uses = now_ns, uses
        self._uses += new_uses * self._weight
        self._seconds += elapsed_s * self._weight
        self._age(elapsed_s)
        self._horizon_bytes = horizon_bytes(max_bytes)
        for stack in self._stacks():
            stack.forget_beyond(self._horizon_bytes)
        if elapsed_s > 0:
            self._adapt(now_ns, self._recent / elapsed_s, new_uses / elapsed_s)
            self._recent = 0.0
        self._see_limit()

    def points(self, max_bytes: int) -> tuple[CurvePoint, ...]:
        """The curve around the present bound, which is one of its sizes; empty while too little is known."""
        return self.at(sizes(max_bytes))

    def at(self, wanted_bytes: Iterable[int]) -> tuple[CurvePoint, ...]:
        """The curve at these sizes, which rise; empty while too little is known."""
        reuses = sum(self._reuses.values())
        estimated = reuses + self._colds
        if self._samples < FEWEST_USES * self._weight or estimated <= 0 or self._seconds <= 0:
            return ()
        all_uses = self._uses or estimated
        missing = all_uses - estimated  # SHARDS-adj: uses of popular keys that the sample has too few or too many of
        missing_ns = missing * sum(self._saved_ns.values()) / reuses if reuses else 0.0
        wanted = tuple(wanted_bytes)
        result = []
        for size_bytes, hits, saved_ns in zip(
            wanted, _below(self._reuses, wanted), _below(self._saved_ns, wanted), strict=True
        ):
            ratio = min(max((hits + missing) / all_uses, 0.0), 1.0) if hits else 0.0
            saved_ms = max(saved_ns + missing_ns, 0.0) / NS_PER_MS if hits else 0.0
            result.append(CurvePoint(size_bytes, ratio, saved_ms / self._seconds))
        return tuple(result)

    def _stacks(self) -> tuple[SampledStack, ...]:
        return (self._stack,) if self._denser is None else (self._stack, self._denser)

    def _move_up(self, stack: SampledStack, key: bytes, now_ns: int, ttl_ns: int) -> tuple[int, int] | None:
        """Reuse distance and model time saved; None: not a hit at any size."""
        used = stack.use(key)
        if used is None:
            stack.add(key, round(self._guess_bytes))
            return None
        known, distance_bytes = used
        if known.is_kept and 0 < ttl_ns <= now_ns - known.stored_ns:
            known.is_kept = False
        return (distance_bytes, known.service_ns) if known.is_kept else None

    def _count(self, reuse: tuple[int, int] | None) -> None:
        weight = self._weight / self._stack.rate
        self._samples += self._weight
        if reuse is None:
            self._colds += weight
            return
        bucket = bucket_of(reuse[0])
        self._reuses[bucket] = self._reuses.get(bucket, 0.0) + weight
        self._saved_ns[bucket] = self._saved_ns.get(bucket, 0.0) + weight * reuse[1]

    def _age(self, elapsed_s: float) -> None:
        """What comes weighs more than what is there."""
        self._weight *= 2.0 ** min(elapsed_s / HALF_LIFE_S, 30.0)
        if self._weight > _HEAVIEST:
            scale = 1.0 / self._weight
            self._weight = 1.0
            self._colds *= scale
            self._samples *= scale
            self._uses *= scale
            self._seconds *= scale
            self._reuses = {bucket: value * scale for bucket, value in self._reuses.items()}
            self._saved_ns = {bucket: value * scale for bucket, value in self._saved_ns.items()}

    def _adapt(self, now_ns: int, sampled_per_s: float, uses_per_s: float) -> None:
        """Thin the sample if it costs too much; begin a denser one if both its cost and its keys leave room."""
        if sampled_per_s > USES_PER_S:
            self._thin(max(USES_PER_S / sampled_per_s, 0.125))
        elif self._denser is not None:
            if now_ns - self._denser_since_ns >= WARM_NS:
                self._stack, self._denser = self._denser, None
        elif self._stack.rate < 1 and uses_per_s > 0:
            rate = min(0.5 * USES_PER_S / uses_per_s, 1.0)
            rate = min(rate, 0.5 * MOST_KEYS / max(len(self._stack), 1) * self._stack.rate)
            if rate >= 2 * self._stack.rate:
                self._denser, self._denser_since_ns = SampledStack(rate), now_ns

    def _thin(self, factor: float) -> None:
        """Sample fewer keys; a denser sample under way is given up."""
        self._denser = None
        self._stack.lower_to(self._stack.rate * factor)
        self._recent = 0.0
        self._see_limit()

    def _see_limit(self) -> None:
        self.limit = max(stack.limit for stack in self._stacks())


def horizon_bytes(max_bytes: int) -> int:
    """The largest size of interest beside the bound `max_bytes`."""
    return max(REACH * max_bytes, max_bytes + STEP_BYTES)


def sizes(max_bytes: int) -> tuple[int, ...]:
    """The curve's sizes beside a bound: the bound, sizes around it, one step beyond it and the farthest of interest."""
    steps = range(-_POINTS_BELOW, _POINTS_ABOVE + 1)
    found = {max(round(max_bytes * 2.0 ** (step / 2)), 1) for step in steps}
    return tuple(sorted(found | {max_bytes + STEP_BYTES, horizon_bytes(max_bytes)}))


def _below(weights: dict[int, float], sizes_bytes: Iterable[int]) -> list[float]:
    """Weight at distances up to each of these sizes, which rise; within a bucket it is spread evenly."""
    rising = iter(sorted(weights))
    bucket = next(rising, None)
    total = 0.0
    result = []
    for size_bytes in sizes_bytes:
        border = bucket_of(size_bytes)
        while bucket is not None and bucket < border:
            total += weights[bucket]
            bucket = next(rising, None)
        low_bytes, high_bytes = lower_bytes(border), lower_bytes(border + 1)
        part = (size_bytes - low_bytes + 1) / (high_bytes - low_bytes)
        result.append(total + weights.get(border, 0.0) * min(max(part, 0.0), 1.0))
    return result
