"""What a clock is: one method, integer nanoseconds from an arbitrary origin (monotonic)."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Source of `now_ns`; only shells hold one, decisions are given the number."""

    def now_ns(self) -> int:
        """Monotonic time in nanoseconds from an arbitrary origin."""
        ...
