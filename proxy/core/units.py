"""Conversions between the units inside (integer nanoseconds, bytes) and those of wires and forms."""

from __future__ import annotations

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
BYTES_PER_MIB = 1_048_576


def ms_to_ns(value_ms: float) -> int:
    """Milliseconds (a form's unit) as integer nanoseconds."""
    return round(value_ms * NS_PER_MS)


def ns_to_ms(value_ns: float) -> float:
    """Nanoseconds as milliseconds, for pages and messages."""
    return value_ns / NS_PER_MS
