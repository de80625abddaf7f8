"""Decides whether inputs are surely what ended an instance, or the version dies whatever it is given. Pure.

An instance that crashes says nothing about why. What tells is what became of others: each suspect of a crash runs once
more, alone, which is a *trial* of its inputs, on an instance that is proven (it has answered others) if there is one.
Inputs are the culprit if they ended two instances, the second one alone and proven, and the version answered others
between the two, and of the others that were on trial lately nearly all were answered. Where that is not so (a bad
deploy, a driver in trouble, one of two devices broken), the same inputs may be tried again: back-off and the retry
budget bound what that costs.
Rules: what was decided lately is looked at again when other inputs end an instance, for they may show that it was the
version all along; how often the same inputs crash counts once.
"""

from __future__ import annotations

from collections import deque

from proxy.core.units import NS_PER_S

# How long a trial counts. Larger: a version in trouble is remembered for longer, and so is one that was well.
TRIAL_NS = 60 * NS_PER_S
# Trials that are remembered. Larger: more memory (some 100 bytes each).
MOST_TRIALS = 256
# Others that may die on trial, of those that are answered right. Larger: an unlucky one is refused; smaller: several
# culprits at once shield each other.
OTHERS_DIE_RATIO = 0.1


def is_culprit(answered_between: int, others_right: int, others_died: int) -> bool:
    """True if inputs that ended two instances, the second one alone, are to blame for it.

    Args:
        answered_between: executions that the version answered between the two losses; 0 where the instance that was
            lost last had never answered anything.
        others_right: trials of other inputs that were answered lately.
        others_died: other inputs that ended instances alone lately.
    """
    return answered_between > 0 and others_died <= OTHERS_DIE_RATIO * others_right


class Trials:
    """How the requests fared that ran alone since they may have ended an instance."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=MOST_TRIALS)  # when, and whose digest if it died

    def right(self, now_ns: int) -> None:
        """One was answered."""
        self._kept.append((now_ns, b""))

    def died(self, digest: bytes, now_ns: int) -> None:
        """The inputs of this digest ended an instance alone."""
        self._kept.append((now_ns, digest))

    def of_others(self, digest: bytes, now_ns: int) -> tuple[int, int]:
        """Trials lately that were answered, and how many other inputs died."""
        while self._kept and now_ns - self._kept[0][0] >= TRIAL_NS:
            self._kept.popleft()
        right = sum(not died for _, died in self._kept)
        return right, len({died for _, died in self._kept if died} - {digest})
