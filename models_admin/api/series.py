"""Samples as columns on a regular grid: which step a range is shown at, and how samples share a point.

Place: the history routes; the columns go into uPlot as they are. Pure.
Rules: at most MAX_POINTS points; a point that nobody measured is null, never zero; counts add up, levels are averaged,
queue depth keeps its peak, and percentiles of several samples come from their merged histograms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.core.units import ns_to_ms
from proxy.metrics.histogram import quantile

# A chart is at most about as many pixels wide; a larger number only makes answers larger.
MAX_POINTS = 2_000
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 86_400)
COUNTS = ("requests", "errors", "rejections", "cache_hits", "cache_misses", "coalesced", "inferences", "executions")
PEAKS = ("queue_depth", "in_flight", "instances", "cache_bytes")
STANDING = ("instances", "cache_bytes")
"""What an idle model has as well."""
WEIGHTED = {"mean_ms": None, "queue_mean_ms": "cache_hits", "compute_mean_ms": "cache_hits"}
"""Means over the answered requests, without those counted in the named column: hits never queue."""
PERCENTILES = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}
BY_SIZE = "rows_by_bits"
"""Executions by their size, {n: executions of at most 2^n rows and more than half of that}; they add up."""
METRIC_COLUMNS = (*COUNTS, *PERCENTILES, *WEIGHTED, *PEAKS, "busy_ratio", BY_SIZE)
GPU_LEVELS = ("utilisation_percent", "memory_used_bytes", "memory_total_bytes", "temperature_c", "power_w")

Row = Mapping[str, Any]
Column = list[Any]
_IDLE: Row = {
    **dict.fromkeys((*COUNTS, *PEAKS, "busy_ratio"), 0),
    **dict.fromkeys((*PERCENTILES, *WEIGHTED)),
    "histogram": {},
    BY_SIZE: {},
}


@dataclass(frozen=True, slots=True)
class Grid:
    """`points` moments from `start_s` (Unix seconds), `step_s` apart; each stands for the step that begins there."""

    start_s: int
    step_s: int
    points: int

    @property
    def moments(self) -> list[int]:
        """The grid's x values."""
        return [self.start_s + i * self.step_s for i in range(self.points)]

    @property
    def end_s(self) -> int:
        """First second after the grid."""
        return self.start_s + self.points * self.step_s


def grid_for(
    start_s: int, end_s: int, source_s: int, step_s: int | None = None, most_points: int = MAX_POINTS
) -> Grid | None:
    """The finest grid over start ≤ t < end, no finer than the samples (`source_s`); None if `step_s` is too fine.

    `most_points`, at most MAX_POINTS, is kept where a step is wide enough for it.
    """
    steps = [s for s in STEPS_S if s >= source_s] if step_s is None else [step_s]
    for step in steps:
        first = start_s // step * step
        points = -(-(end_s - first) // step)
        if points <= most_points:
            return Grid(first, step, max(points, 1))
    return None


def metric_columns(rows: Iterable[Row], grid: Grid) -> dict[str, Column]:
    """Every metric as a column. A row has `at_s`, the metrics, and `histogram` where rows share points."""
    return _columns(rows, grid, METRIC_COLUMNS, merge_metrics)


def with_idle(rows: Iterable[Row], measured: Iterable[int], beat_s: int) -> Iterator[Row]:
    """`rows` of one model, and a row of nothing for each moment in `measured` (Unix seconds, rising) that lacks one.

    A model has no row while it is idle; the row of all models tells such a moment from one that nobody measured. Its
    instances and what its cache keeps are those of the last row, if that is at most `beat_s` old (an idle model with
    instances has a row each `beat_s`); else it has no instance, and nobody knows what its cache keeps.
    """
    kept = {row["at_s"]: row for row in rows}
    last: Row | None = None
    for at_s in sorted({*measured, *kept}):
        row = kept.get(at_s)
        if row is None:
            stands = last is not None and at_s - last["at_s"] <= beat_s
            held = {name: last[name] for name in STANDING} if stands and last else {"instances": 0, "cache_bytes": None}
            row = {**_IDLE, "at_s": at_s, **held}
        else:
            last = row
        yield row


def merge_metrics(rows: Sequence[Row]) -> dict[str, Any]:
    """One point of several samples."""
    if len(rows) == 1:
        return {name: rows[0][name] for name in METRIC_COLUMNS}
    merged: dict[str, Any] = {name: sum(row[name] for row in rows) for name in COUNTS}
    merged |= {name: max((row[name] for row in rows if row[name] is not None), default=None) for name in PEAKS}
    merged["busy_ratio"] = sum(row["busy_ratio"] for row in rows) / len(rows)
    for name, without in WEIGHTED.items():
        rows_with = [row for row in rows if row[name] is not None]
        known = [(row[name], row["requests"] - (row[without] if without else 0)) for row in rows_with]
        weight = sum(count for _, count in known)
        merged[name] = sum(value * count for value, count in known) / weight if weight > 0 else None
    merged[BY_SIZE] = _added(row[BY_SIZE] for row in rows)
    counts = {int(index): count for index, count in _added(row["histogram"] for row in rows).items()}
    for name, ratio in PERCENTILES.items():
        value_ns = quantile(counts, ratio)
        merged[name] = None if value_ns is None else ns_to_ms(value_ns)
    return merged


def whole_of(rows: Iterable[Row], start_s: float, length_s: float, source_s: int) -> dict[str, Any] | None:
    """The stretch as one point, without the sizes of executions; None without a sample.

    It is read from the sample that holds its start, for as many as come nearest to its length. Counts of samples
    longer than a second are brought to that length: the same traffic is the same whole, by the second or the minute.
    """
    seconds, samples = max(round(length_s), 1), max(round(length_s / source_s), 1)
    first_s = int(start_s // source_s) * source_s
    inside = [row for row in rows if first_s <= row["at_s"] < first_s + samples * source_s]
    if not inside:
        return None
    merged = merge_metrics(inside)
    counts = {name: round(merged[name] * seconds / (samples * source_s)) for name in COUNTS}
    return {name: value for name, value in {**merged, **counts}.items() if name != BY_SIZE}


def _added(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for key, count in part.items():
            total[key] = total.get(key, 0) + count
    return total


def machine_columns(rows: Iterable[Row], grid: Grid) -> dict[str, Any]:
    """CPU and memory as columns, and `gpus`: one object of columns for each GPU that was seen."""
    kept = list(rows)
    columns: dict[str, Any] = _columns(
        kept, grid, ("cpu_percent", "memory_used_bytes", "memory_total_bytes"), _merge_levels
    )
    names = {gpu["index"]: gpu["name"] for row in kept for gpu in row["gpus"]}
    columns["gpus"] = [
        {
            "index": index,
            "name": name,
            **_columns(_of_gpu(kept, index), grid, GPU_LEVELS, _merge_levels),
        }
        for index, name in sorted(names.items())
    ]
    return columns


def _of_gpu(rows: Iterable[Row], index: int) -> list[Row]:
    return [{**gpu, "at_s": row["at_s"]} for row in rows for gpu in row["gpus"] if gpu["index"] == index]


def _merge_levels(rows: Sequence[Row]) -> dict[str, Any]:
    merged = {}
    for name in rows[0]:
        known = [row[name] for row in rows if isinstance(row[name], int | float)]
        if known:
            mean = sum(known) / len(known)
            merged[name] = round(mean) if all(isinstance(value, int) for value in known) else mean
    return merged


def _columns(
    rows: Iterable[Row], grid: Grid, names: Sequence[str], merge: Callable[[Sequence[Row]], Mapping[str, Any]]
) -> dict[str, Column]:
    columns: dict[str, Column] = {name: [None] * grid.points for name in names}
    shared: dict[int, list[Row]] = {}
    for row in rows:
        point = (row["at_s"] - grid.start_s) // grid.step_s
        if 0 <= point < grid.points:
            shared.setdefault(point, []).append(row)
    for point, group in shared.items():
        merged = merge(group)
        for name in names:
            columns[name][point] = merged.get(name)
    return columns
