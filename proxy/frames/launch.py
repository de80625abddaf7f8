"""What a parent hands to a worker process at its start (command, environment, scratch), and its end in words."""

from __future__ import annotations

import os
import signal
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from proxy.core.words import Words, say

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


def command(module: str, **options: int | str) -> list[str]:
    """Return the command line of a worker's module. `-P`: nothing is imported from the working directory. Pure."""
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return [sys.executable, "-P", "-X", "faulthandler", "-m", module, *arguments]


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
        # Threads that spin for long after an execution take the cores from the other instances; those that sleep at
        # once make each parallel loop wait for the kernel. About 10 µs of spinning is the usual middle.
        "GOMP_SPINCOUNT": "10000",
        "CUDA_CACHE_DISABLE": "1",
        # torch and NVML then mean the same GPU by a number.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }


def scratch_directory() -> str:
    """Return the mount point of every worker's private scratch, made if missing. Raises OSError if it is not ours."""
    path = Path(tempfile.gettempdir()) / f"dlproxy-scratch-{os.geteuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to somebody else; remove it")
    return str(path)


def describe_exit(status: int) -> Words:
    """Return an exit status in words. Pure."""
    if status >= 0:
        return say("it ended with exit status %(status)s", status=status)
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hints = {
        "SIGSEGV": say(" (it touched memory that is not its own)"),
        "SIGABRT": say(" (a library gave up)"),
        "SIGILL": say(" (an instruction that this processor lacks)"),
        "SIGKILL": say(" (from outside, or out of memory)"),
        "SIGBUS": say(" (memory that could not be provided)"),
    }
    return say("it was ended by %(name)s", name=name) + hints.get(name, "")
