"""Starting and ending the operating-system process behind an instance.

Rules: the process gets four descriptors and an allow-listed environment, nothing else of ours; it is ended and awaited
through a pidfd, so no signal can hit a stranger that took over the number.
Place: must be called on the event loop's thread: the kernel ties the process to the thread that started it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass

from proxy.frames.launch import command, environment, scratch_directory
from proxy.instances.channel import Channel


@dataclass(slots=True)
class WorkerProcess:
    """A started process. `log_fd` is the reading end of its output; both descriptors are the owner's to close."""

    popen: subprocess.Popen[bytes]
    pidfd: int
    log_fd: int

    @property
    def pid(self) -> int:
        """Process id."""
        return self.popen.pid

    def kill(self) -> None:
        """Send SIGKILL; harmless if it has ended."""
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return

    def exit_status(self) -> int | None:
        """Reap the process if it has ended and return its status (negative: a signal's number), else None."""
        return self.popen.poll()


def start(module: str, request_fd: int, response_fd: int, threads: int) -> tuple[WorkerProcess, Channel]:
    """Start a worker, `python -m module`, on the given areas. Raises OSError; then nothing is left behind."""
    channel, child_socket = Channel.pair()
    with contextlib.ExitStack() as undo, child_socket:
        undo.callback(channel.close)
        log_read, log_write = os.pipe2(os.O_CLOEXEC)
        undo.callback(os.close, log_read)
        os.set_blocking(log_read, False)
        try:
            popen = _spawn(module, child_socket.fileno(), request_fd, response_fd, log_write, threads)
        finally:
            os.close(log_write)
        undo.callback(_abandon, popen)
        process = WorkerProcess(popen, os.pidfd_open(popen.pid), log_read)
        undo.pop_all()
    return process, channel


def _abandon(popen: subprocess.Popen[bytes]) -> None:
    popen.kill()
    popen.wait()


def _spawn(
    module: str, channel_fd: int, request_fd: int, response_fd: int, log_fd: int, threads: int
) -> subprocess.Popen[bytes]:
    scratch = scratch_directory()
    descriptors = {"channel_fd": channel_fd, "request_fd": request_fd, "response_fd": response_fd}
    return subprocess.Popen(
        command(module, parent_pid=os.getpid(), scratch=scratch, **descriptors),
        stdin=subprocess.DEVNULL,
        stdout=log_fd,
        stderr=log_fd,
        env=environment(os.environ, threads, scratch),
        cwd="/",
        pass_fds=(channel_fd, request_fd, response_fd),
        # An own session: Ctrl-C at the terminal reaches the parent, which drains; the worker must not die first.
        start_new_session=True,
    )
