"""How instances ended lately, with their last words: kept while the server runs, bounded, for the page of instances."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from proxy.core.instance_reports import ExitReport
from proxy.core.units import NS_PER_S
from proxy.core.words import say
from proxy.instances.instance import Instance
from proxy.instances.log import in_words, newest
from proxy.instances.state import InstanceState

# Ends that are kept, of all versions together. Larger: a longer look back; up to LAST_WORDS_BYTES more memory each.
MAX_EXITS = 100
LAST_WORDS_BYTES = 16_384
LAST_LINES = 200
NO_LONGER_WANTED = say("It was told to end: fewer are wanted, or its version left.")


@dataclass(frozen=True, slots=True)
class _Exit:
    instance_id: str
    at_ns: int
    words: str
    is_planned: bool
    uptime_ns: int
    executions: int
    printed: bytes


class ExitLog:
    """The newest ends. Written on the loop; `reports` may be called from any thread."""

    def __init__(self) -> None:
        self._exits: deque[_Exit] = deque(maxlen=MAX_EXITS)

    def note(self, instance: Instance, now_ns: int, why: str = "") -> None:
        """`instance` has ended; `why` it was told to, where somebody told it."""
        is_planned = instance.state is InstanceState.STOPPED
        words = (why or NO_LONGER_WANTED) if is_planned else instance.message
        printed = newest(instance.printed(), LAST_WORDS_BYTES)
        uptime_ns = now_ns - instance.started_ns
        self._exits.append(
            _Exit(instance.instance_id, now_ns, words, is_planned, uptime_ns, instance.executions, printed)
        )

    def reports(self, now_ns: int, unix_s: float) -> tuple[ExitReport, ...]:
        """The newest first. `now_ns` and `unix_s` are the same moment on both clocks."""
        return tuple(
            ExitReport(
                one.instance_id,
                unix_s - (now_ns - one.at_ns) / NS_PER_S,
                one.words,
                one.is_planned,
                one.uptime_ns / NS_PER_S,
                one.executions,
                in_words(one.printed, LAST_LINES),
            )
            for one in reversed(tuple(self._exits))
        )
