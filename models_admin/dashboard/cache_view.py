"""What a cache's page says of the report and of the miss-ratio curve. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from models_admin.dashboard.policy_fields import value_with_unit
from models_admin.selectors.cache_reports import NEXT_MIB, at_size
from proxy.core.reports import CacheReport, CurvePoint
from proxy.core.units import BYTES_PER_MIB
from proxy.core.words import readable

LEAST_WORTH_MS_PER_S = 1.0
"""Saved model time below this is said to be nothing."""
TONES = {"on": "ok", "bypassed": "warn", "probing": "busy", "off": ""}
SECOND_TONES = {"closed": "ok", "half_open": "busy", "open": "bad"}


@dataclass(frozen=True, slots=True)
class CurveView:
    """The curve as its chart takes it, the present point on it, and what the next step of size would bring."""

    points: tuple[CurvePoint, ...]
    now: CurvePoint
    words: str
    sample_percent: float

    def as_json(self) -> dict[str, Any]:
        """For the page's script: sizes in bytes, ratios from 0 to 1."""
        return {
            "sizes": [point.size_bytes for point in self.points],
            "misses": [1 - point.hit_ratio for point in self.points],
            "saved": [point.saved_ms_per_s for point in self.points],
            "now": {"size": self.now.size_bytes, "miss": 1 - self.now.hit_ratio},
        }


def curve_view(report: CacheReport) -> CurveView | None:
    """The curve with the present size on it; None while too little is known."""
    points = tuple(point for point in report.curve if point.size_bytes > 0)
    if len(points) < 2 or report.max_bytes <= 0:
        return None
    now = at_size(points, report.max_bytes)
    # The present point lies on the drawn line, so it is one of the line's points.
    drawn = points if any(point.size_bytes == now.size_bytes for point in points) else (*points, now)
    ordered = tuple(sorted(drawn, key=lambda point: point.size_bytes))
    return CurveView(ordered, now, next_step_words(points, report.max_bytes), 100 * report.sample_ratio)


def next_step_words(points: Sequence[CurvePoint], max_bytes: int) -> str:
    """What 64 MiB more would save, and whether half the size would do."""
    now = at_size(points, max_bytes)
    gain = at_size(points, max_bytes + NEXT_MIB * BYTES_PER_MIB).saved_ms_per_s - now.saved_ms_per_s
    loss = now.saved_ms_per_s - at_size(points, max_bytes // 2).saved_ms_per_s
    if gain >= LEAST_WORTH_MS_PER_S:
        return _("The next 64 MiB would save about %(ms)s ms of model time a second.") % {"ms": _number(gain)}
    if loss < LEAST_WORTH_MS_PER_S:
        return _("The next 64 MiB would save nothing more; half the size would save as much.")
    words = _(
        "The next 64 MiB would save nothing more; half the size would lose about %(ms)s ms of model time a second."
    )
    return words % {"ms": _number(loss)}


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One eviction order as the page's table shows it."""

    name: str
    hit_ratio: float
    saved_ms_per_s: float
    is_now: bool
    is_best: bool


def order_rows(report: CacheReport) -> tuple[OrderRow, ...]:
    """Every order that ghost caches speak of, the one that saves most model time first."""
    ranked = sorted(report.orders, key=lambda one: -one.saved_ms_per_s)
    return tuple(
        OrderRow(
            value_with_unit("cache_eviction", one.eviction),
            one.hit_ratio,
            one.saved_ms_per_s,
            one.eviction == report.eviction,
            one is ranked[0],
        )
        for one in ranked
    )


def state_words(report: CacheReport) -> str:
    """What the state means, where the report itself gives no reason."""
    return readable(report.message_parts, _, report.message) or {
        "on": _("Repeated inputs are answered from memory."),
        "off": _("The policy says that nothing is kept."),
        "bypassed": _("Looking up costs more than hits save, so requests go straight to the model."),
        "probing": _("Some requests are looked up, to see whether hits pay again."),
    }.get(report.state, "")


def second_words(report: CacheReport | None, *, wanted: bool) -> str:
    """How the shared second level stands."""
    second = report.second_level if report is not None else None
    if second is not None:
        return second.message or {
            "closed": _("Answers that this server does not hold are looked for in the shared Redis."),
            "half_open": _("It failed lately and is being tried again."),
            "open": _("It failed and is left alone for a while; inference does not wait for it."),
        }.get(second.state, "")
    if wanted:
        return _("The policy asks for it, and this server has no Redis for it.")
    return _("Not used: the policy keeps this model’s answers to this server.")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
