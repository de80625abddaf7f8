"""When the execution of a newcomer begins: the formula beside instances that take one full batch after the other."""

from __future__ import annotations

import heapq

from hypothesis import given
from hypothesis import strategies as st

from proxy.scheduler.forecast import free_in_ns, remaining_ns, start_in_ns
from proxy.scheduler.latency_model import LatencyModel

FREE = st.lists(st.integers(0, 500), min_size=1, max_size=6)


@given(FREE, st.integers(0, 60), st.integers(1, 100))
def test_it_begins_when_so_many_full_batches_have_begun_before_it(free_ns, ahead, full_ns):
    given_ns, at_ns = list(free_ns), sorted(free_ns)
    for _ in range(ahead):
        heapq.heapreplace(at_ns, at_ns[0] + full_ns)
    assert start_in_ns(free_ns, ahead, full_ns) == at_ns[0]
    assert free_ns == given_ns, "whoever asks may ask again"


@given(FREE, st.integers(0, 60))
def test_where_nothing_was_measured_nothing_is_ahead(free_ns, ahead):
    assert start_in_ns(free_ns, ahead, 0) == min(free_ns)


@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(1, 32)), max_size=6), st.integers(0, 6), st.booleans())
def test_each_ready_instance_is_free_when_what_it_runs_ends_an_idle_one_now_unless_it_is_passed_over(
    running, ready, is_blocked
):
    pace = LatencyModel()
    pace.alpha_ns, pace.beta_ns = 200, 10
    found = free_in_ns(running, ready, pace, 1_000, is_blocked=is_blocked)
    ends = sorted(abs(began_ns + 200 + 10 * rows - 1_000) for began_ns, rows in running)
    if len(running) >= ready > 0:
        assert sorted(found) == ends[-ready:]
    elif is_blocked or not ready:
        assert sorted(found) == (ends or [0])
    else:
        assert sorted(found) == [0] * (ready - len(running)) + ends


def test_what_is_overdue_is_expected_to_need_as_long_again():
    assert [remaining_ns(0, 100, now_ns) for now_ns in (0, 90, 100, 110, 900)] == [100, 10, 0, 10, 800]
