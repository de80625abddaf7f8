"""How long a connection may take for what it does now. A pure decision: the sweep asks it, the connection acts.

Rules: nothing waits without a limit: a head, a body (with a minimum rate), an answer's way to a slow reader, an idle
connection, the time to linger.
"""

from __future__ import annotations

from enum import Enum, auto

from proxy.endpoint.exchange import Phase
from proxy.endpoint.limits import ListenerLimits

FOREVER = float("inf")
_WITH_RATE = frozenset((Phase.BODY, Phase.DISCARD))


class Verdict(Enum):
    """What the time that has passed asks for."""

    WAIT = auto()
    SLOW_BODY = auto()  # refuse the request
    SLOW_HEAD = auto()  # refuse what never became a request
    IDLE = auto()  # close
    STUCK = auto()  # abort


SLOW = {Verdict.SLOW_HEAD: "The head came too slowly.", Verdict.SLOW_BODY: "The body came too slowly."}


class Patience:
    """The times of one connection, in seconds of the server's clock.

    `deadline_s`: when the present phase is over, but for a body; `since_s`: the head's arrival; `received_bytes`: what
    has come since then, for the minimum rate.
    """

    __slots__ = ("deadline_s", "received_bytes", "since_s")

    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        self.since_s = 0.0
        self.received_bytes = 0

    def verdict(
        self, phase: Phase, now_s: float, limits: ListenerLimits, *, head_begun: bool, all_sent: bool
    ) -> Verdict:
        """Judge a connection that is not blocked by a slow reader."""
        if phase in _WITH_RATE:
            allowed_s = limits.body_timeout_s + self.received_bytes / limits.min_rate_bytes_per_s
            return Verdict.SLOW_BODY if now_s - self.since_s > allowed_s else Verdict.WAIT
        if now_s <= self.deadline_s:
            return Verdict.WAIT
        if phase is Phase.HEAD and head_begun:
            return Verdict.SLOW_HEAD
        return Verdict.IDLE if phase is Phase.HEAD and all_sent else Verdict.STUCK
