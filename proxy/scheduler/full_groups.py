"""Shapes that fill a batch, so that they need not wait behind another shape's company. No clock, no I/O."""

from __future__ import annotations

from collections import deque

from proxy.scheduler.flows import ShapeGroup

# Shapes noted as full before stale ones are swept. Larger: rarer sweeps.
SLACK = 16


class FullGroups:
    """Groups noted as full, the first one first; those that are not any more drop out when they are met."""

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: deque[ShapeGroup] = deque()

    def __len__(self) -> int:
        return len(self._groups)

    def note(self, group: ShapeGroup, max_rows: int, depth: int) -> None:
        """`group` fills a batch; `depth` requests wait in all."""
        if len(self._groups) > depth + SLACK:
            noted, self._groups = self._groups, deque()
            for other in noted:
                other.is_noted_full = other.rows >= max_rows
                if other.is_noted_full:
                    self._groups.append(other)
        group.is_noted_full = True
        self._groups.append(group)

    def first(self, max_rows: int) -> ShapeGroup | None:
        """The group that has been full for longest, or None."""
        while self._groups and self._groups[0].rows < max_rows:
            self._groups.popleft().is_noted_full = False
        return self._groups[0] if self._groups else None

    def clear(self) -> None:
        """Forget all."""
        self._groups.clear()
