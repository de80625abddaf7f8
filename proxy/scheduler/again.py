"""What is to run again of executions that failed: harmless parts at once, suspects when their instance can be spared.

A *suspect* was in an execution in which its instance crashed, and may be what ended it. It runs alone, and only while
another ready instance runs no suspect: whatever it does, somebody goes on serving. Where all the instances that are
wanted are there and that is one, it goes when nothing else waits. A suspect waits like this for at most half of the
time that it had left: most suspects are innocent, and to be answered late is as bad as not at all.
Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from proxy.scheduler.entries import RETRYING, Entry


def may_run(ready: int, wanted: int, suspects_running: int, *, others_wait: bool) -> bool:
    """True if a suspect may be given one of `ready` instances now. Pure."""
    if ready - suspects_running > 1:
        return True
    return ready >= wanted and not suspects_running and not others_wait


class Again:
    """The repetitions of one lane, all of them entries in the state RETRYING unless they have ended."""

    __slots__ = ("_parts", "_suspects", "suspects_running")

    def __init__(self) -> None:
        self._parts: deque[list[Entry]] = deque()
        self._suspects: deque[Entry] = deque()
        self.suspects_running = 0

    def __bool__(self) -> bool:
        return bool(self._parts or self._suspects)

    def put_first(self, parts: Sequence[list[Entry]]) -> None:
        """Let `parts` run next, in this order."""
        self._parts.extendleft(reversed(parts))

    def suspect(self, entries: Sequence[Entry], now_ns: int) -> None:
        """Let each of `entries` run alone, once it may: who has the least time first."""
        for entry in entries:
            entry.suspect_until_ns = max(now_ns + (entry.deadline_ns - now_ns) // 2, 1)
        self._suspects = deque(sorted((*self._suspects, *entries), key=lambda entry: entry.suspect_until_ns))

    def next(self, ready: int, wanted: int, now_ns: int, *, others_wait: bool) -> list[Entry] | None:
        """What one of `ready` instances runs now (maybe nothing: all have ended), or None: what is left must wait."""
        if self._parts:
            return [entry for entry in self._parts.popleft() if entry.state is RETRYING]
        suspects = self._suspects
        while suspects and suspects[0].state is not RETRYING:
            suspects.popleft()
        if not suspects:
            return None
        is_due = suspects[0].suspect_until_ns <= now_ns
        if is_due or may_run(ready, wanted, self.suspects_running, others_wait=others_wait):
            return [suspects.popleft()]
        return None

    def due_ns(self) -> int:
        """When the first suspect runs whatever the others do; 0: there is none."""
        return self._suspects[0].suspect_until_ns if self._suspects else 0

    def entries(self) -> list[Entry]:
        """Everything that has not ended, in the order in which it runs."""
        left = [entry for part in self._parts for entry in part if entry.state is RETRYING]
        return left + [entry for entry in self._suspects if entry.state is RETRYING]

    def drain(self) -> list[Entry]:
        """Remove and return everything that has not ended."""
        left = self.entries()
        self._parts.clear()
        self._suspects.clear()
        return left
