"""Decides what becomes of a batch whose execution gave no outputs, so that the innocent are answered. Pure.

Model raised:   one request → it failed; several → run halves (a poison row is found in log2(n) rounds).
Instance lost:  each request runs once more, alone, for a row that kills its instance must not take the others with it
                a second time; a request that was lost twice failed.
Timed out:      nobody runs again: a hung execution costs a whole watchdog budget each time.
Out of memory:  several requests run in halves, whether the instance survived or not: it is their number, not one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

from proxy.core.batches import BatchFault

T = TypeVar("T")
# Executions lost before a request is given up. Larger: more instances that one bad request can kill.
MAX_LOSSES = 2


class Verdict(StrEnum):
    """What to do with a faulted batch."""

    BISECT = "bisect"
    RETRY_ALONE = "retry_alone"
    RETRY_HALVES = "retry_halves"
    FAIL_MODEL_ERROR = "fail_model_error"
    FAIL_TIMED_OUT = "fail_timed_out"


def judge(fault: BatchFault, requests: int) -> Verdict:
    """The verdict for an execution of `requests`, of which some may be answered already (expired, cancelled).

    How many ran together counts, not how many are left: the one that is left need not be the culprit.
    """
    if fault.timed_out:
        return Verdict.FAIL_TIMED_OUT
    if fault.lost:
        return Verdict.RETRY_HALVES if fault.out_of_memory and requests > 1 else Verdict.RETRY_ALONE
    return Verdict.BISECT if requests > 1 else Verdict.FAIL_MODEL_ERROR


def halves(items: Sequence[T]) -> tuple[list[T], list[T]]:
    """Two parts that differ by at most one, in order; of one item the second part is empty."""
    middle = (len(items) + 1) // 2
    return list(items[:middle]), list(items[middle:])
