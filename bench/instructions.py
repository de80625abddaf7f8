"""What a request costs in instructions, for machines on which no time is to be trusted: `python -m bench.instructions`.

The whole line of `bench.stages` (bytes in to bytes out, no kernel, no event loop) under callgrind, counted after the
warm-up: a miss, a hit, and a miss that is alone in its batch. Needs Debian's `valgrind`; some minutes. One run's figure
is good to a percent; another Python or another compiler counts otherwise.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import stages
from bench.harness import ROOT, machine, write_result

# What is measured: (words, is it a hit, connections in turn).
LINES = (
    ("a miss", False, stages.BATCH),
    ("a hit", True, stages.BATCH),
    ("a miss, alone in its batch", False, 1),
)
WARM_UP_TURNS = 30
_TOTALS = re.compile(r"^(?:summary|totals):\s+(\d+)", re.MULTILINE)
_PATIENCE_S = 1_200.0


def counted(index: int, turns: int, tool: str) -> float:
    """Instructions a request of one of LINES. Raises RuntimeError when callgrind gives no count."""
    with tempfile.TemporaryDirectory(prefix="dlproxy-instructions-") as folder:
        out, go = Path(folder) / "out", Path(folder) / "go"
        callgrind = [tool, "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
        inner = [
            sys.executable,
            "-m",
            "bench.instructions",
            "--line",
            str(index),
            "--turns",
            str(turns),
            "--go",
            str(go),
        ]
        process = subprocess.Popen(
            [*callgrind, *inner],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "WARM":
                raise RuntimeError("the line did not run under valgrind")
            subprocess.run(
                ["callgrind_control", "--instr=on", str(process.pid)],
                check=True,
                capture_output=True,
                timeout=_PATIENCE_S,
            )
            go.touch()
            process.wait(timeout=_PATIENCE_S)
        finally:
            process.kill()
            process.wait()
        found = _TOTALS.findall(out.read_text() if out.exists() else "")
    if not found:
        raise RuntimeError("callgrind wrote no count")
    return int(found[-1]) / turns / LINES[index][2]


class SteppingClock:
    """A microsecond later at each look: a real clock under valgrind lets a second's work fall on few requests."""

    def __init__(self) -> None:
        self.now_ns = itertools.count(time.monotonic_ns(), 1_000).__next__


def run_line(index: int, turns: int, go: Path) -> None:
    """Inside valgrind: warm up, wait until the counting is on, take the turns, end without Python's last clean-up."""
    _, cached, connections = LINES[index]
    line = stages.WholeLine(cached=cached, connections=connections, clock=SteppingClock())
    for _ in range(WARM_UP_TURNS):
        line.turn()
    gc.disable()  # as where the time is taken: a collection falls on whom it falls on
    print("WARM", flush=True)
    while not go.exists():
        time.sleep(0.05)
    for _ in range(turns):
        line.turn()
    line.check(WARM_UP_TURNS + turns)
    os._exit(0)


def main() -> int:
    """Count each line, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=100, help="of the counted part (default 100)")
    parser.add_argument("--line", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--go", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.line is not None:
        run_line(asked.line, asked.turns, asked.go)
    tool = shutil.which("valgrind")
    if tool is None:
        parser.error("valgrind is not installed; on Debian: apt-get install valgrind")
    rows = []
    print("| | thousands of instructions a request |\n|---|--:|")
    for index, (words, _, _) in enumerate(LINES):
        thousands = round(counted(index, asked.turns, tool) / 1_000, 1)
        rows.append({"line": words, "thousands": thousands})
        print(f"| {words} | {thousands} |", flush=True)
    print(f"kept in {write_result('instructions', {'machine': machine(), 'turns': asked.turns, 'rows': rows})}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
