"""Seeded traces of requests: when each is planned, whose it is, how many rows, what deadline.

Times are planned before anything runs (open loop), so latencies counted from them hide no waiting.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import merge

from proxy.core.units import NS_PER_MS, NS_PER_S


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request of a trace; `at_ns` from its beginning. Its client leaves after `leaves_after_ns` (0: never)."""

    at_ns: int
    key: str = "a"
    rows: int = 1
    priority: int = 0
    weight: int = 1
    timeout_ns: int = 200 * NS_PER_MS
    leaves_after_ns: int = 0


@dataclass(frozen=True, slots=True)
class Sender:
    """What one key sends: `per_s` requests in the mean, for `seconds`."""

    per_s: float
    seconds: float
    key: str = "a"
    rows: int = 1
    priority: int = 0
    weight: int = 1
    timeout_ns: int = 200 * NS_PER_MS


def steady(sender: Sender, seed: int = 1) -> list[Arrival]:
    """A Poisson process."""
    chance = random.Random(seed)  # noqa: S311  nothing secret
    return [_arrival(sender, at_s) for at_s in _poisson(chance, sender.per_s, sender.seconds)]


def bursts(sender: Sender, seed: int = 1, *, times: float = 5.0, share: float = 0.1) -> list[Arrival]:
    """In the first `share` of each fifth of a second `times` the mean rate, else as much less."""
    chance = random.Random(seed)  # noqa: S311  nothing secret
    rest = (1 - times * share) / (1 - share)
    found = []
    for at_s in _poisson(chance, sender.per_s * times, sender.seconds):
        ratio = 1.0 if at_s * 5 % 1 < share else rest / times
        if chance.random() < ratio:
            found.append(_arrival(sender, at_s))
    return found


def heavy_tailed(sender: Sender, seed: int = 1, *, shape: float = 1.5) -> list[Arrival]:
    """Gaps of a Pareto distribution (mean kept): long silences and crowds, as measured in real services."""
    chance = random.Random(seed)  # noqa: S311  nothing secret
    least_s = (shape - 1) / shape / sender.per_s
    at_s = 0.0
    found: list[Arrival] = []
    while True:
        at_s += least_s * chance.paretovariate(shape)
        if at_s >= sender.seconds:
            return found
        found.append(_arrival(sender, at_s))


def leaving(trace: list[Arrival], within_ns: int, seed: int = 1) -> list[Arrival]:
    """The same, but every client leaves at a random moment within that time."""
    chance = random.Random(seed)  # noqa: S311  nothing secret
    return [replace(arrival, leaves_after_ns=1 + int(chance.random() * within_ns)) for arrival in trace]


def together(*traces: list[Arrival]) -> list[Arrival]:
    """All of them at once, in order of time."""
    return list(merge(*traces, key=lambda arrival: arrival.at_ns))


def _poisson(chance: random.Random, per_s: float, seconds: float) -> Iterator[float]:
    at_s = chance.expovariate(per_s)
    while at_s < seconds:
        yield at_s
        at_s += chance.expovariate(per_s)


def _arrival(sender: Sender, at_s: float) -> Arrival:
    return Arrival(int(at_s * NS_PER_S), sender.key, sender.rows, sender.priority, sender.weight, sender.timeout_ns)
