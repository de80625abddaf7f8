"""Starting and ending the operating-system process behind an instance.

Rules: the process gets four descriptors and an allow-listed environment, nothing else of ours; it is ended and awaited
through a pidfd, so no signal can hit a stranger that took over the number.
Place: must be called on the event loop's thread: the kernel ties the process to the thread that started it.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.instances.channel import Channel

PACKAGE_ROOT = str(Path(__file__).resolve().parent.parent.parent)
_INHERITED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_HOME",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "DLPROXY_DEVICE",
)


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


def environment(inherited: Mapping[str, str], threads: int, scratch: str) -> dict[str, str]:
    """Return a worker's environment: never the parent's secrets; threads are fixed before any library starts. Pure."""
    chosen = {name: inherited[name] for name in _INHERITED if name in inherited}
    count = str(threads)
    return {
        **chosen,
        "HOME": scratch,
        "TMPDIR": scratch,
        "PYTHONPATH": PACKAGE_ROOT,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": "1",
        "NUMEXPR_NUM_THREADS": "1",
        # Threads that spin between executions would take the cores from the other instances.
        "OMP_WAIT_POLICY": "PASSIVE",
        "CUDA_CACHE_DISABLE": "1",
    }


def scratch_directory() -> str:
    """Return the mount point of every worker's private scratch, made if missing. Raises OSError if it is not ours."""
    path = Path(tempfile.gettempdir()) / f"dlproxy-scratch-{os.geteuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to somebody else; remove it")
    return str(path)


def start(request_fd: int, response_fd: int, threads: int) -> tuple[WorkerProcess, Channel]:
    """Start a worker on the given areas. Raises OSError."""
    channel, child_socket = Channel.pair()
    log_read, log_write = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(log_read, False)
    try:
        popen = _spawn(child_socket.fileno(), request_fd, response_fd, log_write, threads)
    except OSError:
        channel.close()
        os.close(log_read)
        raise
    finally:
        child_socket.close()
        os.close(log_write)
    return WorkerProcess(popen, os.pidfd_open(popen.pid), log_read), channel


def _spawn(channel_fd: int, request_fd: int, response_fd: int, log_fd: int, threads: int) -> subprocess.Popen[bytes]:
    scratch = scratch_directory()
    arguments = [
        *(sys.executable, "-P", "-X", "faulthandler", "-m", "proxy.worker"),
        *("--channel-fd", str(channel_fd), "--request-fd", str(request_fd), "--response-fd", str(response_fd)),
        *("--parent-pid", str(os.getpid()), "--scratch", scratch),
    ]
    return subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=log_fd,
        stderr=log_fd,
        env=environment(os.environ, threads, scratch),
        cwd="/",
        pass_fds=(channel_fd, request_fd, response_fd),
        # An own session: Ctrl-C at the terminal reaches the parent, which drains; the worker must not die first.
        start_new_session=True,
    )


def describe_exit(status: int) -> str:
    """Return an exit status in words. Pure."""
    if status >= 0:
        return f"it ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hints = {
        "SIGSEGV": " (it touched memory that is not its own)",
        "SIGABRT": " (a library gave up)",
        "SIGILL": " (an instruction that this processor lacks)",
        "SIGKILL": " (from outside, or out of memory)",
        "SIGBUS": " (memory that could not be provided)",
    }
    return f"it was ended by {name}{hints.get(name, '')}"
