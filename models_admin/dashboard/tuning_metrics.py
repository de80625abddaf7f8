"""What tuning's decisions are expected to move, read from a window's figures and from a measured second. Pure.

The names are those of the tuner's expectations (proxy/tuner/tuning_proposals*.py). What is not known is None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from proxy.core.hit_ratio import hit_ratio
from proxy.core.units import BYTES_PER_MIB

COLUMNS = (
    "requests",
    "errors",
    "rejections",
    "cache_hits",
    "cache_misses",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "mean_ms",
    "queue_mean_ms",
    "busy_ratio",
    "instances",
    "cache_bytes",
)
"""Of a measured second: what every metric can be read from."""
LEAST_BUSY = 1e-3
"""As the tuner takes it: below this share nothing is said of what could be answered if busy all the time."""

Figures = Mapping[str, Any]


def of_window(metric: str, figures: Any) -> float | None:
    """The metric of a window, as a decision keeps it in `measured`."""
    if not isinstance(figures, Mapping):
        return None
    return _WINDOW.get(metric, lambda known: number(known.get(metric)))(figures)


def of_second(metric: str, row: Figures) -> float | None:
    """The metric of one measured second, which has COLUMNS."""
    return _SECOND.get(metric, lambda known: number(known.get(metric)))(row)


def number(value: Any) -> float | None:
    """A number as a float; None for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _capacity(answered: Any, busy: Any) -> float | None:
    rate, share = number(answered), number(busy)
    return None if rate is None or share is None else rate / max(share, LEAST_BUSY)


def _mib(figures: Figures) -> float | None:
    held = number(figures.get("cache_bytes"))
    return None if held is None else held / BYTES_PER_MIB


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


_Read = Callable[[Figures], float | None]
_WINDOW: Mapping[str, _Read] = {
    "hits_ratio": lambda known: number(known.get("hit_ratio")),
    "capacity_per_s": lambda known: _capacity(known.get("throughput_per_s"), known.get("busy_ratio")),
    "cache_mib": _mib,
}
_SECOND: Mapping[str, _Read] = {
    "hits_ratio": lambda row: hit_ratio(row["cache_hits"], row["cache_misses"]),
    "capacity_per_s": lambda row: _capacity(row["requests"], row["busy_ratio"]),
    "throughput_per_s": lambda row: number(row["requests"]),
    "cache_mib": _mib,
    "lost_ratio": lambda row: _ratio(
        row["errors"] + row["rejections"], row["requests"] + row["errors"] + row["rejections"]
    ),
}
