"""Requests on their way to a lane that are not in it yet: who asks other servers for the answer first. Pure counting.

Rule: a version that is asked for so is not idle, so its lane stays open until they have come or need not come.
"""

from __future__ import annotations


class Expected:
    """How many are on their way, by version key."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __contains__(self, version_key: str) -> bool:
        return version_key in self._counts

    def add(self, version_key: str) -> None:
        """One more is on its way; `remove` is owed for it."""
        self._counts[version_key] = self._counts.get(version_key, 0) + 1

    def remove(self, version_key: str) -> None:
        """One has come, or will not."""
        left = self._counts.pop(version_key) - 1
        if left:
            self._counts[version_key] = left
