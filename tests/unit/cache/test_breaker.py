"""When a failing service is left alone, and when it is taken up again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.breaker import FIRST_PAUSE_NS, LONGEST_PAUSE_NS, MOST_FAILURES, TRIALS, Breaker, BreakerState


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(MOST_FAILURES):
        breaker.failed("timeout", 0)
    return breaker


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not():
    breaker = Breaker()
    for _ in range(10):
        for _ in range(MOST_FAILURES - 1):
            breaker.failed("timeout", 0)
        breaker.worked()
    assert breaker.state is BreakerState.CLOSED
    assert opened().state is BreakerState.OPEN
    assert opened().message == "timeout"


def test_it_is_tried_after_a_pause_and_closed_by_good_trials_in_a_row():
    breaker = opened()
    assert not breaker.may_try(FIRST_PAUSE_NS - 1)
    assert breaker.may_try(FIRST_PAUSE_NS)
    assert breaker.state is BreakerState.HALF_OPEN
    for _ in range(TRIALS):
        assert breaker.state is BreakerState.HALF_OPEN
        breaker.worked()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.message == ""
    assert not breaker.may_try(FIRST_PAUSE_NS)


def test_each_trial_in_vain_doubles_the_pause_up_to_its_bound():
    breaker, now_ns, pauses = opened(), 0, []
    for _ in range(8):
        began = now_ns
        while not breaker.may_try(now_ns):
            now_ns += FIRST_PAUSE_NS
        pauses.append(now_ns - began)
        breaker.failed("refused", now_ns)
    assert pauses[:3] == [FIRST_PAUSE_NS, 2 * FIRST_PAUSE_NS, 4 * FIRST_PAUSE_NS]
    assert pauses[-1] == LONGEST_PAUSE_NS


def test_late_ends_of_uses_from_before_change_nothing_while_it_is_open():
    breaker = opened()
    breaker.worked()
    breaker.failed("late", 0)
    assert (breaker.state, breaker.message) == (BreakerState.OPEN, "timeout")


@given(
    st.lists(st.tuples(st.sampled_from(["worked", "failed", "try"]), st.integers(0, 3 * FIRST_PAUSE_NS)), max_size=80)
)
def test_it_never_closes_without_trials_and_never_stays_open_for_longer_than_the_longest_pause(steps):
    breaker, now_ns, good = Breaker(), 0, 0
    for step, passed_ns in steps:
        now_ns += passed_ns
        before = breaker.state
        if step == "worked":
            breaker.worked()
            good += before is BreakerState.HALF_OPEN
        elif step == "failed":
            breaker.failed("x", now_ns)
            good = 0
        else:
            breaker.may_try(now_ns)
        if before is not BreakerState.CLOSED and breaker.state is BreakerState.CLOSED:
            assert good >= TRIALS
            good = 0
    if breaker.state is BreakerState.OPEN:
        assert breaker.may_try(now_ns + LONGEST_PAUSE_NS)
