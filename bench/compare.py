"""Our server beside others on the same models, interleaved in one run; a dated result and a table in bench/results.

Every round goes once through every server and concurrency; medians over the rounds are reported with their spread.
Answers of every server are compared with the model called directly, before, during and after its load. Ours runs as a
user starts it, with default settings (the result cache off, so that work is compared with work, except in the rows of
cache hits); the others with the settings that were best for each model in earlier trials. `bench/peers/setup` installs
them.
The in-process floor is measured beside it: where it is far above its quiet figure, the machine was not ours alone.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench import fleet, floor, registry, report, wrk
from bench.harness import ROOT, free_port, machine, write_result
from bench.ours import Home, OurServer, prepared
from bench.peers import catalogue
from bench.peers.catalogue import Recipe
from bench.peers.server import PeerServer
from bench.peers.wire import V2_BINARY
from bench.target import Checker, count_wrong, usage

Row = dict[str, Any]
Make = Callable[[], "PeerServer | OurServer"]
OURS = "ours"
WORKLOADS = ("tiny", "medium")
CALLERS = {"wide": 8}
# Pause between two answers checked during a load; a lone connection is disturbed less than once in a hundred requests,
# and 1 MiB of numbers takes the checking process a while itself.
CHECK_EACH_S = 0.05
CHECK_ALONE_S = 1.0


class Run:
    """Cells measured so far, the floor of each round, and how they are measured."""

    def __init__(self, seconds: float, warm_s: float, settle_s: float) -> None:
        self.rows: list[Row] = []
        self.floors: list[list[Row]] = []
        self._seconds = seconds
        self._warm_s = warm_s
        self._settle_s = settle_s

    def serve(self, name: str, workload: str, kind: str, make: Make, concurrency: tuple[int, ...]) -> None:
        """Start one server, check it, load it at every concurrency, check it again, stop it."""
        try:
            with make() as server:
                self.load(name, workload, kind, server, concurrency)
        except (RuntimeError, OSError, http.client.HTTPException, subprocess.SubprocessError) as error:
            print(f"{name} {workload}: FAILED: {error}", file=sys.stderr, flush=True)
            self.rows.append({"server": name, "workload": workload, "kind": kind, "failed": str(error)[-2_000:]})

    def load(
        self, name: str, workload: str, kind: str, server: PeerServer | OurServer, concurrency: tuple[int, ...]
    ) -> None:
        """As `serve`, on a server that runs already."""
        callers = CALLERS.get(workload, 64)
        wrong, example = count_wrong(server.endpoint, workload, callers)
        shot = server.endpoint.shot(workload)
        scales = isinstance(server, OurServer) and kind == "json"
        wrk.load(shot, 64 if callers == 64 else 16, self._settle_s if scales else self._warm_s)
        rows = [self._cell(server, workload, shot, connections) for connections in concurrency]
        wrong_after, example_after = count_wrong(server.endpoint, workload, callers)
        for row, connections in zip(rows, concurrency, strict=True):
            row |= {"server": name, "workload": workload, "kind": kind, "concurrency": connections}
            row["wrong"] += wrong + wrong_after
            row["wrong_example"] = example or row["wrong_example"] or example_after
            row |= {"cold_start_s": round(server.cold_start_s, 2)}
            self.rows.append(row)
            print(
                f"{kind:<6} {workload:<6} {name:<10} c={connections:<3} {row['requests_per_s']:>9.0f}/s p50 "
                f"{row['p50_ms']:.2f} p99 {row['p99_ms']:.2f} ms, errors {row['errors']}, wrong {row['wrong']}, "
                f"{row['cores']:.2f} cores, {row['memory_mib']} MiB, {row['processes']} processes",
                flush=True,
            )

    def _cell(self, server: PeerServer | OurServer, workload: str, shot: wrk.Shot, connections: int) -> Row:
        pause_s = CHECK_ALONE_S if connections == 1 or workload == "wide" else CHECK_EACH_S
        checker = Checker(server.endpoint, workload, pause_s)
        before, began_s = usage(server.processes), time.monotonic()
        with checker:
            row = wrk.load(shot, connections, self._seconds)
        wall_s = time.monotonic() - began_s
        after = usage(server.processes)
        row |= {"checked": checker.asked, "wrong": checker.wrong, "wrong_example": checker.example}
        row |= {"cores": round((after["cpu_s"] - before["cpu_s"]) / wall_s, 2), **after}
        if isinstance(server, OurServer):
            row["instances"] = server.instances()
        return row


def peers_of(workload: str, names: list[str]) -> dict[str, Recipe]:
    """Recipes of the wanted peers for a model."""
    return {name: recipe for name, recipe in catalogue.RECIPES[workload].items() if name in names}


def json_rows(run: Run, homes: dict[str, Home], names: list[str], workloads: list[str], rounds: int) -> None:
    """`tiny` and `medium`, JSON, cache off; and in the same rounds the rows of cache hits and of binary tensors."""
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", flush=True)
        run.floors.append(floors(workloads))
        for workload in workloads:
            for name, recipe in peers_of(workload, names).items():
                run.serve(name, workload, "json", _peer(recipe, workload), (1, 16, 64))
            _our_rows(run, homes[workload], workload)
        if "tiny" in workloads and "triton" in names and any(catalogue.triton_caches().glob("local/*")):
            run.serve("triton", "tiny", "hits", _peer(catalogue.TRITON_CACHED, "tiny"), (64,))
        if "wide" in homes:
            if "triton" in names:
                run.serve("triton", "wide", "binary", _peer(catalogue.TRITON_BINARY, "wide"), (16,))
            run.serve(OURS, "wide", "binary", lambda: OurServer(homes["wide"], V2_BINARY), (16,))


def _peer(recipe: Recipe, workload: str) -> Make:
    return lambda: PeerServer(recipe, workload, free_port())


def _our_rows(run: Run, home: Home, workload: str) -> None:
    """Ours with the cache off, then (`tiny`) the same server with it on."""
    try:
        with OurServer(home) as server:
            run.load(OURS, workload, "json", server, (1, 16, 64))
            if workload == "tiny":
                registry.set_policy(server.site, server.admin_key, "tiny", cache_enabled=True)
                run.load(OURS, "tiny", "hits", server, (64,))
                registry.set_policy(server.site, server.admin_key, "tiny", cache_enabled=False)
    except (RuntimeError, OSError, http.client.HTTPException) as error:
        print(f"{OURS} {workload}: FAILED: {error}", file=sys.stderr, flush=True)
        run.rows.append({"server": OURS, "workload": workload, "kind": "json", "failed": str(error)[-2_000:]})


@contextlib.contextmanager
def all_homes(workloads: list[str], *, binary: bool) -> Iterator[tuple[dict[str, Home], str]]:
    """A prepared home for each model, and why there is none for binary tensors (empty where there is)."""
    with contextlib.ExitStack() as stack:
        homes = {}
        for workload in workloads:
            print(f"preparing our server with {workload}", flush=True)
            homes[workload] = stack.enter_context(prepared(workload))
        note = "left out by --no-binary"
        if binary:
            known = next(iter(homes.values())).extensions
            note = "" if "binary_tensor_data" in known else "our server does not announce binary_tensor_data"
        if not note:
            homes["wide"] = stack.enter_context(prepared("wide"))
        yield homes, note


def floors(workloads: list[str]) -> list[Row]:
    """The models called in process, no server of ours running."""
    return [floor.measure(name, batch, 0.7) for name in workloads for batch in (1, 32)]


def chosen_peers(text: str) -> list[str]:
    """Peers by name; ends with a word of advice where one is not installed."""
    names = [name for name in text.split(",") if name]
    known = catalogue.TINY.keys() | catalogue.MEDIUM.keys()
    for name in names:
        if name not in known:
            raise SystemExit(f"unknown peer {name}; known are {', '.join(sorted(known))}")
        if not catalogue.is_installed(name):
            raise SystemExit(f"{name} is not installed: bench/peers/setup {catalogue.environment_of(name)}")
    return names


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="plain,mosec,triton", help="comma-separated; empty: ours alone")
    parser.add_argument("--workloads", default="tiny,medium")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each cell (default 3)")
    parser.add_argument("--warm", type=float, default=2, help="seconds of load before a peer's cells")
    parser.add_argument("--settle", type=float, default=8, help="the same for ours, whose autoscaling acts in seconds")
    parser.add_argument("--no-binary", action="store_true", help="leave out the row of 1 MiB binary tensors")
    parser.add_argument("--no-fleet", action="store_true", help="leave out the rows with 1,000 registered models")
    parser.add_argument("--name", default="compare", help="of the result: bench/results/<date>-<name>.json")
    arguments = parser.parse_args()
    named = {name for name in arguments.workloads.split(",") if name}
    if not named or named - set(WORKLOADS):
        parser.error(f"--workloads: give one or more of {', '.join(WORKLOADS)}, with commas between them")
    return arguments


def main() -> int:
    """Prepare, measure, write down; status 1 where an answer was wrong or a request failed."""
    arguments = parse()
    wrk.require_wrk()
    names = chosen_peers(arguments.peers)
    workloads = [name for name in arguments.workloads.split(",") if name]
    began_s = time.monotonic()
    run = Run(arguments.seconds, arguments.warm, arguments.settle)
    fleet_rows: Row = {}
    with all_homes(workloads, binary=not arguments.no_binary) as (homes, binary_note):
        floor_before = floors(workloads)
        json_rows(run, homes, names, workloads, arguments.rounds)
        floor_after = floors(workloads)
        if not arguments.no_fleet and "tiny" in homes:
            fleet_rows = fleet.registered(homes["tiny"], arguments.rounds, arguments.seconds)
    content = {
        "machine": machine(),
        "settings": {**vars(arguments), "took_s": round(time.monotonic() - began_s), "load": "wrk -t1, same machine"},
        "versions": {name: catalogue.version_of(name) for name in names},
        "floor": {
            "before": floor_before,
            "rounds": run.floors,
            "after": floor_after,
            "quiet_ms": floor.QUIET_MS,
        },
        "notes": {"binary": binary_note},
        "fleet": fleet_rows,
        "medians": report.medians(run.rows),
        "cells": run.rows,
    }
    path = write_result(arguments.name, content)
    text = report.markdown(content)
    path.with_suffix(".md").write_text(text)
    print(f"\n{text}\nkept in {path.relative_to(ROOT)}")
    return 1 if any(row.get("wrong") or row.get("errors") or "failed" in row for row in run.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
