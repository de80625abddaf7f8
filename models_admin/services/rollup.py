"""Seconds → one minute, for models and for the host. Pure: rows in, an unsaved row out.

Rules: counts add up, gauges keep their peak (a queue that filled for a second is what an operator looks for), busy
share is the mean over the minute's measured seconds, percentiles come from the merged histogram (never averaged).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import fmean
from typing import Any

from models_admin.models import MachineSample, MetricSample
from models_admin.models.measurements import MINUTE_S
from proxy.core.means import weighted_mean
from proxy.core.units import ns_to_ms
from proxy.metrics import histogram

SUMS = ("requests", "errors", "rejections", "cache_hits", "cache_misses", "coalesced", "inferences", "executions")
PEAKS = ("queue_depth", "in_flight", "instances", "cache_bytes")
QUANTILES = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}


def roll_metrics(name: str, at: datetime, seconds: Sequence[MetricSample], measured_seconds: int) -> MetricSample:
    """The minute from `at` of one model. `measured_seconds` counts seconds with any measurement, idle ones included."""
    row = MetricSample(model_name=name, resolution_s=MINUTE_S, at=at)
    for field in SUMS:
        setattr(row, field, sum(getattr(second, field) for second in seconds))
    for field in PEAKS:
        setattr(row, field, max(getattr(second, field) for second in seconds))
    counts: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for second in seconds:
        histogram.merge(counts, histogram.from_json(second.histogram))
        histogram.merge(sizes, histogram.from_json(second.rows_by_bits))
    for field, value_ns in zip(QUANTILES, histogram.quantiles(counts, QUANTILES.values()), strict=True):
        setattr(row, field, None if value_ns is None else ns_to_ms(value_ns))
    row.mean_ms = weighted_mean((second.mean_ms, _answers(second)) for second in seconds)
    for field in ("queue_mean_ms", "compute_mean_ms"):  # of those that met an instance
        means = [(getattr(second, field), second.requests - second.cache_hits) for second in seconds]
        setattr(row, field, weighted_mean(means))
    row.busy_ratio = sum(second.busy_ratio for second in seconds) / max(measured_seconds, len(seconds))
    row.histogram = {str(bucket): count for bucket, count in counts.items()}
    row.rows_by_bits = {str(bits): count for bits, count in sizes.items()}
    return row


def roll_machine(at: datetime, seconds: Sequence[MachineSample]) -> MachineSample:
    """The minute from `at` of the host: means, and the peak of memory."""
    return MachineSample(
        resolution_s=MINUTE_S,
        at=at,
        cpu_percent=fmean(second.cpu_percent for second in seconds),
        per_core_percent=_mean_columns([second.per_core_percent for second in seconds]),
        memory_used_bytes=max(second.memory_used_bytes for second in seconds),
        memory_total_bytes=seconds[-1].memory_total_bytes,
        gpus=_mean_gpus([second.gpus for second in seconds]),
    )


def _answers(second: MetricSample) -> int:
    """How many answers the second's mean was taken over."""
    return sum(second.histogram.values()) or second.requests + second.errors


def _mean_columns(rows: Sequence[Sequence[float]]) -> list[float]:
    width = len(rows[-1])
    return [fmean(row[i] for row in rows if len(row) == width) for i in range(width)]


def _mean_gpus(rows: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Each GPU of the last second, its numbers replaced by their means over the seconds that know it."""
    merged = []
    for gpu in rows[-1]:
        same = [other for row in rows for other in row if other.get("index") == gpu.get("index")]
        merged.append({key: _mean_value(key, value, same) for key, value in gpu.items()})
    return merged


def _mean_value(key: str, value: Any, same: Sequence[dict[str, Any]]) -> Any:
    if key == "index" or isinstance(value, bool) or not isinstance(value, int | float):
        return value
    numbers = [other[key] for other in same if isinstance(other.get(key), int | float)]
    return fmean(numbers)
