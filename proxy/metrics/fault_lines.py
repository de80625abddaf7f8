"""Which answers of 500 and above get a line in the log. Pure: driven by `now_ns`.

Rule: a few a second of each reason, so that a flood fills no disk and one reason silences no other; the line that
follows says how many had none.
"""

from __future__ import annotations

from proxy.core.errors import ProxyError, Reason
from proxy.metrics.requests import Rate

# Lines of one reason a second, and how many may come at once. Larger: more is named in the log, more of it.
PER_S = 1
BURST = 20


class FaultLines:
    """The lines so far, by reason."""

    def __init__(self) -> None:
        self._rates: dict[Reason, Rate] = {}
        self._unsaid: dict[Reason, int] = {}

    def line(self, request_id: str, key: str, error: ProxyError, now_ns: int) -> str:
        """The line, or nothing. `request_id` is of a safe alphabet (core.request_ids), `key` from the registry."""
        unsaid = self._unsaid_before(error.reason, now_ns)
        if unsaid is None:
            return ""
        more = f"; {unsaid} more of this reason since its last line" if unsaid else ""
        return f"request {request_id} of {key or 'no model'} was answered {error.status} {error.reason}{more}"

    def _unsaid_before(self, reason: Reason, now_ns: int) -> int | None:
        """How many of this reason had no line since the last one that had; None: nor has this one."""
        rate = self._rates.get(reason)
        if rate is None:
            rate = self._rates[reason] = Rate(PER_S, BURST)
        if rate.due_ns > now_ns:
            self._unsaid[reason] = self._unsaid.get(reason, 0) + 1
            return None
        rate.count(now_ns)
        return self._unsaid.pop(reason, 0)
