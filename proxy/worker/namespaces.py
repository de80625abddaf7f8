"""Own user, network, mount, IPC and host-name namespaces for a worker: no network but a dead loopback.

Must run while the process has one thread. The scratch directory becomes a small memory file system that ends with it.
"""

from __future__ import annotations

import os
from pathlib import Path

from proxy.worker import linux

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWNET = 0x0002_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x4000_0000
_MS_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
_MS_REC_PRIVATE = 0x4000 | (1 << 18)
SCRATCH_BYTES = 64 * 1_048_576
"""Bound of the scratch file system; libraries keep small caches there, models should need none."""


def enter() -> None:
    """Leave the host's network, IPC and mounts. Raises OSError where the kernel does not permit it."""
    user, group = os.geteuid(), os.getegid()
    linux.unshare(_NEWUSER | _NEWNS | _NEWNET | _NEWIPC | _NEWUTS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def mount_scratch(directory: str) -> None:
    """Mount a bounded memory file system on `directory`, seen by this process only. Raises OSError."""
    linux.mount(None, "/", None, _MS_REC_PRIVATE, None)
    options = f"size={SCRATCH_BYTES},nr_inodes=1024,mode=0700"
    linux.mount("scratch", directory, "tmpfs", _MS_NOSUID_NODEV_NOEXEC, options)
