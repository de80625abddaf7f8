"""Which goals of the data plane a run of `bench/compare` has held: ours beside the best peers of the same run."""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

Row = dict[str, Any]


class Goal(NamedTuple):
    """Our median of one cell in relation to the best of the named peers that were measured in it."""

    what: str
    kind: str
    workload: str
    concurrency: int
    measure: str
    bound: float
    peers: tuple[str, ...] = ()  # empty: every peer of the run


GOALS = (
    Goal("requests/s", "json", "tiny", 64, "requests_per_s", 1.5, ("triton", "mosec")),
    Goal("p50", "json", "tiny", 1, "p50_ms", 1.0, ("triton",)),
    Goal("p99", "json", "tiny", 64, "p99_ms", 1.0, ("triton",)),
    Goal("requests/s", "json", "medium", 64, "requests_per_s", 1.0),
    Goal("requests/s of cache hits", "hits", "tiny", 64, "requests_per_s", 2.0, ("triton",)),
    Goal("MB/s of 1 MiB binary tensors", "binary", "wide", 16, "requests_per_s", 1.0, ("triton",)),
)
DIRECT_RATIO = 1.15
"""p50 of `medium` with 1 in flight to the model called in process."""
FLEET_RATIO = 0.95
"""requests/s with 1,000 registered models to those with one."""
FLEET_RESIDENT_MIB = 250


def verdicts(content: Row) -> list[tuple[str, str, str, str]]:
    """(what, measured, bound, "held" or "missed") for each goal whose cells were measured. Pure."""
    cells = {
        (row["kind"], row["workload"], row["concurrency"], row["server"]): row for row in content.get("medians", [])
    }
    rows = [found for goal in GOALS if (found := _beside_peers(goal, cells))]
    ours = cells.get(("json", "medium", 1, "ours"))
    if ours and (direct_ms := _direct_ms(content, "medium")):
        what = f"p50, `medium`, 1 in flight, to the model called in process ({direct_ms:.2f} ms)"
        rows.append(_row(what, ours["p50_ms"] / direct_ms, DIRECT_RATIO, more_is_better=False))
    if fleet := content.get("fleet"):
        rows.append(_row("requests/s with 1,000 registered models to one", fleet["ratio"], FLEET_RATIO))
        mib = fleet["web_idle_1000"]["resident_mib"]
        word = "held" if mib < FLEET_RESIDENT_MIB else "missed"
        what = "resident memory of the web process, idle, 1,000 models"
        rows.append((what, f"{mib:.0f} MiB", f"< {FLEET_RESIDENT_MIB} MiB", word))
    return rows


def _beside_peers(goal: Goal, cells: dict[tuple[str, str, int, str], Row]) -> tuple[str, str, str, str] | None:
    cell = (goal.kind, goal.workload, goal.concurrency)
    ours = cells.get((*cell, "ours"))
    others = {
        server: row[goal.measure]
        for (*where, server), row in cells.items()
        if tuple(where) == cell and server != "ours" and (not goal.peers or server in goal.peers) and row[goal.measure]
    }
    if ours is None or not others:
        return None
    more_is_better = goal.measure == "requests_per_s"
    best = (max if more_is_better else min)(others, key=lambda server: others[server])
    what = f"{goal.what}, `{goal.workload}`, {goal.concurrency} in flight, to {best}"
    return _row(what, ours[goal.measure] / others[best], goal.bound, more_is_better=more_is_better)


def _row(what: str, ratio: float, bound: float, *, more_is_better: bool = True) -> tuple[str, str, str, str]:
    # Judged as it is shown: a ratio that is written as the bound holds it.
    shown = round(ratio, 2)
    held = shown >= bound if more_is_better else shown <= bound
    sign = ">=" if more_is_better else "<="
    return what, f"{shown:.2f} x", f"{sign} {bound:.2f} x", "held" if held else "missed"


def _direct_ms(content: Row, model: str) -> float | None:
    """Median over the run of the model called in process, one row, ms."""
    floor = content.get("floor", {})
    rows = [row for turn in (floor.get("before", []), *floor.get("rounds", []), floor.get("after", [])) for row in turn]
    found = [row["median_ms"] for row in rows if (row["model"], row["batch"]) == (model, 1)]
    return statistics.median(found) if found else None


def table(content: Row) -> str:
    """The verdicts as a table; empty where nothing was measured that a goal speaks of."""
    rows = verdicts(content)
    lines = ["| goal | measured | bound | verdict |", "|---|--:|--:|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) if rows else ""
