"""Decides whether a request may wait at all. Pure.

Place: after the cache, before the queue. A refusal must be cheap and come with a time to return.
Rules: with an instance idle and nobody waiting, no prediction refuses a request, so that a wrong one heals; only the
policy's own concurrency limit does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from proxy.core.errors import Reason
from proxy.core.hints import spread_hint_ns
from proxy.scheduler.ports import Chance

# The part of a prediction that is added as a margin. Smaller: fewer accepted requests miss their deadline, more are
# refused that would just have met it. At 8, none of those accepted at twice the peak was late
# (tests/simulation/test_overload.py, 2026-11); without a margin 0.3 % were.
MARGIN_DIVISOR = 8
# Mean errors of the fitted line that the margin holds at least. Larger: as MARGIN_DIVISOR smaller, where executions of
# one size differ. Executions of ±40 % (evenly), four instances, twice the peak, deadlines of three executions: 3.8 % of
# what came was accepted and late without it, 3.4 % at 2, 1.5 % at 3 (tests/simulation/test_short_deadlines.py).
MARGIN_ERRORS = 3


@dataclass(frozen=True, slots=True)
class Reject:
    """Refused: why, and when the queue is expected to have room. `level`: the priority's own bound was met."""

    reason: Reason
    retry_after_ns: int
    level: bool = False


class Bounds(NamedTuple):
    """What waits, and how much may: `requests` in the whole queue, `level_requests` of one priority (bound 0: none).

    `in_lane` wait or run; `limit` is the concurrency limit (0: none).
    A request in parts needs one free place like any other, so that whether it is taken depends on who waits, not on
    its size; `gate.MAX_PARTS` bounds that.
    """

    requests: int
    max_requests: int
    level_requests: int = 0
    max_level_requests: int = 0
    in_lane: int = 0
    limit: int = 0


def admit(
    bounds: Bounds, wait_ns: int, service_ns: int, deadline_ns: int, now_ns: int, error_ns: int = 0
) -> Reject | None:
    """None: admitted. The first rule that fires: QUEUE_FULL, CONCURRENCY_LIMIT, PREDICTED_LATE (`is_late`)."""
    if bounds.requests >= bounds.max_requests:
        return Reject(Reason.QUEUE_FULL, wait_ns)
    if bounds.max_level_requests and bounds.level_requests >= bounds.max_level_requests:
        return Reject(Reason.QUEUE_FULL, wait_ns, level=True)
    if bounds.limit and bounds.in_lane >= bounds.limit:
        return Reject(Reason.CONCURRENCY_LIMIT, wait_ns)
    if is_late(wait_ns, service_ns, deadline_ns, now_ns, error_ns):
        return Reject(Reason.PREDICTED_LATE, wait_ns)
    return None


def is_late(wait_ns: int, service_ns: int, deadline_ns: int, now_ns: int, error_ns: int = 0) -> bool:
    """True if now + wait + service, and their margin, lies beyond the deadline.

    A prediction of 0 (nothing measured yet) is never late.
    """
    finish_ns = wait_ns + service_ns
    return bool(finish_ns) and now_ns + finish_ns + margin_ns(finish_ns, error_ns) > deadline_ns


def margin_ns(predicted_ns: int, error_ns: int) -> int:
    """What is added to a prediction: an eighth of it, and more where executions differ by more (`error_ns`, a mean)."""
    return max(predicted_ns // MARGIN_DIVISOR, MARGIN_ERRORS * error_ns)


def retry_after_ns(drain_ns: int, chance: Chance) -> int:
    """When to come back: no sooner than the predicted drain, spread so that those refused together come apart."""
    return spread_hint_ns(drain_ns, chance.random())
