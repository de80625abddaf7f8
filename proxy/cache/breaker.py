"""Decides when a service that others depend on is left alone: closed (used), open (not asked), half open (tried). Pure.

Rules: `MOST_FAILURES` in a row open it; while it is open nobody waits for it; after a pause that doubles with each
trial in vain one trial at a time is let through, and `TRIALS` good ones in a row close it.
Source: Nygard, "Release It!", the circuit breaker; pauses with doubling as in gRPC's connection backoff.
"""

from __future__ import annotations

from enum import StrEnum

from proxy.core.units import NS_PER_S

# Failures in a row that open it. Larger: more requests wait for something dead; smaller: a hiccup closes it off.
MOST_FAILURES = 5
TRIALS = 3
FIRST_PAUSE_NS = 1 * NS_PER_S
LONGEST_PAUSE_NS = 30 * NS_PER_S


class BreakerState(StrEnum):
    """Whether the service is used."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """One service's state; told of each use's end, asked before each trial."""

    __slots__ = ("_failures", "_good", "_pause_ns", "_trial_ns", "message", "state")

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.message = ""  # the failure that opened it, for people; empty while closed
        self._failures = 0
        self._good = 0
        self._pause_ns = FIRST_PAUSE_NS
        self._trial_ns = 0

    def worked(self) -> None:
        """A use or trial ended well. While open, that is a late answer to an earlier use: it says nothing."""
        self._failures = 0
        if self.state is BreakerState.HALF_OPEN:
            self._good += 1
            if self._good >= TRIALS:
                self.state, self.message = BreakerState.CLOSED, ""
                self._pause_ns = FIRST_PAUSE_NS

    def failed(self, message: str, now_ns: int) -> None:
        """A use or trial failed or took too long."""
        if self.state is BreakerState.CLOSED:
            self._failures += 1
            if self._failures < MOST_FAILURES:
                return
        elif self.state is BreakerState.HALF_OPEN:
            self._pause_ns = min(2 * self._pause_ns, LONGEST_PAUSE_NS)
        else:
            return
        self.state, self.message = BreakerState.OPEN, message
        self._failures = self._good = 0
        self._trial_ns = now_ns + self._pause_ns

    def may_try(self, now_ns: int) -> bool:
        """True if the caller is to make a trial now, and tell how it ended before it asks again."""
        if self.state is BreakerState.OPEN and now_ns >= self._trial_ns:
            self.state = BreakerState.HALF_OPEN
        return self.state is BreakerState.HALF_OPEN
