"""Seeded traces for tuning: how many requests come in each second, what they ask for, how many rows they bring.

Each second has its own seed, so that every setting meets the very same requests, whatever came before.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from proxy.core.units import NS_PER_S

# Keys that are asked for once only begin here.
_ONCE = 1 << 40
# Seconds of requests that are remembered, so that each setting of a grid need not draw them again.
KEPT_SECONDS = 1_000


class Request(NamedTuple):
    """When it comes (ns from the beginning), what it asks for, its rows and the bytes of its answer."""

    at_ns: int
    key: int
    rows: int
    answer_bytes: int


@dataclass(frozen=True, slots=True)
class Mix:
    """What is asked for: `keys` by Zipf's law with `skew`, and a share `once` of requests that never come again.

    `first` is the number of the first key: mixes with different ones have no key in common. Answers have
    `answer_bytes`, and a share `large` of the keys `large_bytes`.
    """

    keys: int = 1
    skew: float = 0.9
    once: float = 1.0
    first: int = 0
    rows: int = 1
    answer_bytes: int = 4_096
    large: float = 0.0
    large_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """`rate` is requests a second at a second, `mix` what they ask for then."""

    name: str
    rate: Callable[[int], float]
    mix: Callable[[int], Mix]

    def second(self, second: int, seed: int) -> list[Request]:
        """All requests of one second, in order; the last KEPT_SECONDS asked for are remembered."""
        wanted = (self, seed, second)
        found = _MADE.get(wanted)
        if found is None:
            if len(_MADE) >= KEPT_SECONDS:
                _MADE.clear()
            found = _MADE[wanted] = self._make(second, seed)
        return found

    def _make(self, second: int, seed: int) -> list[Request]:
        dice = random.Random(f"{self.name} {seed} {second}")  # noqa: S311  a simulation
        mix, rate = self.mix(second), self.rate(second)
        found: list[Request] = []
        at_s = dice.expovariate(rate) if rate > 0 else 2.0
        weights = _weights(mix.keys, mix.skew)
        begin_ns = second * NS_PER_S
        while at_s < 1.0:
            if dice.random() < mix.once:
                key = _ONCE + second * 1_000_000 + len(found)
            else:
                key = mix.first + bisect_left(weights, dice.random() * weights[-1])
            is_large = mix.large > 0 and (key * 2_654_435_761 & 0xFFFF) < mix.large * 0x10000
            size = mix.large_bytes if is_large else mix.answer_bytes
            found.append(Request(begin_ns + int(at_s * NS_PER_S), key, mix.rows, size))
            at_s += dice.expovariate(rate)
        return found


_MADE: dict[tuple[Trace, int, int], list[Request]] = {}
_KNOWN: dict[tuple[int, float], list[float]] = {}


def _weights(keys: int, skew: float) -> list[float]:
    """Sums of Zipf's weights of the first keys."""
    found = _KNOWN.get((keys, skew))
    if found is None:
        found = _KNOWN[keys, skew] = list(accumulate(1 / (rank + 1) ** skew for rank in range(keys)))
    return found
