"""The supervisor with real processes: small children that say their pid and do what the test needs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dlproxy_site.supervisor import HEALTHY_AFTER_S, restart_delay_s

SCRIPT = Path(__file__).with_name("supervised.py")
ROOT = Path(__file__).parents[2]
HANGS_S = 120.0
"""Longer than anything here takes on any machine: a test that waits so long hangs."""
OBEDIENT = "import os, signal; print('pid', os.getpid(), flush=True); signal.pause()"
DEAF = (
    "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('pid', os.getpid(), flush=True)\n"
    "while True: signal.pause()"
)
WITH_GRANDCHILD = (
    "import os, signal, subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'], start_new_session=True)\n"
    "print('pid', os.getpid(), 'grandchild', child.pid, flush=True)\n"
    "signal.pause()"
)


class Run:
    """A running supervisor and the lines that it has said."""

    def __init__(self, children: list[tuple[str, str, bool]], grace_s: float = 5, state: str = "ready") -> None:
        specs = [[name, [sys.executable, "-c", code], required] for name, code, required in children]
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), json.dumps(specs), str(grace_s), state],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.lines: list[str] = []

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Read on until a line matches; fails when the output ends first."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"no line matched {pattern!r} in {self.lines}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask for a stop and return the exit status."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=HANGS_S)
        self.lines += rest.splitlines()
        return self.process.returncode


@pytest.fixture
def start() -> Iterator[type[Run]]:
    runs: list[Run] = []

    class Tracked(Run):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[arg-type]
            runs.append(self)

    yield Tracked
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
        run.process.communicate(timeout=HANGS_S)


def gone(pid: int) -> bool:
    """Whether no such process runs any more, waited for, since a kill is not instant."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        process.wait(timeout=HANGS_S)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


@pytest.mark.parametrize(
    ("previous", "lived", "expected"),
    [(0, 0, 1), (1, 0, 2), (2, 5, 4), (16, 0, 30), (30, 0, 30), (30, HEALTHY_AFTER_S, 1)],
)
def test_the_restart_delay_doubles_to_thirty_seconds_and_is_short_after_a_healthy_life(
    previous: float, lived: float, expected: float
) -> None:
    assert restart_delay_s(previous, lived) == expected


def test_a_killed_child_is_started_again_and_nothing_of_it_is_left(start: type[Run]) -> None:
    run = start([("web", WITH_GRANDCHILD, False)])
    first = run.wait_for(r"web\|pid (\d+) grandchild (\d+)")
    os.kill(int(first[1]), signal.SIGKILL)
    run.wait_for(r"server\|web was ended by signal 9; starting it again in 1 s")
    second = run.wait_for(r"web\|pid (\d+) grandchild (\d+)")
    assert second[1] != first[1]
    assert gone(int(first[2]))
    assert run.stop() == 0
    assert all(gone(int(pid)) for pid in second.groups())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_every_child_and_the_status_is_zero(start: type[Run], number: int) -> None:
    run = start([("web", OBEDIENT, False), ("beat", WITH_GRANDCHILD, False)])
    pids = [run.wait_for(r"pid (\d+)(?: grandchild (\d+))?").groups() for _ in range(2)]
    assert run.stop(number) == 0
    assert all(gone(int(pid)) for found in pids for pid in found if pid)


def test_every_child_is_told_to_stop_at_once_so_that_none_waits_for_another(start: type[Run], tmp_path: Path) -> None:
    says_bye = (
        "import pathlib, signal, sys, time\n"
        "def end(*_):\n"
        f"    mine, other = (pathlib.Path({str(tmp_path)!r}) / name for name in NAMES)\n"
        "    mine.touch()\n"
        "    while not other.exists(): time.sleep(0.01)\n"
        "    print('bye', flush=True)\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('pid 0', flush=True)\n"
        "while True: signal.pause()"
    )
    one, other = (f"NAMES = {names}\n{says_bye}" for names in (["web", "worker"], ["worker", "web"]))
    run = start([("web", one, False), ("worker", other, False)], grace_s=60)
    run.wait_for("pid 0")
    run.wait_for("pid 0")
    assert run.stop() == 0
    assert sorted(line for line in run.lines if line.endswith("bye")) == ["web|bye", "worker|bye"]


def test_a_stop_does_not_wait_until_the_question_whether_the_node_is_ready_is_answered(start: type[Run]) -> None:
    run = start([("web", OBEDIENT, False)], state="asking")
    run.wait_for("asking")
    assert run.stop() == 0
    assert "server|stopping" in run.lines


def test_a_stop_that_takes_long_says_what_it_waits_for(start: type[Run]) -> None:
    run = start([("web", DEAF, False), ("beat", OBEDIENT, False)], grace_s=600)
    run.wait_for(r"pid \d+")
    run.wait_for(r"pid \d+")
    run.process.send_signal(signal.SIGTERM)
    run.wait_for("waiting for web to finish; a second Ctrl-C ends at once")
    assert run.stop(signal.SIGINT) == 0
    assert "server|ending web without waiting longer" in run.lines


def test_a_child_that_ignores_the_stop_is_killed_when_the_grace_is_over(start: type[Run]) -> None:
    run = start([("web", DEAF, False)], grace_s=0.5)
    pid = int(run.wait_for(r"pid (\d+)")[1])
    assert run.stop() == 0
    assert gone(pid)
    assert "server|ending web without waiting longer" in run.lines


def test_sigkill_of_the_supervisor_ends_its_children(start: type[Run]) -> None:
    run = start([("web", OBEDIENT, False), ("worker", DEAF, False)])
    pids = [int(run.wait_for(r"pid (\d+)")[1]) for _ in range(2)]
    assert run.stop(signal.SIGKILL) == -signal.SIGKILL
    assert all(gone(pid) for pid in pids)


def test_f39_a_required_child_that_fails_at_the_start_ends_the_whole_start(start: type[Run]) -> None:
    run = start(
        [("worker", OBEDIENT, False), ("web", "import sys; sys.exit('port 1 is in use')", True)], state="starting"
    )
    run.wait_for("web exited with status 1 before the server was ready; giving up")
    assert run.process.wait(timeout=HANGS_S) == 1
    assert "web|port 1 is in use" in run.lines


def test_an_unfinished_last_line_of_a_child_is_not_lost(start: type[Run]) -> None:
    run = start([("web", "import sys; sys.stdout.write('no newline'); sys.stdout.flush()", False)])
    run.wait_for(r"^web\|no newline$")
