"""Areas of memory that parent and instance both map: sealed memfds, replaced (never resized), bounded together.

Rules: an area is made for the signature, replaced by a larger one when a batch needs it and by a smaller one when
batches have not needed it for a while, so one large request does not hold memory for ever; what all areas of the
process hold together stays below one bound and below what the host has left. Decision: 0019-shared-memory.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable
from functools import cache

from proxy.core.units import BYTES_PER_MIB, NS_PER_S

SMALLEST_AREA_BYTES = 65_536
LARGEST_AREA_BYTES = 1 << 31
"""Bound of one batch's inputs or outputs; a larger one is refused before memory is taken."""
SHRINK_EVERY_NS = 10 * NS_PER_S
"""How often an area that was not needed whole since the last look is replaced by a smaller one. Longer: memory is held
longer after a large request; shorter: a model with rare large requests gets new pages for each."""
SHARE_OF_HOST = 4
"""One part in so many of the host's memory may be areas: models themselves need the rest."""
LEFT_FOR_OTHERS_BYTES = 128 * BYTES_PER_MIB
_ALWAYS_ALLOWED_BYTES = BYTES_PER_MIB
"""Areas up to this size are not held against the bound: the start of an instance must not depend on it."""

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class NoRoom(Exception):
    """The bound on shared memory is reached; nothing was taken. The same batch may fit later, a smaller one now."""


class SharedMemoryBound:
    """Counts what the areas of this process hold together."""

    __slots__ = ("_available_bytes", "held_bytes", "limit_bytes")

    def __init__(self, limit_bytes: int, available_bytes: Callable[[], int]) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._available_bytes = available_bytes

    def take(self, size_bytes: int) -> None:
        """Count an area in. Raises NoRoom."""
        if size_bytes > _ALWAYS_ALLOWED_BYTES:
            if self.held_bytes + size_bytes > self.limit_bytes:
                raise NoRoom(_words(size_bytes, f"{_mib(self.held_bytes)} of {_mib(self.limit_bytes)} MiB are in use"))
            available_bytes = self._available_bytes()
            if size_bytes + LEFT_FOR_OTHERS_BYTES > available_bytes:
                raise NoRoom(_words(size_bytes, f"the host has {_mib(available_bytes)} MiB left"))
        self.held_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Count an area out."""
        self.held_bytes -= size_bytes


@cache
def process_bound() -> SharedMemoryBound:
    """The one bound of this process: a quarter of the host's memory."""
    host_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return SharedMemoryBound(host_bytes // SHARE_OF_HOST, host_available_bytes)


def host_available_bytes() -> int:
    """Memory that can be taken without swapping, as the kernel estimates it. Raises OSError."""
    with open("/proc/meminfo", encoding="ascii") as facts:  # noqa: PTH123  while a request waits
        for line in facts:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1_024
    raise OSError("the kernel does not say how much memory is available")


class SharedArea:
    """The parent's mapping. Sealed against resizing, or an instance could shrink it and end the parent by SIGBUS.

    `used_bytes` is the most that a batch needed since the last look, `smallest_bytes` what it never falls below.
    """

    __slots__ = ("_bound", "memory", "size_bytes", "smallest_bytes", "used_bytes")

    def __init__(self, memory: mmap.mmap, bound: SharedMemoryBound, smallest_bytes: int) -> None:
        self.memory = memory
        self.size_bytes = len(memory)
        self.used_bytes = 0
        self.smallest_bytes = smallest_bytes
        self._bound = bound

    @classmethod
    def create(
        cls, least_bytes: int, bound: SharedMemoryBound | None = None, smallest_bytes: int = SMALLEST_AREA_BYTES
    ) -> tuple[SharedArea, int]:
        """Return an area of at least `least_bytes` and its descriptor, which the caller passes on and closes.

        Raises NoRoom, OSError (no descriptor, no memory), ValueError (larger than a batch may be).
        """
        bound = bound or process_bound()
        size_bytes = area_size(least_bytes)
        bound.take(size_bytes)
        descriptor = -1
        try:
            descriptor = os.memfd_create("dlproxy", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(descriptor, size_bytes)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            return cls(mmap.mmap(descriptor, size_bytes), bound, smallest_bytes), descriptor
        except OSError:
            bound.give_back(size_bytes)
            if descriptor >= 0:
                os.close(descriptor)
            raise

    def look(self) -> int:
        """Return the size that it should have from now on, by what was used since the last look; begins a new one."""
        wanted = max(area_size(self.used_bytes), self.smallest_bytes)
        self.used_bytes = 0
        return min(wanted, self.size_bytes)

    def close(self) -> None:
        """Unmap and count out; harmless the second time."""
        if not self.memory.closed:
            self.memory.close()
            self._bound.give_back(self.size_bytes)


def area_size(least_bytes: int) -> int:
    """Return the power of two that holds `least_bytes`, so that a growing batch replaces its area rarely. Pure."""
    if least_bytes > LARGEST_AREA_BYTES:
        raise ValueError(f"{least_bytes} bytes are more than a batch may hold ({LARGEST_AREA_BYTES}).")
    return max(SMALLEST_AREA_BYTES, 1 << (max(least_bytes, 1) - 1).bit_length())


def _mib(size_bytes: int) -> int:
    return size_bytes // BYTES_PER_MIB


def _words(size_bytes: int, why: str) -> str:
    return f"There is no room for {_mib(size_bytes)} MiB of tensors in shared memory: {why}."
