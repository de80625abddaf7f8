"""How many requests a second a key may send: a bucket of tokens for each key that has a limit. Pure: time is given.

Place: asked by the pipeline when the caller is known and before the body is read, on both ports, so that a key that
floods costs a head each time and never a body.
Rules: bursts of two seconds' worth; what is refused costs no token, so that a caller who comes back when told is
served; those refused together are told different times; a changed limit holds at once.
Source: the generic cell rate algorithm (ITU-T I.371, annex A), which needs one number a key: the moment at which its
bucket would be full again.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.core.errors import QuotaExceeded, Reason
from proxy.core.hints import spread_hint_ns
from proxy.core.principals import Principal
from proxy.core.units import NS_PER_S

# Tokens that a rested key may spend at once, in seconds of its rate. Larger: longer bursts pass.
BURST_S = 2
# Keys that are remembered before those with full buckets are forgotten. Larger: about 150 bytes each.
MAX_KEPT = 10_000


class Quotas:
    """What each limited key has spent. `draw` gives a number from [0, 1), for the spread of hints."""

    __slots__ = ("_draw", "_full_at_ns")

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._full_at_ns: dict[str, int] = {}

    def spend(self, principal: Principal, now_ns: int) -> None:
        """One request of a caller with a limit. Raises QuotaExceeded with a time after which one more may come."""
        per_s, key = principal.requests_per_s, principal.principal_id
        interval_ns = NS_PER_S // per_s
        full_ns = max(self._full_at_ns.get(key, 0), now_ns) + interval_ns
        early_ns = full_ns - now_ns - BURST_S * NS_PER_S
        if early_ns > 0:
            words = f"This key may send {per_s} requests a second, and bursts of {BURST_S * per_s}. Retry later."
            raise QuotaExceeded(Reason.QUOTA, words, spread_hint_ns(early_ns, self._draw()))
        if len(self._full_at_ns) >= MAX_KEPT and key not in self._full_at_ns:
            self._forget_rested(now_ns)
        self._full_at_ns[key] = full_ns

    def _forget_rested(self, now_ns: int) -> None:
        self._full_at_ns = {key: at_ns for key, at_ns in self._full_at_ns.items() if at_ns > now_ns}
