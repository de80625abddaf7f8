"""What ties processes together on Linux: death with the parent, orphans, kills of a group or a family."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Container, Iterable

import psutil

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def adopt_orphans() -> None:
    """Make this process the new parent of what its dead children leave (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def tie_to(parent_pid: int) -> None:
    """In a new child, before exec: die when the parent dies, also when it died before this line; default signals."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)
    for number in (*STOP_SIGNALS, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def kill_group(group: int) -> None:
    """SIGKILL to every process of the group; nothing happens when there is none left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def kill_children(known: Container[int | None]) -> None:
    """SIGKILL to every child of this process but the `known` ones."""
    _kill(process for process in psutil.Process().children() if process.pid not in known)


def kill_descendants() -> None:
    """SIGKILL to the children of this process, theirs, and so on."""
    _kill(psutil.Process().children(recursive=True))


def _kill(found: Iterable[psutil.Process]) -> None:
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
