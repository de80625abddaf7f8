"""Rows of a comparison → medians with spread → a Markdown page. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from bench import compare_goals

Row = dict[str, Any]
_MEASURES = ("requests_per_s", "p50_ms", "p99_ms", "cores", "memory_mib", "cold_start_s")
_TITLES = {
    "json": "JSON, cache off",
    "hits": "JSON, the same input again and again, result cache on",
    "binary": "1 MiB FP32 in and 1 MiB out, binary tensor extension",
}
_LEGEND = (
    "Spread: (largest - smallest) / median of requests/s. Wrong: answers that differ from the model called directly, "
    "of those checked before, during (one each 50 ms, at c=1 one a second, beside the load) and after it. Cores and "
    "memory: all processes of the server. A CPU second's requests depend least on what else ran on the machine."
)
MIB_EACH_WAY = {"wide": 1.0}


def medians(rows: Iterable[Row]) -> list[Row]:
    """One row a cell: medians over the rounds, spread of requests/s ((max - min) / median), sums of errors."""
    cells: dict[tuple[str, str, int, str], list[Row]] = {}
    for row in rows:
        if "failed" not in row:
            cells.setdefault((row["kind"], row["workload"], row["concurrency"], row["server"]), []).append(row)
    result = []
    for (kind, workload, concurrency, server), found in cells.items():
        speeds = [row["requests_per_s"] for row in found]
        cell: Row = {"kind": kind, "workload": workload, "concurrency": concurrency, "server": server}
        cell |= {name: statistics.median(row[name] for row in found) for name in _MEASURES}
        middle = statistics.median(speeds)
        cell["spread"] = round((max(speeds) - min(speeds)) / middle, 3) if middle else None
        cell |= {"errors": sum(row["errors"] for row in found), "wrong": sum(row["wrong"] for row in found)}
        cell |= {"rounds": len(found), "memory_is_pss": all(row["is_pss"] for row in found)}
        result.append(cell)
    return result


def markdown(content: Row) -> str:
    """The whole page."""
    computer, settings = content["machine"], content["settings"]
    what = f"{computer['processor']}, {computer['cores']} cores, {computer['memory_gib']} GiB"
    how = (
        f"{what}, Python {computer['python']}. Medians of {settings['rounds']} interleaved rounds of "
        f"{settings['seconds']:g} s; load: {settings['load']}. {_LEGEND}"
    )
    parts = [
        f"# Comparison of commit {computer['commit']}",
        how,
        _versions(content),
        _floor(content["floor"]),
    ]
    if goals := compare_goals.table(content):
        parts += ["## Goals", goals]
    for kind, title in _TITLES.items():
        rows = [row for row in content["medians"] if row["kind"] == kind]
        for workload in dict.fromkeys(row["workload"] for row in rows):
            parts += [f"## {workload}: {title}", _table([row for row in rows if row["workload"] == workload])]
    parts += _hits_beside(content["medians"])
    parts += _remarks(content)
    return "\n\n".join(parts) + "\n"


def _hits_beside(rows: list[Row]) -> list[str]:
    """Our cache hits beside what each server answers without a cache: the same model, load and rounds."""
    parts = []
    for hit in (row for row in rows if row["kind"] == "hits" and row["server"] == "ours"):
        cell = (hit["workload"], hit["concurrency"])
        others = [row for row in rows if row["kind"] == "json" and (row["workload"], row["concurrency"]) == cell]
        if not others:
            continue
        lines = [
            "| server | requests/s without a cache | our hits to it | p99 ms | our hits' p99 ms |",
            "|---|--:|--:|--:|--:|",
        ]
        for row in sorted(others, key=lambda row: -row["requests_per_s"]):
            ratio = f"{hit['requests_per_s'] / row['requests_per_s']:.2f}x" if row["requests_per_s"] else ""
            speed, tail = f"{row['requests_per_s']:,.0f}", f"{row['p99_ms']:.2f}"
            lines.append(f"| {row['server']} | {speed} | {ratio} | {tail} | {hit['p99_ms']:.2f} |")
        speed = f"{hit['requests_per_s']:,.0f} requests/s"
        title = f"## {hit['workload']}: ours with cache hits, {speed}, beside each without a cache"
        words = f"c={hit['concurrency']}, from the cells above: what a cache is worth where inputs repeat."
        parts += [title, words, "\n".join(lines)]
    return parts


def _versions(content: Row) -> str:
    ours = ", ".join(f"{name} {version}" for name, version in content["machine"]["packages"].items())
    lines = [f"- ours: {ours}"]
    lines += [
        f"- {peer}: " + ", ".join(f"{name} {version}" for name, version in found.items())
        for peer, found in content["versions"].items()
    ]
    return "\n".join(lines)


def _floor(found: Row) -> str:
    lines = ["| in process, 1 thread | before, ms | after, ms | rows/s before |", "|---|--:|--:|--:|"]
    for before, after in zip(found["before"], found["after"], strict=True):
        name = f"{before['model']}, batch {before['batch']}"
        lines.append(f"| {name} | {before['median_ms']:.3f} | {after['median_ms']:.3f} | {before['rows_per_s']:,} |")
    quiet = ", ".join(f"{name} {value:g} ms" for name, value in found["quiet_ms"].items())
    lines += ["", f"On a quiet machine of the first comparisons, batch 1: {quiet}."]
    return "\n".join(lines)


def _table(rows: list[Row]) -> str:
    is_wide = rows[0]["workload"] in MIB_EACH_WAY
    head = ["c", "server", "MB/s each way" if is_wide else "requests/s", "spread", "ours to it", "p50 ms", "p99 ms"]
    head += ["errors", "wrong", "cores", "requests a CPU s", "MiB", "cold start s"]
    lines = [f"| {' | '.join(head)} |", "|--:|---|" + "--:|" * (len(head) - 2)]
    for concurrency in sorted({row["concurrency"] for row in rows}):
        cell = [row for row in rows if row["concurrency"] == concurrency]
        ours = next((row["requests_per_s"] for row in cell if row["server"] == "ours"), None)
        ordered = sorted(cell, key=lambda row: -row["requests_per_s"])
        lines += [f"| {' | '.join(_line(row, ours, is_wide=is_wide))} |" for row in ordered]
    return "\n".join(lines)


def _line(row: Row, ours: float | None, *, is_wide: bool) -> list[str]:
    speed = row["requests_per_s"]
    ratio = "" if ours is None or row["server"] == "ours" or not speed else f"{ours / speed:.2f}x"
    words = [str(row["concurrency"]), row["server"], f"{speed * 2**20 / 1e6 if is_wide else speed:,.0f}"]
    words += [f"{row['spread'] or 0:.0%}", ratio, f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}"]
    words += [str(row["errors"]), str(row["wrong"]), f"{row['cores']:.2f}", f"{speed / max(row['cores'], 0.01):,.0f}"]
    return [
        *words,
        f"{row['memory_mib']:.0f}" + ("" if row["memory_is_pss"] else " (RSS)"),
        f"{row['cold_start_s']:.1f}",
    ]


def _remarks(content: Row) -> list[str]:
    parts = []
    fleet = content["fleet"]
    if fleet:
        idle = fleet["web_idle_1000"]
        text = (
            f"tiny, c=64: {fleet['requests_per_s_1000']:,.0f} requests/s with 1,000 registered models, "
            f"{fleet['requests_per_s_1']:,.0f} with it alone ({fleet['ratio']:.2f}x), errors {fleet['errors']}. "
            f"Web process, just started, idle, {fleet['models']:,} models: {idle['resident_mib']:.0f} MiB resident, "
            f"{idle['pss_mib']:.0f} MiB PSS."
        )
        parts += ["## Many registered models", text]
    notes = []
    if not any(row["kind"] == "hits" and row["server"] == "triton" for row in content["medians"]):
        notes.append("Cache hits: ours alone, since Triton was not chosen or its wheel brings no local cache.")
    if content["notes"]["binary"]:
        notes.append(f"Binary tensors: no row, {content['notes']['binary']}.")
    failed = [row for row in content["cells"] if "failed" in row]
    notes += [f"{row['server']} failed on {row['workload']}: {row['failed'].splitlines()[-1][:200]}" for row in failed]
    return [*parts, *(["## Notes", "\n".join(f"- {note}" for note in notes)] if notes else [])]
