"""The small chart of a decision: what was measured each second around the change, and both windows. Pure.

Drawn as SVG by the server from rows of measurements and the decision's own figures: nothing is drawn that was not
measured. Coordinates are those of a viewBox of WIDTH by HEIGHT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models_admin.dashboard.knobs import metric_in_words
from models_admin.dashboard.tuning_metrics import number, of_window

WIDTH, HEIGHT = 340, 128
LEFT, RIGHT, TOP, BOTTOM = 8.0, 332.0, 22.0, 104.0
HEADROOM = 1.12
"""The axis ends this far above the largest value."""
GAP_S = 2.5
"""Seconds between two measurements beyond which the line is broken."""


@dataclass(frozen=True, slots=True)
class Level:
    """One window's value as a line across the window. `kind`: before, after or expected."""

    kind: str
    left: float
    right: float
    height: float
    words: str


@dataclass(frozen=True, slots=True)
class Band:
    """A window's extent."""

    left: float
    width: float


@dataclass(frozen=True, slots=True)
class EvidenceChart:
    """Everything that the template draws; coordinates within the viewBox. `top`: the axis's end, in words."""

    path: str
    bands: tuple[Band, ...]
    levels: tuple[Level, ...]
    applied_x: float
    seconds_before: int
    seconds_after: int
    has_line: bool
    top: str


@dataclass(frozen=True, slots=True)
class Span:
    """A window relative to the change, in seconds, with its value where it is known."""

    start_s: float
    end_s: float
    value: float | None


def evidence_chart(
    points: Sequence[tuple[float, float]], before: Span, after: Span, expected: float | None, metric: str
) -> EvidenceChart | None:
    """The chart of (seconds from the change, value) with both windows; None where there is nothing to draw."""
    shown = [(at, value) for at, value in points if before.start_s <= at <= after.end_s]
    known = [span.value for span in (before, after) if span.value is not None]
    heights = [value for _, value in shown] + known
    if not heights:
        return None
    scale = _Scale(before.start_s, after.end_s, _top(max([*heights, expected or 0.0]), metric))
    levels = [
        Level(kind, scale.x(span.start_s), scale.x(span.end_s), scale.y(value), metric_in_words(metric, value))
        for kind, span, value in (
            ("before", before, before.value),
            ("expected", after, expected),
            ("after", after, after.value),
        )
        if value is not None
    ]
    bands = tuple(Band(scale.x(span.start_s), scale.x(span.end_s) - scale.x(span.start_s)) for span in (before, after))
    return EvidenceChart(
        path=_path(shown, scale),
        bands=bands,
        levels=tuple(levels),
        applied_x=scale.x(0.0),
        seconds_before=round(-before.start_s),
        seconds_after=round(after.end_s),
        has_line=len(shown) > 1,
        top=metric_in_words(metric, scale.top),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    start_s: float
    end_s: float
    top: float

    def x(self, at_s: float) -> float:
        return round(LEFT + (at_s - self.start_s) / (self.end_s - self.start_s) * (RIGHT - LEFT), 1)

    def y(self, value: float) -> float:
        return round(BOTTOM - value / self.top * (BOTTOM - TOP), 1)


def _top(largest: float, metric: str) -> float:
    """The axis's end. No share of a whole is larger than the whole."""
    top = largest * HEADROOM or 1.0
    return max(min(top, 1.0), largest) if metric.endswith("_ratio") else top


def _path(points: Sequence[tuple[float, float]], scale: _Scale) -> str:
    """Line commands; seconds without a measurement are a gap, never a line through them."""
    parts, last = [], None
    for at, value in points:
        command = "M" if last is None or at - last > GAP_S else "L"
        parts.append(f"{command}{scale.x(at)},{scale.y(value)}")
        last = at
    return "".join(parts)


def spans(
    predicted: dict[str, Any], measured: dict[str, Any], applied_unix_s: float, window_s: float
) -> tuple[Span, Span]:
    """The windows before and after: as they were measured, else as they will be."""
    metric = str(predicted.get("metric", ""))
    settle_s = settle_of(predicted)
    return (
        _span(measured.get("before"), metric, applied_unix_s, -window_s, 0.0),
        _span(measured.get("after"), metric, applied_unix_s, settle_s, settle_s + window_s),
    )


def settle_of(predicted: Mapping[str, Any]) -> float:
    """Seconds from a change to the window after it, as the proposal says; 0 where it does not."""
    proposal = predicted.get("proposal")
    return (number(proposal.get("settle_s")) if isinstance(proposal, dict) else None) or 0.0


def _span(figures: Any, metric: str, applied_unix_s: float, start_s: float, end_s: float) -> Span:
    if not isinstance(figures, dict):
        return Span(start_s, end_s, None)
    measured_start = number(figures.get("start_unix_s"))
    length_s = number(figures.get("length_s"))
    if measured_start is not None and length_s:
        start_s = measured_start - applied_unix_s
        end_s = start_s + length_s
    return Span(start_s, end_s, of_window(metric, figures))
