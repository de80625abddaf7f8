"""Eviction policies on the same replayed traces: the tables of docs/caching.md. Half a minute on a quiet machine.

Traces are seeded (proxy/testing/cache_traces.py); caches are 1, 5 and 20 % of what a trace takes in all,
empty at first. `best` knows the future (Belady; for answers of one size only). Everything but the time a request takes
is the same on any machine. The result is kept as bench/results/<date>-cache-policies.json and .md.
`bench/cache_policies --write-sample FILE` makes a small trace in libCacheSim's oracleGeneral format, `--trace FILE`
replays one (a public one after `zstd -d`; it holds no costs, so all answers cost the same).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.harness import machine, write_result
from proxy.core.policies import Eviction
from proxy.core.units import BYTES_PER_MIB, NS_PER_S, NS_PER_US
from proxy.testing.cache_replay import Replayed, footprint_bytes, optimum, replay
from proxy.testing.cache_traces import TRACES, Trace, read_oracle_general, write_oracle_general, zipf

SHARES = (0.01, 0.05, 0.2)
SHOWN = 0.05  # the share for which bytes, time saved and time spent are shown
SAMPLE_REQUESTS, SAMPLE_ANSWERS = 2_000, 500

Row = dict[str, Any]


def measured(name: str, trace: Trace) -> Iterator[Row]:
    """One row a policy and size."""
    whole_bytes = footprint_bytes(trace)
    judges: dict[str, Callable[[Trace, int], Replayed]] = {
        eviction.value: lambda requests, size, eviction=eviction: replay(requests, eviction, size)  # type: ignore[misc]
        for eviction in Eviction
    }
    if len({item.size_bytes for item in trace}) == 1:
        judges["best"] = optimum
    for policy, judge in judges.items():
        for share in SHARES:
            found = judge(trace, round(whole_bytes * share))
            yield {"trace": name, "requests": len(trace), "mib": whole_bytes / BYTES_PER_MIB} | {
                "policy": policy,
                "share": share,
                **asdict(found),
            }


def table(name: str, rows: list[Row]) -> str:
    """One trace's rows as Markdown."""
    sizes = " | ".join(f"hits, {share:.0%}" for share in SHARES)
    head = f"| policy | {sizes} | bytes hit | model time saved | model s saved | µs a request |"
    lines = [
        f"**{name}**: {rows[0]['requests']:,} requests, {rows[0]['mib']:.0f} MiB of answers",
        "",
        head,
        "|---|" + "--:|" * (len(SHARES) + 4),
    ]
    for policy in dict.fromkeys(row["policy"] for row in rows):
        mine = {row["share"]: row for row in rows if row["policy"] == policy}
        shown = mine[SHOWN]
        cells = [f"{mine[share]['hit_ratio']:.1%}" for share in SHARES]
        cells += [f"{shown['byte_hit_ratio']:.1%}", f"{shown['saved_ratio']:.1%}"]
        cells.append(f"{shown['saved_ns'] / NS_PER_S:,.0f}")
        cells.append(f"{shown['spent_ns'] / NS_PER_US:.2f}" if shown["spent_ns"] else "")
        lines.append(f"| {policy} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trace", type=Path, help="replay this oracleGeneral file instead; nothing is kept")
    parser.add_argument("--write-sample", type=Path, help="only make a small oracleGeneral file here")
    asked = parser.parse_args()
    if asked.write_sample:
        write_oracle_general(asked.write_sample, zipf(SAMPLE_REQUESTS, SAMPLE_ANSWERS))
        return
    if asked.trace:
        print(table(asked.trace.name, list(measured(asked.trace.name, list(read_oracle_general(asked.trace))))))
        return
    rows, parts = [], []
    for name, make in TRACES.items():
        found = list(measured(name, make()))
        rows += found
        parts.append(table(name, found))
        print("\n" + parts[-1], flush=True)
    path = write_result("cache-policies", {"machine": machine(), "rows": rows})
    page = path.with_suffix(".md")
    page.write_text(f"# Eviction policies on the same traces\n\n{(__doc__ or '').strip()}\n\n" + "\n".join(parts))
    print(f"kept: {path.name}, {page.name}")


if __name__ == "__main__":
    main()
