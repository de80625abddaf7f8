"""Confinement of a worker: `begin` at once, `close` when the libraries are in and before the artifact is opened.

Rules: every measure is tried alone and says "active" or "inactive: why" (shown on the page; the READY message carries
it); none is assumed. Once closed, the process cannot start processes, reach a network, read files other than its
libraries and its artifact, write anything but its scratch, or signal another process.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import stat
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from proxy.core.words import of_error, say
from proxy.worker import landlock, linux, namespaces, seccomp
from proxy.worker.landlock import Rule

MAX_OPEN_FILES = 1_024
MAX_FILE_BYTES = 64 * 1_048_576
MAX_THREADS_AND_PROCESSES = 1_024
ADDRESS_SLACK_BYTES = 1_024 * 1_048_576
"""Address space above the memory limit: reserved but unused ranges (allocator arenas, thread stacks)."""


class LimitTooLow(Exception):
    """The memory limit is below what the libraries alone use."""


@dataclass(slots=True)
class Sandbox:
    """What is active. `scratch` is the only place where the process may write (and only if it is a bounded mount)."""

    scratch: str
    measures: dict[str, str] = field(default_factory=dict)
    scratch_is_bounded: bool = False

    def begin(self, parent_pid: int, artifact_path: str) -> None:
        """Tie the process to its parent and leave the host's namespaces. Needs a process with one thread."""
        self._try(say("parent death"), lambda: _die_with_parent(parent_pid))
        self._try(say("first to go when memory is short"), _offer_to_the_oom_killer)
        self._try(say("no new privileges"), lambda: linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1))
        self._try(say("namespaces"), lambda: _enter_namespaces(artifact_path))
        if self.measures["namespaces"].startswith("active"):
            self._try(say("scratch"), self._mount_scratch)
            self._try(say("capabilities"), linux.drop_capabilities)
        else:
            why = say("no own mounts, so nothing at all may be written")
            self.measures[say("scratch")] = say("inactive: %(why)s", why=why)

    def close(self, artifact_path: str, memory_limit_bytes: int, *, cuda: bool) -> None:
        """Lock the process down. Raises LimitTooLow; everything else is reported, not raised."""
        self._try(say("memory limit"), lambda: _limit_memory(memory_limit_bytes, cuda=cuda))
        self._try(say("resource limits"), lambda: _limit_resources(own_count=self.scratch_is_bounded))
        rules = file_rules(artifact_path, self.scratch if self.scratch_is_bounded else None, cuda=cuda)
        self._try(say("files"), lambda: _one_thread_then(lambda: landlock.restrict(rules)))
        self._try(say("system calls"), seccomp.restrict)

    def _mount_scratch(self) -> str:
        namespaces.mount_scratch(self.scratch)
        self.scratch_is_bounded = True
        return f"active ({namespaces.SCRATCH_BYTES // 1_048_576} MiB in memory)"

    def _try(self, name: str, measure: Callable[[], str | None]) -> None:
        try:
            self.measures[name] = measure() or "active"
        except (OSError, ValueError, seccomp.Unsupported) as error:
            self.measures[name] = say("inactive: %(why)s", why=of_error(error))


def file_rules(artifact_path: str, scratch: str | None, *, cuda: bool) -> list[Rule]:
    """List what may be read (libraries, the artifact, facts about processors) and written (scratch)."""
    libraries = {sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")}
    libraries |= {sysconfig.get_path("platlib"), str(Path(__file__).parent.parent), "/usr", "/lib", "/lib64"}
    facts = ["/etc/ld.so.cache", "/etc/localtime", f"/proc/{os.getpid()}", "/proc/cpuinfo", "/proc/meminfo"]
    facts += ["/proc/stat", "/sys/devices/system/cpu", "/sys/devices/system/node", "/dev/zero"]
    rules = [Rule(path, landlock.READ) for path in (*sorted(libraries), *facts, artifact_path)]
    rules += [Rule(path, landlock.DEVICE) for path in ("/dev/null", "/dev/urandom", "/dev/random")]
    if scratch:
        rules.append(Rule(scratch, landlock.EVERYTHING))
    if cuda:
        rules += [Rule(path, landlock.DEVICE | landlock.READ) for path in map(str, Path("/dev").glob("nvidia*"))]
        rules += [
            Rule(path, landlock.READ) for path in ("/proc/driver/nvidia", "/sys", "/proc/devices", "/proc/modules")
        ]
    return rules


def _die_with_parent(parent_pid: int) -> None:
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)  # it died before the line above; nobody will read an exit status


def _offer_to_the_oom_killer() -> None:
    """Let the kernel end a worker, which is replaced, before the web process, which is not."""
    Path("/proc/self/oom_score_adj").write_text("500")


def _enter_namespaces(artifact_path: str) -> str:
    """Enter them, unless the artifact could not be read afterwards (root's right to read any file ends there)."""
    status = Path(artifact_path).stat()
    if status.st_uid != os.geteuid() and not status.st_mode & stat.S_IROTH:
        raise PermissionError(say("the artifact belongs to another user and would become unreadable"))
    namespaces.enter()
    return "active (user, network, mount, IPC, host name)"


def _limit_memory(limit_bytes: int, *, cuda: bool) -> str:
    if limit_bytes <= 0:
        raise ValueError(say("no limit was given"))
    if cuda:
        raise ValueError(say("CUDA reserves address space far above what it uses; the parent watches resident memory"))
    used = _status_bytes("VmData")
    if used >= limit_bytes:
        raise LimitTooLow(
            say(
                "The memory limit of %(limit)s MiB is below what the libraries alone use (%(used)s MiB).",
                limit=limit_bytes // 1_048_576,
                used=used // 1_048_576,
            )
        )
    address_bytes = _status_bytes("VmSize") + limit_bytes + ADDRESS_SLACK_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
    resource.setrlimit(resource.RLIMIT_AS, (address_bytes, address_bytes))
    return f"active ({limit_bytes // 1_048_576} MiB)"


def _limit_resources(*, own_count: bool) -> None:
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: MAX_FILE_BYTES,
        resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
    }
    if own_count:
        # Only where processes are counted for this namespace alone: else those of the whole user count.
        limits[resource.RLIMIT_NPROC] = MAX_THREADS_AND_PROCESSES
    for which, wanted in limits.items():
        _, hard = resource.getrlimit(which)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(which, (value, value))


def _one_thread_then(restrict: Callable[[], str]) -> str:
    """Landlock binds the calling thread and those it starts later, so other threads would stay outside."""
    others = len(list(Path("/proc/self/task").iterdir())) - 1
    active = restrict()
    return f"{active}, but {others} threads of the libraries began before" if others else active


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1_024
    raise ValueError(say("the kernel does not report %(name)s", name=name))


assert ctypes.sizeof(ctypes.c_void_p) == 8  # noqa: S101  the structures above are laid out for 64 bits
