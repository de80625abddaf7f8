"""What is equal, added, removed or changed between two sets of named facts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Change(StrEnum):
    """How one fact differs. UNKNOWN: one side has no value for it, which is not the same as another one."""

    SAME = "same"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Row:
    """One named fact of both sides; None where a side has none."""

    name: str
    before: Any
    after: Any
    change: Change


@dataclass(frozen=True, slots=True)
class Section:
    """Facts that belong together. `rows` may leave some out; `counts` are of all of them, by change."""

    name: str
    rows: tuple[Row, ...]
    counts: Mapping[Change, int]

    @property
    def left_out(self) -> int:
        """How many rows are not shown."""
        return sum(self.counts.values()) - len(self.rows)

    @property
    def differs(self) -> bool:
        """True if anything is known to differ."""
        return any(self.counts.get(change) for change in (Change.CHANGED, Change.ADDED, Change.REMOVED))


def section(
    name: str, before: Mapping[str, Any], after: Mapping[str, Any], *, only_differing: bool = False, most: int = 1_000
) -> Section:
    """The facts of `before` in their order, then those that only `after` has; at most `most` of them as rows."""
    names = [*before, *(name for name in after if name not in before)]
    rows = [_row(one, before, after) for one in names]
    shown = [row for row in rows if row.change is not Change.SAME] if only_differing else rows
    return Section(name, tuple(shown[:most]), Counter(row.change for row in rows))


def unreadable(name: str, labels: Sequence[str] = ()) -> Section:
    """A section of which nothing can be said."""
    rows = tuple(Row(label, None, None, Change.UNKNOWN) for label in labels)
    return Section(name, rows, Counter(row.change for row in rows))


def _row(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Row:
    return Row(name, before.get(name), after.get(name), _change(name, before, after))


def _change(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    if name not in before:
        return Change.ADDED
    if name not in after:
        return Change.REMOVED
    if before[name] is None or after[name] is None:
        return Change.UNKNOWN
    return Change.SAME if before[name] == after[name] else Change.CHANGED
