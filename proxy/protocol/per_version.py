"""What a codec prepares once for a version and then reads for each request.

Rules: an entry belongs to one snapshot object (identity, not equality), so a changed signature can never meet
a plan that was made for the old one; the store is bounded. Used on the event loop only, hence no lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from proxy.core.snapshot import VersionSnapshot

T = TypeVar("T")
MAX_ENTRIES = 1_024  # versions; a larger value keeps more plans of replaced snapshots in memory (a few KiB each)


class PerVersion(Generic[T]):
    """Bounded map from a version snapshot to what `build` makes of it."""

    __slots__ = ("_build", "_entries")

    def __init__(self, build: Callable[[VersionSnapshot], T]) -> None:
        self._build = build
        self._entries: dict[int, tuple[VersionSnapshot, T]] = {}

    def get(self, version: VersionSnapshot) -> T:
        """The value of `version`, built at the first call."""
        entry = self._entries.get(id(version))
        if entry is not None and entry[0] is version:
            return entry[1]
        if len(self._entries) >= MAX_ENTRIES:
            self._entries.clear()
        value = self._build(version)
        self._entries[id(version)] = (version, value)
        return value
