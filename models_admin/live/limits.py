"""Bounds of the live sockets: how many there may be, and how much each may say. Pure but for its own counters."""

from __future__ import annotations

from collections import Counter

# A person has a few tabs; more is a fault or an attack. Larger: more memory and more work each second.
MAX_SOCKETS_PER_USER = 32
MAX_SOCKETS = 1_000
# The longest message that pages send is 20 bytes.
MAX_MESSAGE_BYTES = 1_024
# Pages send a message when a tab is hidden or shown, and after a gap.
MESSAGES_BURST = 20
MESSAGES_PER_S = 2.0


class Places:
    """Counts open sockets by user."""

    def __init__(self) -> None:
        self._by_user: Counter[int] = Counter()

    def take(self, user_id: int) -> bool:
        """True if the user may open one more; each True is given back by `leave`."""
        if self._by_user.total() >= MAX_SOCKETS or self._by_user[user_id] >= MAX_SOCKETS_PER_USER:
            return False
        self._by_user[user_id] += 1
        return True

    def leave(self, user_id: int) -> None:
        """Give a place back."""
        self._by_user[user_id] -= 1
        if self._by_user[user_id] <= 0:
            del self._by_user[user_id]


class Allowance:
    """Token bucket of one socket's messages."""

    def __init__(self, now_s: float) -> None:
        self._tokens = float(MESSAGES_BURST)
        self._at_s = now_s

    def spend(self, now_s: float) -> bool:
        """True if one more message is within the rate."""
        self._tokens = min(MESSAGES_BURST, self._tokens + (now_s - self._at_s) * MESSAGES_PER_S)
        self._at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
