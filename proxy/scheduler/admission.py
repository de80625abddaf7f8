"""Decides whether a request may wait at all. Pure.

Place: after the cache, before the queue. A refusal must be cheap and come with a time to return.
Rules: with an instance idle and nobody waiting, a request is always admitted, so that a wrong prediction heals.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.core.errors import Reason

# The part of a prediction that is added as a margin. Smaller: fewer accepted requests miss their deadline, more are
# refused that would just have met it. At 8, none of those accepted at twice the peak was late
# (tests/simulation/test_overload.py, 2026-11); without a margin 0.3 % were.
MARGIN_DIVISOR = 8


@dataclass(frozen=True, slots=True)
class Reject:
    """Refused: why, and after how long the queue is expected to have room."""

    reason: Reason
    retry_after_ns: int


def predict_wait_ns(rows_ahead: int, max_rows: int, full_ns: int, residual_ns: int, ready: int) -> int:
    """Time until a request behind `rows_ahead` begins to run, all instances being busy now.

    (rows ahead × time of a full batch / rows of a full batch + what the running ones still need) / instances.
    """
    return (rows_ahead * full_ns // max_rows + residual_ns) // max(ready, 1)


def admit(depth: int, max_requests: int, wait_ns: int, service_ns: int, deadline_ns: int, now_ns: int) -> Reject | None:
    """None: admitted. Reject(QUEUE_FULL): `depth` is at the bound.

    Reject(PREDICTED_LATE): now + wait + service, and an eighth more, lies beyond the deadline; a prediction of 0
    (nothing measured yet) refuses nobody.
    """
    if depth >= max_requests:
        return Reject(Reason.QUEUE_FULL, wait_ns)
    finish_ns = wait_ns + service_ns
    finish_ns += finish_ns // MARGIN_DIVISOR
    if finish_ns and now_ns + finish_ns > deadline_ns:
        return Reject(Reason.PREDICTED_LATE, wait_ns)
    return None
