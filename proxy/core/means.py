"""Means of what is known only of some. Pure."""

from __future__ import annotations

from collections.abc import Iterable


def weighted_mean(pairs: Iterable[tuple[float | None, int]]) -> float | None:
    """The mean of (value, weight); unknown values and those without weight are left out. None where none remains."""
    known = [(value, weight) for value, weight in pairs if value is not None and weight > 0]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None
