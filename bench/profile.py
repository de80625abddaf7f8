"""Where the microseconds of one request go on our side (`tiny`, JSON, cache off).

First each stage by itself with the real objects and no kernel; then the running server under load at 64 connections:
processor time of each process for one request, and, where py-spy is installed, a sampled profile of the web process.
The same profile by hand: `py-spy record -p <pid of dlproxy_site.web> -d 10 -f raw -o out.txt` while wrk runs.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from bench import stages, wrk
from bench.harness import machine, write_result
from bench.ours import OurServer, prepared

_NOT_SUMMED = ("  ", "not in the sum")


def stage_table(repeats: int) -> list[dict[str, Any]]:
    """Time the stages and print them."""
    rows = [{"stage": name, "what": what, "us": round(us, 2)} for name, what, us in stages.stages(repeats)]
    total = sum(row["us"] for row in rows if not row["stage"].startswith(_NOT_SUMMED))
    rows.append({"stage": "sum", "what": "of the stages above", "us": round(total, 2)})
    whole = round(stages.whole_line_us(repeats), 2)
    rows.append({"stage": "whole line", "what": "bytes in to bytes out, as wired, without the kernel", "us": whole})
    print("| stage | what | µs a request |\n|---|---|--:|")
    for row in rows:
        print(f"| {row['stage']} | {row['what']} | {row['us']:.2f} |")
    return rows


def under_load(seconds: float, connections: int) -> dict[str, Any]:
    """Load the running server; µs of processor time a request in each process, and the sampled profile."""
    with prepared("tiny") as home, OurServer(home) as server:
        shot = server.endpoint.shot("tiny")
        wrk.load(shot, connections, 2)
        web = server.web_process()
        parts = {
            "web": [web],
            "instances": server.site.processes("proxy.worker"),
            "celery": server.site.processes("celery"),
        }
        before = {name: _cpu_s(found) for name, found in parts.items()}
        kernel_s = web.cpu_times().system
        row = wrk.load(shot, connections, seconds)
        kernel_s = web.cpu_times().system - kernel_s
        spent = {name: (_cpu_s(found) - before[name]) / row["requests"] * 1e6 for name, found in parts.items()}
        kernel_us = kernel_s / row["requests"] * 1e6
        print(f"\nunder load, c={connections}: {row['requests_per_s']:,.0f} requests/s, errors {row['errors']}")
        for name, us in spent.items():
            print(f"  {name:<10} {us:6.1f} µs of processor time a request")
        print(f"  of the web process, {kernel_us:.1f} µs in the kernel")
        sampled = sample(web.pid, shot, connections, seconds)
    return {"load": row, "cpu_us_a_request": {k: round(v, 1) for k, v in spent.items()}, "profile": sampled}


def _cpu_s(found: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in found)


def sample(pid: int, shot: wrk.Shot, connections: int, seconds: float) -> dict[str, Any]:
    """Profile the process with py-spy while it is loaded; shares of samples by function and by file."""
    tool = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if tool is None:
        print("py-spy is not installed: no sampled profile")
        return {}
    with tempfile.TemporaryDirectory(prefix="dlproxy-profile-") as folder:
        out = Path(folder) / "raw.txt"
        load = threading.Thread(target=wrk.load, args=(shot, connections, seconds + 3))
        load.start()
        time.sleep(1)
        command = [tool, "record", "-p", str(pid), "-d", f"{seconds:.0f}", "-r", "200", "-f", "raw", "-o", str(out)]
        done = subprocess.run([*command, "--nonblocking"], capture_output=True, text=True, check=False)
        load.join()
        if not out.exists():
            print(f"py-spy gave no profile: {done.stderr.strip()[-300:]}")
            return {}
        stacks = out.read_text().splitlines()
    return _shares(stacks)


def _shares(stacks: list[str]) -> dict[str, Any]:
    """Samples in the event loop's thread: self time by function, inclusive time by function."""
    own: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    for line in stacks:
        text, _, count = line.rpartition(" ")
        frames = [frame.rsplit(":", 1)[0] + ")" if ":" in frame else frame for frame in text.split(";")]
        if not any("dlproxy_site/web.py" in frame for frame in frames):
            continue
        own[frames[-1]] += int(count)
        for frame in set(frames):
            inclusive[frame] += int(count)
    total = sum(own.values()) or 1
    result = {"samples": total}
    for title, counter in (("self", own), ("inclusive", inclusive)):
        rows = [(name, round(count / total, 3)) for name, count in counter.most_common(25)]
        result[title] = rows  # type: ignore[assignment]
        print(f"\n{title}, share of {total} samples of the event loop's thread")
        for name, share in rows:
            print(f"  {share:6.1%}  {name}")
    return result


def main() -> int:
    """Parse arguments, measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2_000, help="batches of 32 for each stage")
    parser.add_argument(
        "--seconds", type=float, default=6, help="of load for processor time, and again for the profile"
    )
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--stages-only", action="store_true", help="no server, no load")
    parser.add_argument("--name", default="profile", help="of the result: bench/results/<date>-<name>.json")
    arguments = parser.parse_args()
    content: dict[str, Any] = {
        "machine": machine(),
        "settings": vars(arguments),
        "stages": stage_table(arguments.repeats),
    }
    if not arguments.stages_only:
        wrk.require_wrk()
        content["load"] = under_load(arguments.seconds, arguments.connections)
    print(f"\nkept in {write_result(arguments.name, content)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
