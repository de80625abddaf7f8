"""A clock that stands still until told to move, and runs timers as it passes them."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from proxy.core.units import NS_PER_S


class ManualTimer:
    """Handle of a `call_later`."""

    __slots__ = ("at_ns", "cancelled", "function")

    def __init__(self, at_ns: int, function: Callable[[], None]) -> None:
        self.at_ns = at_ns
        self.function = function
        self.cancelled = False

    def cancel(self) -> None:
        """Never call the function."""
        self.cancelled = True


class ManualClock:
    """Satisfies proxy.core.clock.Clock; `call_later` and `call_soon` have the event loop's meaning."""

    def __init__(self, now_ns: int = NS_PER_S) -> None:
        self._now_ns = now_ns
        self._timers: list[tuple[int, int, ManualTimer]] = []
        self._soon: list[Callable[[], None]] = []
        self._sequence = 0

    def now_ns(self) -> int:
        """The time it was last moved to."""
        return self._now_ns

    def call_later(self, delay_s: float, function: Callable[[], None]) -> ManualTimer:
        """Call `function` when the clock passes `delay_s` from now."""
        self._sequence += 1
        timer = ManualTimer(self._now_ns + round(delay_s * NS_PER_S), function)
        heapq.heappush(self._timers, (timer.at_ns, self._sequence, timer))
        return timer

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call `function` at the next `turn` or `advance`."""
        self._soon.append(function)

    def turn(self) -> None:
        """Run what `call_soon` collected; time stands still."""
        soon, self._soon = self._soon, []
        for function in soon:
            function()

    def advance(self, by_ns: int) -> None:
        """Move forward, stopping at each timer on the way."""
        end_ns = self._now_ns + by_ns
        self.turn()
        while self._timers and self._timers[0][0] <= end_ns:
            at_ns, _, timer = heapq.heappop(self._timers)
            self._now_ns = max(self._now_ns, at_ns)
            if not timer.cancelled:
                timer.function()
            self.turn()
        self._now_ns = end_ns

    def skip(self, by_ns: int) -> None:
        """Move forward without running timers: the loop was held up."""
        self._now_ns += by_ns

    @property
    def timers(self) -> int:
        """How many timers are pending."""
        return sum(not timer.cancelled for _, _, timer in self._timers)
