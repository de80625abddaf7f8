"""What tuning may move: the values in force, the bounds that they never leave, and the steps between them. Pure.

Rules: a step moves one knob; it at most doubles or halves a size, so that a wrong idea costs little before it is
undone; whatever is asked for is clamped, so no caller can leave the bounds. Values are those of the policy's fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from proxy.core.policies import Eviction, Knob, Placement
from proxy.core.words import Words, joined, say

Value = int | float | str

# The smallest step of a queue delay that is not 0, milliseconds. Smaller: the event loop's timers cannot follow.
LEAST_DELAY_MS = 0.5
MOST_DELAY_MS = 1_000.0
# The smallest concurrency limit that is proposed. Smaller: batches cannot fill.
LEAST_LIMIT = 4


@dataclass(frozen=True, slots=True)
class Settings:
    """The value of each knob, named like the knob. A `concurrency_limit` of 0 is none."""

    instances: int = 1
    max_batch_rows: int = 32
    max_queue_delay_ms: float = 0.0
    concurrency_limit: int = 0
    placement: str = Placement.LEAST_OUTSTANDING.value
    cache_max_mib: int = 64
    cache_eviction: str = Eviction.LRU.value

    def of(self, knob: Knob) -> Value:
        """The knob's value."""
        value: Value = getattr(self, knob.value)
        return value

    def moved(self, knob: Knob, value: Value) -> Settings:
        """The same but for one knob."""
        changes: dict[str, Any] = {knob.value: value}
        return replace(self, **changes)

    def as_mapping(self) -> Mapping[str, Value]:
        """All values by the knobs' names."""
        return {knob.value: self.of(knob) for knob in Knob}


@dataclass(frozen=True, slots=True)
class Bounds:
    """(lowest, highest) of each number, ends included, and the names allowed. The defaults are the policy's fields'.

    A concurrency limit of 0 (none) is always allowed.
    """

    instances: tuple[int, int] = (1, 2)
    max_batch_rows: tuple[int, int] = (1, 4_096)
    max_queue_delay_ms: tuple[float, float] = (0.0, 1_000.0)
    concurrency_limit: tuple[int, int] = (0, 100_000)
    cache_max_mib: tuple[int, int] = (1, 65_536)
    placement: tuple[str, ...] = tuple(placement.value for placement in Placement)
    cache_eviction: tuple[str, ...] = tuple(eviction.value for eviction in Eviction)

    def allow(self, knob: Knob, value: Value) -> bool:
        """True if the knob may have this value."""
        if knob is Knob.PLACEMENT:
            return value in self.placement
        if knob is Knob.CACHE_POLICY:
            return value in self.cache_eviction
        if isinstance(value, str) or not isfinite(value):
            return False
        if knob is Knob.CONCURRENCY and value == 0:
            return True
        low, high = self.range_of(knob)
        return low <= value <= high

    def range_of(self, knob: Knob) -> tuple[float, float]:
        """(lowest, highest) of a knob that is a number."""
        low, high = getattr(self, knob.value)
        return float(low), float(high)

    def clamped(self, knob: Knob, value: float) -> int | float:
        """The nearest number allowed, in the knob's type; the lowest one for what is not finite."""
        low, high = self.range_of(knob)
        near = min(max(value, low), high) if isfinite(value) else low
        return near if knob is Knob.QUEUE_DELAY else round(near)


def steps(knob: Knob, value: Value, bounds: Bounds) -> tuple[Value, ...]:
    """Where the knob may go from `value` in one step: other names, or one step down and up, within the bounds."""
    if knob is Knob.PLACEMENT:
        return tuple(name for name in bounds.placement if name != value)
    if knob is Knob.CACHE_POLICY:
        return tuple(name for name in bounds.cache_eviction if name != value)
    if isinstance(value, str):
        return ()
    wanted = {
        Knob.INSTANCES: (value - 1, value + 1),
        Knob.BATCH_ROWS: (value / 2, value * 2),
        Knob.CACHE_SIZE: (value / 2, value * 2),
        Knob.QUEUE_DELAY: _delays(float(value)),
        Knob.CONCURRENCY: (max(value / 2, LEAST_LIMIT), value * 2) if value else (),
    }[knob]
    reached = (bounds.clamped(knob, one) for one in wanted)
    return tuple(dict.fromkeys(one for one in reached if one != value and bounds.allow(knob, one)))


def delay_near(wanted_ms: float) -> float:
    """The largest of 0.5, 1, 2, 5, 10, 20, 50 … ms that is not above what is wanted; at least the least one."""
    found = LEAST_DELAY_MS
    step = 1.0
    while step <= wanted_ms and step <= MOST_DELAY_MS:
        found = max(factor * step for factor in (1, 2, 5) if factor * step <= wanted_ms)
        step *= 10
    return found


def _delays(value: float) -> tuple[float, ...]:
    """From none to the least one; else half and twice as much, and none where half would be less than the least."""
    if value <= 0:
        return (LEAST_DELAY_MS,)
    return (value / 2 if value / 2 >= LEAST_DELAY_MS else 0.0, value * 2)


_NAMES = {
    Eviction.LRU.value: Words("LRU"),
    Eviction.S3_FIFO.value: Words("S3-FIFO"),
    Eviction.SIEVE.value: Words("SIEVE"),
    Eviction.W_TINYLFU.value: Words("W-TinyLFU"),
    Eviction.SAVED_PER_BYTE.value: say("saved per byte"),
    Placement.LEAST_OUTSTANDING.value: say("least outstanding"),
    Placement.LEAST_RESPONSE_TIME.value: say("least response time"),
    Placement.POWER_OF_TWO_CHOICES.value: say("power of two choices"),
    Placement.ROUND_ROBIN.value: say("round robin"),
    Placement.RANDOM.value: say("random"),
}
_KNOBS = {
    Knob.BATCH_ROWS: say("max batch rows"),
    Knob.QUEUE_DELAY: say("max queue delay ms"),
    Knob.CONCURRENCY: say("concurrency limit"),
    Knob.PLACEMENT: say("placement"),
    Knob.CACHE_SIZE: say("cache max mib"),
    Knob.CACHE_POLICY: say("cache eviction"),
}


def shown(knob: Knob, value: Value) -> Words:
    """The value in words, with its unit."""
    if isinstance(value, str):
        return _NAMES.get(value) or Words(value.replace("_", " "))
    if knob is Knob.CONCURRENCY and not value:
        return say("no limit")
    number = f"{value:g}"
    if knob is Knob.BATCH_ROWS:
        return say("%(count)s rows", count=number)
    unit = {Knob.CACHE_SIZE: " MiB", Knob.QUEUE_DELAY: " ms"}.get(knob, "")
    return Words(f"{number}{unit}")


def moved_in_words(knob: Knob, from_value: Value, to_value: Value) -> Words:
    """A step without its knob, such as `32 rows → 64 rows`."""
    return joined(" → ", (shown(knob, from_value), shown(knob, to_value)))


def named_move(knob: Knob, from_value: Value, to_value: Value) -> Words:
    """A step with its knob, as sentences name it."""
    step = moved_in_words(knob, from_value, to_value)
    if knob is Knob.INSTANCES:
        return say("instances %(step)s", step=step)
    return _KNOBS[knob] + " " + step
