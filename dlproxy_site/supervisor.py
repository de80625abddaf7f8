"""Keeps the processes of one node running: starts, restarts with back-off, stops all at once, leaves none behind.

Place: `dlproxy_site.serve` builds the list of children and calls `Supervisor.run`.
Rules: a child dies with its supervisor, even under SIGKILL (`PR_SET_PDEATHSIG`); what a dead child leaves is
killed before it is started again (the supervisor is a child subreaper, so orphans come to it); a stop ends
within `grace_s`, then by SIGKILL.
Each child has a session of its own, so that Ctrl-C in a terminal reaches the supervisor alone, which tells all
children at the same time: none needs another to end well, and a stop takes as long as the slowest, not as their sum.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dlproxy_site.processes import STOP_SIGNALS, adopt_orphans, kill_children, kill_descendants, kill_group, tie_to

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
# A child that lived this long was healthy, so its next restart is quick again.
HEALTHY_AFTER_S = 60.0
# How a child ends that was told to.
_GOOD_ENDS = (0, -signal.SIGTERM, -signal.SIGKILL)
# A stop that takes longer than this says what it waits for.
_QUIET_STOP_S = 2.0
_LONGEST_LINE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One process to keep running.

    `required_at_start`: when it exits before the node was ready, the whole start fails (no half start).
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    required_at_start: bool = False


def restart_delay_s(previous_delay_s: float, lived_s: float) -> float:
    """Seconds to wait before a restart: 1 s doubling to 30 s, and 1 s again after a healthy life. Pure."""
    if lived_s >= HEALTHY_AFTER_S or previous_delay_s <= 0:
        return FIRST_DELAY_S
    return min(previous_delay_s * 2, LONGEST_DELAY_S)


class _Child:
    """A spec and its present process, if any."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.pid: int | None = None
        self.started_s = 0.0
        self.delay_s = 0.0
        self.start_at_s: float | None = None


class _StopAsked(BaseException):
    """A stop signal came while `on_tick` waited for an answer. No Exception, which a log's handler would keep."""


class Supervisor:
    """Runs children until a stop signal; `run` returns the exit status of the whole.

    `emit(name, line)` takes every line of a child's output and of the supervisor itself (name "server").
    `on_tick()` is called about twice a second until it returns True: the node is ready then. A stop signal ends a call.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        emit: Callable[[str, str], None],
        *,
        on_tick: Callable[[], bool] = lambda: True,
        grace_s: float = 15.0,
    ) -> None:
        self._children = [_Child(spec) for spec in specs]
        self._emit = emit
        self._on_tick = on_tick
        self._grace_s = grace_s
        self._selector = selectors.DefaultSelector()
        self._ready = False
        self._stop_wanted = False
        self._in_a_hurry = False
        self._status = 0
        self._stop_began_s: float | None = None
        self._in_tick = False
        self._has_said_what_is_late = False
        self._killed = False

    def run(self) -> int:
        """Start everything, keep it running, stop it on SIGINT, SIGTERM or SIGHUP. Call from the main thread."""
        adopt_orphans()
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_stop_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(wake_read, selectors.EVENT_READ, None)
        try:
            for child in self._children:
                self._start(child)
            while not self._step(wake_read):
                pass
        finally:
            self._kill_everything()
            for key in list(self._selector.get_map().values()):
                if key.data is not None:
                    self._read(key.fd, key.data)
        return self._status

    def _on_stop_signal(self, number: int, _frame: object) -> None:
        self._stop_wanted = True
        # A second Ctrl-C by a person, not the same stop delivered twice.
        if self._stop_began_s is not None and time.monotonic() - self._stop_began_s > 1:
            self._in_a_hurry = True
        if self._in_tick:
            self._in_tick = False
            raise _StopAsked

    def _step(self, wake_read: int) -> bool:
        """One turn of the loop; True when everything has ended."""
        for key, _ in self._selector.select(self._patience_s()):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_read, 4096)
            else:
                self._read(key.fd, key.data)
        self._reap()
        now_s = time.monotonic()
        if self._stop_wanted and self._stop_began_s is None:
            self._begin_stop(now_s)
        if self._stop_began_s is not None:
            return self._advance_stop(now_s)
        for child in self._children:
            if child.start_at_s is not None and now_s >= child.start_at_s:
                self._start(child)
        if not self._ready:
            self._ready = self._tick()
        return False

    def _tick(self) -> bool:
        """Whether the node is ready; a stop does not wait for the answer, which may take seconds at the start."""
        try:
            self._in_tick = True
            ready = self._on_tick()
            self._in_tick = False
        except _StopAsked:
            return False
        return ready

    def _patience_s(self) -> float:
        if self._stop_began_s is not None:
            return 0.1
        waits = [child.start_at_s - time.monotonic() for child in self._children if child.start_at_s is not None]
        return max(0.0, min([*waits, 0.5 if not self._ready else 5.0]))

    # -- starting and reading -------------------------------------------------------------------------------

    def _start(self, child: _Child) -> None:
        """Start it. A ready node short of memory or processes tries again later: the other children go on serving."""
        try:
            self._spawn(child)
        except OSError as error:
            if not self._ready:
                raise
            child.delay_s = restart_delay_s(child.delay_s, 0)
            child.start_at_s = time.monotonic() + child.delay_s
            words = f"{child.spec.name} cannot be started ({error.strerror}); trying again in {child.delay_s:.0f} s"
            self._emit("server", words)

    def _spawn(self, child: _Child) -> None:
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        parent_pid = os.getpid()
        try:
            process = subprocess.Popen(
                list(child.spec.argv),
                stdin=subprocess.DEVNULL,
                stdout=write_fd,
                stderr=write_fd,
                env={**os.environ, **child.spec.environment},
                start_new_session=True,
                # This process has one thread, so running Python between fork and exec is safe.
                preexec_fn=lambda: tie_to(parent_pid),  # noqa: PLW1509
            )
        except OSError:
            os.close(read_fd)
            raise
        finally:
            os.close(write_fd)
        os.set_blocking(read_fd, False)
        self._selector.register(read_fd, selectors.EVENT_READ, _Output(child.spec.name, bytearray()))
        # waitpid(-1) below collects the status, so Popen must not wait for it (it would warn when collected).
        process.returncode = 0
        child.pid, child.started_s, child.start_at_s = process.pid, time.monotonic(), None

    def _read(self, fd: int, output: _Output) -> None:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(fd)
            os.close(fd)
            if output.rest:
                self._emit(output.name, output.rest.decode(errors="replace"))
            return
        output.rest += data
        *lines, rest = output.rest.split(b"\n")
        if len(rest) > _LONGEST_LINE_BYTES:
            lines, rest = [*lines, rest], bytearray()
        output.rest = bytearray(rest)
        for line in lines:
            if line.strip():
                self._emit(output.name, line.decode(errors="replace").rstrip())

    # -- deaths ---------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        """Collect every ended process, ours or an orphan that came to us; plan restarts."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.pid == pid:
                    self._on_death(child, os.waitstatus_to_exitcode(status))

    def _on_death(self, child: _Child, code: int) -> None:
        pid, now_s = child.pid, time.monotonic()
        child.pid = None
        if pid is not None:
            kill_group(pid)
        # With the subreaper bit set, what a dead child leaves is a child of ours.
        kill_children({child.pid for child in self._children})
        how = f"was ended by signal {-code}" if code < 0 else f"exited with status {code}"
        if self._stop_began_s is not None:
            if code not in _GOOD_ENDS:
                self._emit("server", f"{child.spec.name} {how} while stopping")
            return
        if child.spec.required_at_start and not self._ready:
            self._emit("server", f"{child.spec.name} {how} before the server was ready; giving up")
            self._status = 1
            self._begin_stop(now_s)
            return
        child.delay_s = restart_delay_s(child.delay_s, now_s - child.started_s)
        child.start_at_s = now_s + child.delay_s
        self._emit("server", f"{child.spec.name} {how}; starting it again in {child.delay_s:.0f} s")

    # -- stopping -------------------------------------------------------------------------------------------

    def _begin_stop(self, now_s: float) -> None:
        self._stop_began_s = now_s
        self._emit("server", "stopping")
        for child in self._children:
            child.start_at_s = None
            if child.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGTERM)

    def _advance_stop(self, now_s: float) -> bool:
        """Say or kill what is late; True when none is left."""
        alive = [child.spec.name for child in self._children if child.pid is not None]
        if not alive:
            return True
        waited_s = now_s - (self._stop_began_s or now_s)
        if (waited_s >= self._grace_s or self._in_a_hurry) and not self._killed:
            self._killed = True
            self._emit("server", f"ending {', '.join(alive)} without waiting longer")
            self._kill_everything()
        elif waited_s >= _QUIET_STOP_S and not self._has_said_what_is_late:
            self._has_said_what_is_late = True
            self._emit("server", f"waiting for {', '.join(alive)} to finish; a second Ctrl-C ends at once")
        return False

    def _kill_everything(self) -> None:
        for child in self._children:
            if child.pid is not None:
                kill_group(child.pid)
        kill_descendants()


@dataclass(slots=True)
class _Output:
    """The unfinished last line of one child's output."""

    name: str
    rest: bytearray
