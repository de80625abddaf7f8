"""Whom an idle instance waits for, by numbers."""

from __future__ import annotations

import pytest

from proxy.core.units import NS_PER_MS
from proxy.scheduler.batching import CALLERS_BACK, DEADLINE_NEAR, DELAY_OVER, FULL, WaitUntil, await_callers
from proxy.scheduler.callers import LONGEST_WAIT_NS, Callers

ALPHA_NS = 4 * NS_PER_MS


def test_those_just_answered_are_expected_until_they_came_or_the_window_ends() -> None:
    callers = Callers()
    callers.answered(3, ALPHA_NS, 0)
    assert callers.expected(0) == 3
    callers.came(1)
    assert callers.expected(1) == 2
    assert callers.expected(LONGEST_WAIT_NS) == 0


def test_two_executions_within_a_window_are_expected_together() -> None:
    callers = Callers()
    callers.answered(3, ALPHA_NS, 0)
    callers.answered(2, ALPHA_NS, NS_PER_MS)
    assert callers.expected(NS_PER_MS) == 5
    assert callers.until_ns == NS_PER_MS + LONGEST_WAIT_NS


def test_an_execution_that_costs_little_is_not_waited_for() -> None:
    callers = Callers()
    callers.answered(64, NS_PER_MS, 0)
    assert callers.expected(0) == 0


def test_callers_that_do_not_come_back_are_given_up_and_taken_up_again() -> None:
    callers, now_ns = Callers(), 0
    for _ in range(10):
        callers.answered(4, ALPHA_NS, now_ns)
        now_ns += 2 * LONGEST_WAIT_NS
    assert callers.return_ratio < 0.5
    assert callers.expected(now_ns) == 0
    for _ in range(10):
        callers.answered(4, ALPHA_NS, now_ns)
        for _ in range(4):
            callers.came(now_ns + 1)
        now_ns += 2 * LONGEST_WAIT_NS
    callers.answered(4, ALPHA_NS, now_ns)
    assert callers.expected(now_ns) == 4


@pytest.mark.parametrize(
    ("rows", "expected", "until_ns", "deadline_ns", "decision"),
    [
        (32, 5, 100, 1_000, FULL),
        (3, 0, 100, 1_000, CALLERS_BACK),
        (3, 5, 10, 1_000, DELAY_OVER),
        (3, 5, 100, 60, DEADLINE_NEAR),
        (3, 5, 100, 1_000, WaitUntil(100)),
        (3, 5, 100, 120, WaitUntil(70)),
    ],
)
def test_a_batch_waits_for_callers_but_never_into_a_deadline(rows, expected, until_ns, deadline_ns, decision) -> None:
    assert await_callers(rows, expected, until_ns, deadline_ns, service_ns=50, max_rows=32, now_ns=10) == decision
