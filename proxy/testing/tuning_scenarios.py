"""Situations in which tuning is held against settings that stay: seeded traces, an objective, bounds and a grid.

Where the load is the same in the long run (steady, bursts), the best settings of the grid are what tuning must come
near; where it shifts, no settings are right all the time, and tuning must beat each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import pi, sin

from proxy.core.policies import Eviction, Knob, Objective, Placement, ScalingPolicy
from proxy.testing.tuning_model import Kind
from proxy.testing.tuning_run import Part
from proxy.testing.tuning_traces import Mix, Trace
from proxy.tuner.knobs import Bounds, Settings, Value
from proxy.tuner.objective import Goal

Grid = Mapping[Knob, Sequence[Value]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`parts` for `seconds`; scored from `from_s` on. `samples` are the (begin, end) in which static settings are
    scored: a stretch of each phase, warm, which spares them the way from one to the next. `grids`: one for each part.
    `shifts_s`: when what comes changes for long; empty: it does not.
    """

    name: str
    words: str
    parts: tuple[Part, ...]
    grids: tuple[Grid, ...]
    seconds: int
    from_s: int
    samples: tuple[tuple[int, int], ...]
    shifts_s: tuple[int, ...] = ()
    cores: int = 64
    warm_s: int = 60

    def settings(self) -> Iterator[tuple[Settings, ...]]:
        """Every combination of the grids."""
        choices = [list(_combinations(part.start, grid)) for part, grid in zip(self.parts, self.grids, strict=True)]
        yield from product(*choices)


def _combinations(start: Settings, grid: Grid) -> Iterator[Settings]:
    knobs = list(grid)
    for values in product(*(grid[knob] for knob in knobs)):
        settings = start
        for knob, value in zip(knobs, values, strict=True):
            settings = settings.moved(knob, value)
        yield settings


ONCE = Mix()
POPULAR = Mix(keys=4_000, skew=0.9, once=0.3, answer_bytes=65_536)
LATENCY = Goal(Objective.LOWEST_LATENCY, 99)
# Bursts come so often, seconds, and last so long.
BURST_EACH_S, BURST_S = 15, 3
CACHES = (32, 64, 128, 256, 512)
ORDERS = (Eviction.LRU.value, Eviction.S3_FIFO.value, Eviction.SAVED_PER_BYTE.value)


def steady_latency() -> Scenario:
    """Three instances of which one is slow, requests of which some come again."""
    kind = Kind(6.0, 1.0, 0.1, (1.0, 1.0, 2.2))
    start = Settings(instances=3)
    bounds = Bounds(instances=(3, 3), cache_max_mib=(1, 512), max_batch_rows=(1, 256))
    trace = Trace("steady", lambda _: 220.0, lambda _: POPULAR)
    grid: Grid = {
        Knob.PLACEMENT: (Placement.LEAST_OUTSTANDING.value, Placement.LEAST_RESPONSE_TIME.value),
        Knob.CACHE_SIZE: CACHES,
        Knob.CACHE_POLICY: ORDERS,
    }
    return Scenario(
        "steady, latency",
        "220 requests/s, one of three instances 2.2 times slower, answers of 64 KiB asked for by Zipf's law",
        (Part(kind, trace, LATENCY, bounds, start),),
        (grid,),
        1_500,
        1_200,
        ((1_260, 1_350),),
    )


def steady_throughput() -> Scenario:
    """More comes than batches of the default size carry."""
    kind = Kind(40.0, 2.0, 0.1, timeout_s=4.0)
    bounds = Bounds(instances=(1, 1), cache_max_mib=(1, 64), max_batch_rows=(1, 256))
    trace = Trace("overload", lambda _: 450.0, lambda _: ONCE)
    grid: Grid = {
        Knob.BATCH_ROWS: (8, 16, 32, 64, 128, 256),
        Knob.CACHE_SIZE: (1, 64),
        Knob.CONCURRENCY: (0, 64, 512),
    }
    part = Part(kind, trace, Goal(Objective.HIGHEST_THROUGHPUT, 99), bounds)
    return Scenario(
        "steady, throughput",
        "450 requests/s at an instance that carries 308 with batches of 32",
        (part,),
        (grid,),
        1_050,
        900,
        ((930, 990),),
        warm_s=20,
    )


def steady_cost() -> Scenario:
    """Twice the instances that the target needs."""
    kind = Kind(6.0, 2.0, 0.1)
    bounds = Bounds(instances=(1, 6), cache_max_mib=(1, 512), max_batch_rows=(1, 256))
    trace = Trace("cost", lambda _: 240.0, lambda _: POPULAR)
    grid: Grid = {
        Knob.INSTANCES: (1, 2, 3, 4),
        Knob.CACHE_SIZE: (16, *CACHES),
        Knob.CACHE_POLICY: ORDERS,
    }
    part = Part(kind, trace, Goal(Objective.LOWEST_COST, 99, 40.0), bounds, Settings(instances=4))
    return Scenario(
        "steady, cost",
        "240 requests/s, p99 to be held at 40 ms, four instances at the beginning",
        (part,),
        (grid,),
        1_500,
        1_200,
        ((1_260, 1_350),),
    )


def bursts_latency() -> Scenario:
    """Three seconds of each fifteen bring eight times the load."""
    kind = Kind(12.0, 0.5, 0.1)
    bounds = Bounds(instances=(2, 2), cache_max_mib=(1, 512), max_batch_rows=(1, 256))
    trace = Trace("burst", lambda s: 480.0 if s % BURST_EACH_S < BURST_S else 60.0, lambda _: ONCE)
    grid: Grid = {
        Knob.BATCH_ROWS: (4, 8, 16, 32),
        Knob.QUEUE_DELAY: (0.0, 2.0, 5.0, 10.0),
        Knob.CACHE_SIZE: (1, 64),
    }
    return Scenario(
        "burst, latency",
        "60 requests/s, 480 in 3 s of each 15; executions of 12 ms + 0.5 ms a row",
        (Part(kind, trace, LATENCY, bounds, Settings(instances=2)),),
        (grid,),
        1_200,
        900,
        ((975, 1_065),),
        warm_s=15,
    )


def diurnal_cost() -> Scenario:
    """A day of half an hour, with the scaling rule for the number of instances: one at night, four by day."""
    kind = Kind(6.0, 30.0, 0.1)
    bounds = Bounds(instances=(1, 8), cache_max_mib=(1, 512), max_batch_rows=(1, 256))
    trace = Trace("diurnal", lambda s: 110.0 - 90.0 * sin(2 * pi * s / 1_800), lambda _: POPULAR)
    rule = ScalingPolicy(min_instances=1, max_instances=8, target_utilisation_ratio=0.7)
    grid: Grid = {
        Knob.INSTANCES: (2, 3, 4, 5),
        Knob.CACHE_SIZE: (16, 64, 128, 256),
        Knob.CACHE_POLICY: (Eviction.LRU.value, Eviction.S3_FIFO.value),
    }
    part = Part(kind, trace, Goal(Objective.LOWEST_COST, 99, 150.0), bounds, Settings(instances=2), rule)
    return Scenario(
        "diurnal, cost",
        "20 to 200 requests/s and back within 30 min, p99 to be held at 150 ms; instances by the scaling rule",
        (part,),
        (grid,),
        3_600,
        1_800,
        tuple((1_800 + 225 * step + 60, 1_800 + 225 * step + 120) for step in range(8)),
        shifts_s=(900, 1_800, 2_700),
    )


def _alternating(one: Mix, other: Mix, length_s: int) -> Callable[[int], Mix]:
    return lambda s: other if s // length_s % 2 else one


def shifting_mix() -> Scenario:
    """Small requests that repeat, then large ones that do not, each twenty minutes."""
    kind = Kind(8.0, 6.0, 0.1)
    popular = Mix(keys=1_500, skew=0.8, once=0.1, answer_bytes=524_288)
    large = Mix(rows=4)
    bounds = Bounds(instances=(1, 8), cache_max_mib=(1, 1_024), max_batch_rows=(4, 256))
    trace = Trace("mix", lambda s: 60.0 if s // 1_200 % 2 else 130.0, _alternating(popular, large, 1_200))
    rule = ScalingPolicy(min_instances=1, max_instances=8, target_utilisation_ratio=0.6)
    grid: Grid = {
        Knob.INSTANCES: (1, 2, 3, 4),
        Knob.CACHE_SIZE: (1, 64, 256, 512, 1_024),
    }
    part = Part(kind, trace, Goal(Objective.LOWEST_COST, 99, 120.0), bounds, Settings(instances=2), rule)
    return Scenario(
        "shifting mix, cost",
        "each 20 min other requests: 130/s of one row that repeat, then 60/s of four rows that do not",
        (part,),
        (grid,),
        4_800,
        1_200,
        ((2_100, 2_190), (3_300, 3_390), (4_500, 4_590)),
        shifts_s=(1_200, 2_400, 3_600),
    )


def friendly_then_hostile() -> Scenario:
    """Requests that repeat, then only new ones."""
    kind = Kind(20.0, 4.0, 0.1)
    popular = Mix(keys=2_000, skew=0.8, once=0.05, answer_bytes=262_144)
    bounds = Bounds(instances=(2, 2), cache_max_mib=(1, 1_024), max_batch_rows=(1, 256))
    trace = Trace("hostile", lambda _: 100.0, lambda s: ONCE if s >= 1_800 else popular)
    grid: Grid = {
        Knob.CACHE_SIZE: (1, 16, 64, 128, 256, 512, 1_024),
        Knob.CACHE_POLICY: ORDERS,
    }
    return Scenario(
        "cache-friendly then hostile, latency",
        "100 requests/s; for half an hour they repeat, then none does",
        (Part(kind, trace, LATENCY, bounds, Settings(instances=2)),),
        (grid,),
        3_600,
        900,
        ((1_300, 1_390), (2_600, 2_690), (3_200, 3_290)),
        shifts_s=(1_800,),
        warm_s=90,
    )


def two_models() -> Scenario:
    """Two models on the two cores of one machine."""
    bounds = Bounds(instances=(1, 3), cache_max_mib=(1, 256), max_batch_rows=(1, 256))
    first = Part(
        Kind(16.0, 1.0, 0.1), Trace("first", lambda _: 60.0, lambda _: ONCE), LATENCY, bounds, Settings(instances=1)
    )
    second = Part(
        Kind(6.0, 2.0, 0.1), Trace("second", lambda _: 50.0, lambda _: POPULAR), LATENCY, bounds, Settings(instances=1)
    )
    grid: Grid = {
        Knob.INSTANCES: (1, 2, 3),
        Knob.CACHE_SIZE: (1, 64),
    }
    other: Grid = {Knob.INSTANCES: (1, 2, 3), Knob.CACHE_SIZE: (16, 64, 256)}
    return Scenario(
        "two models, latency",
        "two models on two cores: 60 requests/s of one, 50/s of the other, of which some repeat",
        (first, second),
        (grid, other),
        1_500,
        1_200,
        ((1_260, 1_350),),
        cores=2,
    )


SCENARIOS = (
    steady_latency,
    steady_throughput,
    steady_cost,
    bursts_latency,
    two_models,
    diurnal_cost,
    shifting_mix,
    friendly_then_hostile,
)
