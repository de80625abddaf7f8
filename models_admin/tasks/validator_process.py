"""The validator's child process: started, read with limits, ended at its time limit with everything it started.

Rules: nothing that the child says is trusted (it may be under a model's control): lines, their number and their length
are bounded, its error output is kept to the last few KiB; the child gets none of our environment but an allow-list.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from models_admin.services.validation_report import MAX_LINE_BYTES
from proxy.core.words import say

INHERITED = (
    "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_HOME",
    "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "DLPROXY_DEVICE",
)  # fmt: skip
MAX_LINES = 500
"""Lines of one report: six steps with a start and an end each, and room for progress."""
ERROR_TAIL_BYTES = 8_192
READ_BYTES = 65_536
TICK_S = 5.0


class ReportAbused(Exception):
    """The child wrote more, or longer lines, than the protocol allows."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the child ended. `status` negative: the signal's number."""

    status: int
    timed_out: bool
    error_tail: str


def run(
    job: Mapping[str, Any], *, time_limit_s: float, on_line: Callable[[bytes], None], on_tick: Callable[[], None]
) -> Ending:
    """Run one validation. `on_line` gets each line, `on_tick` is called every few seconds; either may raise."""
    with tempfile.TemporaryDirectory(prefix="dlproxy-validate-") as scratch:
        report_read, report_write = os.pipe2(os.O_CLOEXEC)
        try:
            process = _start(report_write, scratch)
        except OSError:
            os.close(report_read)
            raise
        finally:
            os.close(report_write)
        try:
            return _Reader(process, report_read, time.monotonic() + time_limit_s, on_line, on_tick).run(job)
        finally:
            os.close(report_read)
            _end(process)


def _start(report_fd: int, scratch: str) -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= {
        "HOME": scratch,
        "TMPDIR": scratch,
        "PYTHONPATH": str(settings.BASE_DIR),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return subprocess.Popen(
        [sys.executable, "-P", "-X", "faulthandler", "-m", "proxy.worker.validate", "--report-fd", str(report_fd)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=(report_fd,),
        cwd=scratch,
        env=environment,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of the child's process group and reap the child."""
    with contextlib.suppress(ProcessLookupError):  # all of it has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stderr):
        if pipe is not None:
            pipe.close()


class _Reader:
    def __init__(
        self,
        process: subprocess.Popen[bytes],
        report_fd: int,
        deadline_s: float,
        on_line: Callable[[bytes], None],
        on_tick: Callable[[], None],
    ) -> None:
        self.process = process
        self.report_fd = report_fd
        self.deadline_s = deadline_s
        self.on_line = on_line
        self.on_tick = on_tick
        self.partial = b""
        self.lines = 0
        self.errors = b""

    def run(self, job: Mapping[str, Any]) -> Ending:
        """Send the job, then read both pipes until the report is closed, the child ends or its time is up."""
        assert self.process.stdin is not None and self.process.stderr is not None  # noqa: S101  both are pipes
        try:
            self.process.stdin.write(json.dumps(dict(job)).encode())
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it ended at once; its status and error output say why
        with selectors.DefaultSelector() as selector:
            selector.register(self.report_fd, selectors.EVENT_READ)
            selector.register(self.process.stderr.fileno(), selectors.EVENT_READ)
            timed_out = not self._read(selector)
        if timed_out:
            return Ending(-signal.SIGKILL, True, self._tail())
        try:
            status = self.process.wait(max(self.deadline_s - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            return Ending(-signal.SIGKILL, True, self._tail())
        return Ending(status, False, self._tail())

    def _read(self, selector: selectors.BaseSelector) -> bool:
        """False when the time limit came first."""
        next_tick_s = time.monotonic() + TICK_S
        while selector.get_map():
            now_s = time.monotonic()
            if now_s >= self.deadline_s:
                return False
            if now_s >= next_tick_s:
                self.on_tick()
                next_tick_s = now_s + TICK_S
            for key, _ in selector.select(min(self.deadline_s, next_tick_s) - now_s):
                chunk = os.read(key.fd, READ_BYTES)
                if not chunk:
                    selector.unregister(key.fd)
                elif key.fd == self.report_fd:
                    self._take(chunk)
                else:
                    self.errors = (self.errors + chunk)[-ERROR_TAIL_BYTES:]
        return True

    def _take(self, chunk: bytes) -> None:
        *lines, self.partial = (self.partial + chunk).split(b"\n")
        if len(self.partial) > MAX_LINE_BYTES:
            raise ReportAbused(say("a line of the report has no end"))
        for line in lines:
            self.lines += 1
            if self.lines > MAX_LINES:
                raise ReportAbused(say("the report has too many lines"))
            self.on_line(line)

    def _tail(self) -> str:
        return self.errors.decode("utf-8", "replace")
