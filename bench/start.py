"""How long script/server takes until it is ready, stage by stage, and how long an idle one takes to stop.

The first start makes a temporary home (packages and assets are there already: the bench runs in their environment), the
later ones find everything made. Processor time counts every process of the server; it says more than the clock on a
machine that does other work, too.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from bench.harness import ROOT, free_port, machine, write_result
from dlproxy_site.processes import kill_group

_STAGE = re.compile(r"\[\d/\d\] ([^:(]+?)(?: \(| in |: |$)")
_READY = "server | ready: "
LIMIT_S = 900.0
"""For one start; the first trains and validates models, which takes minutes on a busy machine."""
IDLE_S = 3.0
"""Between ready and the stop, so that what the start still does is over."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What a line of the output says has begun, at which time, after how much processor time of all processes."""

    name: str
    at_s: float
    cpu_s: float


def stage_of(line: str) -> str | None:
    """The stage that a line of script/server begins: its words without what follows them; "ready" for the last."""
    if line.startswith(_READY):
        return "ready"
    found = _STAGE.match(line)
    return found[1].strip() if found else None


def durations(moments: list[Moment]) -> list[dict[str, Any]]:
    """Each stage with its seconds and processor seconds: to the next one's begin. Pure."""
    return [
        {"stage": this.name, "seconds": round(after.at_s - this.at_s, 2), "cpu_s": round(after.cpu_s - this.cpu_s, 2)}
        for this, after in pairwise(moments)
    ]


def cpu_s(process: psutil.Process) -> float:
    """Processor seconds of a process and all that it has and had below it."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def start_once(environment: dict[str, str]) -> dict[str, Any]:
    """One start and stop of script/server. Raises RuntimeError with the output's end if it does not get ready."""
    began_s = time.monotonic()
    process = subprocess.Popen(
        ["script/server"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    too_long = threading.Timer(LIMIT_S, kill_group, [process.pid])  # one that says nothing is ended, too
    too_long.start()
    try:
        return _watched(process, began_s, too_long)
    finally:
        too_long.cancel()
        kill_group(process.pid)
        process.communicate()


def _watched(process: subprocess.Popen[str], began_s: float, too_long: threading.Timer) -> dict[str, Any]:
    assert process.stdout is not None
    watched = psutil.Process(process.pid)
    moments, lines = [Moment("shell", began_s, 0.0)], []
    for line in process.stdout:
        lines.append(line)
        if (name := stage_of(line)) is not None:
            moments.append(Moment(name, time.monotonic(), cpu_s(watched)))
        if moments[-1].name == "ready":
            break
    if moments[-1].name != "ready":
        raise RuntimeError("the server did not get ready:\n" + "".join(lines[-20:]))
    too_long.cancel()
    time.sleep(IDLE_S)
    asked_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    return {
        "stages": durations(moments),
        "ready_s": round(moments[-1].at_s - began_s, 2),
        "ready_cpu_s": round(moments[-1].cpu_s, 2),
        "stop_s": round(time.monotonic() - asked_s, 2),
    }


def table(starts: list[dict[str, Any]]) -> str:
    """The starts beside each other as Markdown: seconds (processor seconds)."""
    names = [stage["stage"] for stage in starts[0]["stages"]]
    heads = ["first start", *(f"later start {number}" for number in range(1, len(starts)))]
    lines = ["| stage | " + " | ".join(heads) + " |", "|---|" + "--:|" * len(heads)]
    for number, name in enumerate(names):
        cells = [f"{start['stages'][number]['seconds']} s ({start['stages'][number]['cpu_s']} s)" for start in starts]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines.append(
        "| until ready | " + " | ".join(f"{one['ready_s']} s ({one['ready_cpu_s']} s)" for one in starts) + " |"
    )
    lines.append("| an idle stop | " + " | ".join(f"{one['stop_s']} s" for one in starts) + " |")
    return "\n".join(lines)


def main() -> int:
    """Start and stop on one home, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--later", type=int, default=3, help="starts after the first one")
    arguments = parser.parse_args()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DLPROXY_")}
    with tempfile.TemporaryDirectory(prefix="dlproxy-bench-") as name:
        environment = {
            **kept,
            "DLPROXY_HOME": str(Path(name) / "home"),
            "DLPROXY_PORT": str(free_port()),
            "DLPROXY_INFERENCE_PORT": str(free_port()),
        }
        starts = []
        for _ in range(1 + arguments.later):
            starts.append(start_once(environment))
            print(starts[-1], flush=True)
    path = write_result("start", {"machine": machine(), "starts": starts})
    print(f"\n{table(starts)}\n\nkept in {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
