"""One area of memory that parent and instance both map: a sealed memfd, replaced (never resized) when it must grow."""

from __future__ import annotations

import fcntl
import mmap
import os

SMALLEST_AREA_BYTES = 65_536
LARGEST_AREA_BYTES = 1 << 31
"""Bound of one batch's inputs or outputs; a larger one is refused before memory is taken."""

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class SharedArea:
    """The parent's mapping. Sealed against resizing, or an instance could shrink it and end the parent by SIGBUS."""

    __slots__ = ("memory", "size_bytes")

    def __init__(self, memory: mmap.mmap) -> None:
        self.memory = memory
        self.size_bytes = len(memory)

    @classmethod
    def create(cls, least_bytes: int) -> tuple[SharedArea, int]:
        """Return an area of at least `least_bytes` and its descriptor, which the caller passes on and closes."""
        size_bytes = area_size(least_bytes)
        descriptor = os.memfd_create("dlproxy", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(descriptor, size_bytes)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            return cls(mmap.mmap(descriptor, size_bytes)), descriptor
        except OSError:
            os.close(descriptor)
            raise

    def close(self) -> None:
        """Unmap."""
        self.memory.close()


def area_size(least_bytes: int) -> int:
    """Return the power of two that holds `least_bytes`, so that a growing batch replaces its area rarely. Pure."""
    if least_bytes > LARGEST_AREA_BYTES:
        raise ValueError(f"{least_bytes} bytes are more than a batch may hold ({LARGEST_AREA_BYTES}).")
    return max(SMALLEST_AREA_BYTES, 1 << (max(least_bytes, 1) - 1).bit_length())
