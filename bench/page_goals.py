"""Which goals of the dashboard's speed (docs/dashboard.md) a run of `bench/pages` has held."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
PAINT_MS = 1_000
SHIFT = 0.05
LIST_MS = 100
UPDATE_MS = 30
P99_RATIO = 1.10
"""Of inference with all dashboards open to inference with none; also how far two equal turns may be apart."""


def verdicts(found: Row) -> list[tuple[str, float, str, str]]:
    """(what, measured, goal, "held", "missed" or "not decided") for each goal of the parts that were measured. Pure."""
    rows: list[tuple[str, float, str, str]] = []

    def bounded(what: str, value: float, bound: float, unit: str) -> None:
        rows.append((what, value, f"< {bound:,} {unit}".strip(), "held" if value < bound else "missed"))

    if paints := found.get("paints"):
        largest = {
            name: max(row[name] for row in paints.values()) for name in ("first_contentful_paint_ms", "layout_shift")
        }
        bounded("first contentful paint, the slowest page", largest["first_contentful_paint_ms"], PAINT_MS, "ms")
        bounded("layout shift, the largest", largest["layout_shift"], SHIFT, "")
    if "list" in found:
        bounded("overview with 1,000 models on the server", found["list"]["page_ms_median"], LIST_MS, "ms")
        bounded("a live update of 1,000 models in the browser", found["update"]["frame_ms"], UPDATE_MS, "ms")
    if dashboards := found.get("dashboards"):
        again, ratio = (dashboards["ratios"][turn]["p99_ms"] for turn in ("none again", "all"))
        apart = max(again, 1 / again)
        word = "not decided" if apart > P99_RATIO else "held" if ratio <= P99_RATIO else "missed"
        goal = f"<= {P99_RATIO:.2f} times; equal turns were {apart:.2f} times apart"
        rows.append((f"p99 of inference with {dashboards['sockets']} dashboards", ratio, goal, word))
    return rows


def table(found: Row) -> str:
    """The verdicts as a table."""
    lines = ["| goal | measured | bound | verdict |", "|---|--:|--:|---|"]
    lines += [f"| {what} | {value:,} | {bound} | {word} |" for what, value, bound, word in verdicts(found)]
    return "\n".join(lines)
