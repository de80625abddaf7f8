"""How many executions may be repeated because their instance was lost: a share of the requests, and a little more.

Rules: each request earns `ratio`, each repetition costs 1; `REFILL_PER_S` come with time, so that a quiet model can
repeat, too; the balance never exceeds `MOST`, so that a long calm buys no storm. A ratio of 0 forbids all repetition.
Nothing is done on the way of a request: what was earned is computed when something is to be repeated.
Source: Finagle RetryBudget.scala (token bucket: percentCanRetry, minRetriesPerSec 10); Envoy's retry_budget.
"""

from __future__ import annotations

from proxy.core.units import NS_PER_S

# Finagle's minRetriesPerSec. Larger: more repetition for quiet models while instances die in turn.
REFILL_PER_S = 10
# Two lost batches of the default size, and a reserve. Larger: longer storms.
MOST = 100.0


class RetryBudget:
    """The balance of one lane."""

    __slots__ = ("_at_ns", "_balance", "_requests")

    def __init__(self, now_ns: int) -> None:
        self._balance = MOST
        self._requests = 0
        self._at_ns = now_ns

    def take(self, ratio: float, requests: int, now_ns: int) -> bool:
        """True if one more execution may be repeated; `requests` is how many the lane has had so far."""
        if ratio <= 0:
            return False
        earned = ratio * (requests - self._requests) + REFILL_PER_S * (now_ns - self._at_ns) / NS_PER_S
        self._balance = min(self._balance + earned, MOST)
        self._requests, self._at_ns = requests, now_ns
        if self._balance < 1:
            return False
        self._balance -= 1
        return True
