"""Faults of the server's own code: how many were met, and which get a line with their trace in the log. Pure.

Rules: a lasting fault is met by every request, so a cause is said when it is met first and then at most once in
`QUIET_NS`, with how many were not said meanwhile; all are counted. A cause is where it was met, its kind and the line
that raised it: never its message, which may hold what a client sent. Only `MOST_CAUSES` are told apart.
"""

from __future__ import annotations

from enum import StrEnum

from proxy.core.units import NS_PER_S

# How long a cause is not said again. Larger: a shorter log, later news of how many there are.
QUIET_NS = 30 * NS_PER_S
# Causes told apart; others count as one. Larger: more memory, and more lines where each request has a cause of its own.
MOST_CAUSES = 64

_Cause = tuple[str, str, str, int]
_OTHERS: _Cause = ("", "", "", 0)


class Place(StrEnum):
    """What was being done, and what became of it: the label of `dlproxy_own_faults_total`."""

    HEAD = "head"  # a request's head was to be answered; it is told
    SCHEDULING = "scheduling"  # a request was to be queued; it is told
    LENDING = "lending"  # a place in the queue was to be lent; the request waits where it was
    FORMING = "forming"  # an execution was to be put together; its requests are told
    HANDING_OVER = "handing_over"  # an instance was to be given an execution; its requests are told
    COUNTING = "counting"  # an execution was to be counted; it is answered
    SORTING = "sorting"  # it was to be decided who of a failed execution runs again; all of it are told
    CUTTING = "cutting"  # a request that ran out of memory was to be cut; it is told
    KEEPING = "keeping"  # another server's answer was to be kept; who waits has it
    ENCODING = "encoding"  # an answer was to be written; another says so
    DELIVERING = "delivering"  # an answer was to be delivered; nobody has it


class OwnFaults:
    """What one process met so far."""

    __slots__ = ("_known", "counts")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._known: dict[_Cause, tuple[int, int]] = {}  # when it is said again, and how many were not said

    def line(self, place: str, words: str, error: BaseException, now_ns: int) -> str:
        """Count one; `words` as the line that the log is to have with the error's trace, or nothing.

        `place` is a Place in the data plane; pages, which no metric counts, have one of their own.
        """
        self.counts[place] = self.counts.get(place, 0) + 1
        cause = _cause_of(place, error)
        if cause not in self._known and len(self._known) >= MOST_CAUSES:
            cause = _OTHERS
        quiet_until_ns, unsaid = self._known.get(cause, (now_ns, 0))
        if now_ns < quiet_until_ns:
            self._known[cause] = (quiet_until_ns, unsaid + 1)
            return ""
        self._known[cause] = (now_ns + QUIET_NS, 0)
        return f"{words} ({unsaid} more like this since the last line)" if unsaid else words


def _cause_of(place: str, error: BaseException) -> _Cause:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return place, type(error).__name__, "", 0
    return place, type(error).__name__, trace.tb_frame.f_code.co_filename, trace.tb_lineno
