"""Requests a second and latency of the digits model, ours beside a plain FastAPI + uvicorn server, in one run.

Rounds are interleaved (each round goes once through both servers and every concurrency), medians are reported. The
cache is off for the comparison, so that work is compared with work; one more row has it on. Every server's answers
are checked first.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench import wrk
from bench.digits import Work, digits_work
from bench.harness import HOST, ROOT, Site, free_port, machine, running_site, write_result
from bench.load import Target, run_load
from bench.peers.catalogue import SERVERS

CONCURRENCY = (1, 16, 64)
_UVICORN = (sys.executable, "-m", "uvicorn", "plain_fastapi:app", "--no-access-log", "--log-level", "warning")
Row = dict[str, Any]


def measure(target: Target, work: Work, connections: int, seconds: float) -> Row:
    """One cell: with wrk, or with our own load where wrk is missing."""
    if shutil.which("wrk") is None:
        tally = asyncio.run(run_load(target, work.cases, connections, seconds))
        errors = tally.wrong + sum(tally.refused.values()) + tally.connection_errors + tally.refused_connections
        row = {
            "requests_per_s": tally.requests_per_s,
            "p50_ms": tally.quantile_ms(0.5),
            "p99_ms": tally.quantile_ms(0.99),
        }
        return {**row, "errors": errors + tally.timeouts}
    shot = wrk.Shot(f"http://{target.host}:{target.port}{target.path}", b"", target.headers)
    row = wrk.load_in_turn(shot, [case.body for case in work.cases], connections, seconds)
    return {name: row[name] for name in ("requests_per_s", "p50_ms", "p99_ms", "errors")}


def check(name: str, target: Target, work: Work) -> int:
    """Answers checked one by one with 64 callers at once; a wrong one ends the benchmark."""
    tally = asyncio.run(run_load(target, work.cases, 64, 2))
    bad = (
        tally.wrong + sum(tally.refused.values()) + tally.connection_errors + tally.refused_connections + tally.timeouts
    )
    if bad or not tally.right:
        detail = tally.wrong_example or tally.refused_example
        raise SystemExit(f"{name}: {bad} of {bad + tally.right} answers were not right: {dict(tally.refused)} {detail}")
    return tally.right


def start_plain(work: Work) -> tuple[subprocess.Popen[bytes], Target]:
    """The plain server on a free port, answering."""
    port = free_port()
    process = subprocess.Popen(
        [*_UVICORN, "--port", str(port)],
        cwd=SERVERS,
        env={
            **os.environ,
            "PEERS_HARNESS": str(SERVERS.parent),
            "MODEL_FILE": str(work.model_file),
            "OUTPUT": "scores",
            "OMP_NUM_THREADS": "1",
        },
    )
    target = Target(HOST, port, "/v2/models/digits/infer", {"Content-Type": "application/json"})
    for _ in range(300):
        tally = asyncio.run(run_load(target, work.cases, 1, 0.01))
        if tally.right:
            return process, target
        time.sleep(0.1)
    process.kill()
    raise SystemExit("the plain server does not answer")


def set_policy(site: Site, key: str, **fields: Any) -> None:
    """Change the model's policy over the API and wait until the data plane has read it."""
    status, answer = site.api("PATCH", "/api/v1/models/digits/policy", key, fields)
    if status != 200:
        raise SystemExit(f"the policy could not be set: {status} {answer}")
    time.sleep(2)


def run(site: Site, rounds: int, seconds: float) -> dict[str, Any]:
    """All cells of all rounds, and their medians."""
    key = site.admin_key()
    work = digits_work(site)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {site.first_run['api_key']}"}
    ours = Target(HOST, site.inference_port, f"/v2/models/digits/versions/{work.version}/infer", headers)
    set_policy(site, key, cache_enabled=False, autoscale=False, min_instances=1, max_instances=1)
    plain_process, plain = start_plain(work)
    cells: dict[tuple[str, int], list[Row]] = {}
    try:
        checked = {"ours": check("ours", ours, work), "plain": check("plain", plain, work)}
        for number in range(rounds):
            for name, target in (("plain", plain), ("ours", ours)):
                for connections in CONCURRENCY:
                    row = measure(target, work, connections, seconds)
                    cells.setdefault((name, connections), []).append(row)
                    print(
                        f"round {number + 1} {name:<7} c={connections:<3} {row['requests_per_s']:>9.0f}/s", flush=True
                    )
    finally:
        plain_process.send_signal(signal.SIGTERM)
        plain_process.wait(timeout=30)
    set_policy(site, key, cache_enabled=True)
    check("ours, cache on", ours, work)
    for _ in range(rounds):
        for connections in CONCURRENCY:
            cells.setdefault(("cache on", connections), []).append(measure(ours, work, connections, seconds))
    medians = [
        {"server": name, "concurrency": connections, **{k: statistics.median(row[k] for row in rows) for k in rows[0]}}
        for (name, connections), rows in cells.items()
    ]
    raw = [{"server": name, "concurrency": c, "rounds": rows} for (name, c), rows in cells.items()]
    return {"answers_checked": checked, "medians": medians, "cells": raw}


def table(medians: list[Row]) -> str:
    """Medians as a Markdown table with ratios to the plain server."""
    plain = {row["concurrency"]: row for row in medians if row["server"] == "plain"}
    titles = {"plain": "plain FastAPI + uvicorn", "ours": "Deep Learning Proxy, cache off"}
    titles["cache on"] = "Deep Learning Proxy, repeated inputs, cache on"
    lines = ["| server | concurrency | requests/s | p50 ms | p99 ms | requests/s to plain | p99 to plain |"]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    for row in medians:
        base = plain[row["concurrency"]]
        lines.append(
            f"| {titles[row['server']]} | {row['concurrency']} | {row['requests_per_s']:,.0f} | {row['p50_ms']:.2f} | "
            f"{row['p99_ms']:.2f} | {row['requests_per_s'] / base['requests_per_s']:.2f} | "
            f"{row['p99_ms'] / base['p99_ms']:.2f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Parse arguments, run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()
    with running_site(("digits",)) as site:
        result = run(site, arguments.rounds, arguments.seconds)
    load = "wrk, 1 thread, on the same machine" if shutil.which("wrk") else "bench/load.py, on the same machine"
    settings = {"rounds": arguments.rounds, "seconds": arguments.seconds, "load": load, "instances": 1}
    path = write_result("smoke", {"machine": machine(), "settings": settings, **result})
    print(f"\n{table(result['medians'])}\n\nkept in {Path(path).relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
