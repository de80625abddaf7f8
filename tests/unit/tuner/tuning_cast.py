"""Measured seconds for the tests of tuning: a load that a model carries in a known way, with a little noise."""

from __future__ import annotations

import random
from dataclasses import replace

from proxy.core.policies import Knob, TuningMode
from proxy.core.reports import CacheReport, CurvePoint
from proxy.core.units import BYTES_PER_MIB, NS_PER_MS
from proxy.metrics.histogram import index
from proxy.tuner.knobs import Bounds, Settings
from proxy.tuner.objective import Goal
from proxy.tuner.tuning_view import TuningView
from proxy.tuner.windows import TuningSecond

NOW = 1_000_000.0
ALL_AUTOMATIC = dict.fromkeys(Knob, TuningMode.AUTOMATIC)


def second(at_s, *, per_s=200, ms=10.0, rows=2.0, alpha_ms=4.0, beta_ms=1.0, instances=2, seed=0, **changes):
    """One second: `per_s` answers of about `ms` (p99 three times as long), executions of `rows` on the line."""
    dice = random.Random(f"{at_s} {seed}")
    count = max(round(per_s * (1 + 0.02 * dice.gauss(0, 1))), 1)
    histogram: dict[int, int] = {}
    total = 0.0
    for number in range(count):
        value = ms * (3.0 if number % 50 == 0 else 0.8 + 0.4 * dice.random())
        total += value
        bucket = index(int(value * NS_PER_MS))
        histogram[bucket] = histogram.get(bucket, 0) + 1
    mean_rows = rows * (1 + 0.05 * dice.gauss(0, 1))
    executions = max(round(count / mean_rows), 1)
    busy_s = executions * (alpha_ms + beta_ms * count / executions) / 1_000
    made = TuningSecond(
        at_s,
        requests=count,
        inferences=count,
        executions=executions,
        instances=instances,
        busy_ratio=min(busy_s / instances, 1.0) if instances else 0.0,
        mean_ms=total / count,
        queue_mean_ms=ms / 4,
        compute_mean_ms=ms / 2,
        histogram=histogram,
        rows_by_bits={max(round(rows) - 1, 0).bit_length(): executions},
    )
    return replace(made, **changes)


def seconds(length=150, *, until=NOW, **keywords):
    """Consecutive seconds, the newest at `until`."""
    return [second(until - length + 1 + number, **keywords) for number in range(length)]


def cache_report(mib=64, *, full=True, saved=(50.0, 150.0, 160.0), hits=(0.1, 0.3, 0.32), **changes):
    """A cache of `mib` with the curve at half, at it and at twice of it."""
    size = mib * BYTES_PER_MIB
    points = zip((size // 2, size, 2 * size), hits, saved, strict=True)
    made = CacheReport(
        "on",
        size if full else size // 4,
        size,
        1_000,
        "lru",
        300,
        700,
        700,
        100,
        0,
        service_ms=5.0,
        curve=tuple(CurvePoint(*point) for point in points),
        sample_ratio=1.0,
    )
    return replace(made, **changes)


def view(**changes):
    """A model that has been measured for long enough, all knobs automatic."""
    made = TuningView(
        Settings(instances=2), Bounds(), Goal(), seconds(), ALL_AUTOMATIC, ready_instances=2, instance_rule="The rule."
    )
    return replace(made, **changes)
