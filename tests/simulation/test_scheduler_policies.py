"""What docs/scheduling.md says of the policies, on a clock that stands still (`bench/simulate` prints the figures)."""

from __future__ import annotations

import pytest

from proxy.core.policies import BatchingPolicy, Placement
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.testing import scenarios
from proxy.testing.scenarios import FIXED, ROWS, TRACES

pytestmark = pytest.mark.slow


def sound(outcome):
    assert outcome.unanswered == 0
    assert outcome.wrong == 0
    return outcome


@pytest.mark.parametrize("load", [0.4, 0.8])
@pytest.mark.parametrize("placement", list(Placement))
def test_of_equal_instances_none_gets_a_tenth_more_than_its_share(placement, load):
    outcome = sound(scenarios.placed(placement, (1.0,) * 4, load=load, seconds=0.5))
    assert max(outcome.shares) <= 1.1 / 4


@pytest.mark.parametrize("load", [0.4, 0.8])
@pytest.mark.parametrize("fast", [1, 3, 7])
def test_an_instance_slowed_five_times_gets_less_than_a_quarter_of_its_share_under_least_response_time(fast, load):
    outcome = sound(
        scenarios.placed(Placement.LEAST_RESPONSE_TIME, (5.0, *[1.0] * fast), load=load, seconds=4.0 / (1 + fast))
    )
    assert outcome.shares[0] < 0.25 / (1 + fast)
    assert outcome.success_ratio() == 1.0


def test_least_response_time_keeps_the_slow_instances_requests_from_the_tail():
    slowness = (5.0, 1.0, 1.0, 1.0)
    aware = scenarios.placed(Placement.LEAST_RESPONSE_TIME, slowness, load=0.6, seconds=0.5)
    blind = scenarios.placed(Placement.LEAST_OUTSTANDING, slowness, load=0.6, seconds=0.5)
    assert aware.quantile_ms(0.99) < 0.5 * blind.quantile_ms(0.99)


def test_at_the_limit_least_response_time_uses_the_slow_instance_too():
    """Else a slow instance would cost capacity just when all of it is needed."""
    outcome = sound(scenarios.placed(Placement.LEAST_RESPONSE_TIME, (5.0, 1.0), load=1.5))
    assert outcome.in_time > 0.95 * ROWS.peak_per_s(32, 1.2)


@pytest.mark.parametrize(("cost", "max_rows"), [(FIXED, 32), (ROWS, 8)])
def test_f29_a_key_at_half_of_its_share_does_not_notice_one_at_twenty_times_its_own(cost, max_rows):
    alone = sound(scenarios.two_tenants(is_fair=True, noisy=0, cost=cost, max_rows=max_rows, seconds=0.5))
    beside = sound(scenarios.two_tenants(is_fair=True, cost=cost, max_rows=max_rows, seconds=0.5))
    assert beside.success_ratio("quiet") == 1.0
    assert beside.quantile_ms(0.99, "quiet") <= 1.2 * alone.quantile_ms(0.99, "quiet")
    assert beside.in_time > 0.95 * 0.5 * cost.peak_per_s(max_rows, 2)  # and nothing is left unused
    first_come = sound(scenarios.two_tenants(is_fair=False, cost=cost, max_rows=max_rows, seconds=0.5))
    assert first_come.success_ratio("quiet") < 0.5


def test_f29_where_rows_take_the_time_a_quiet_key_waits_for_one_full_batch_more_at_most():
    alone = scenarios.two_tenants(is_fair=True, noisy=0, cost=ROWS, seconds=0.5)
    beside = sound(scenarios.two_tenants(is_fair=True, cost=ROWS, seconds=0.5))
    assert beside.success_ratio("quiet") == 1.0
    full_ms = (ROWS.fixed_ns + 32 * ROWS.row_ns) * (1 + ROWS.noise) / NS_PER_MS
    assert beside.quantile_ms(0.99, "quiet") <= alone.quantile_ms(0.99, "quiet") + full_ms


def test_f29_with_smaller_executions_while_keys_contend_the_quiet_key_does_not_notice_the_other():
    alone = scenarios.two_tenants(is_fair=True, noisy=0, cost=ROWS, contended_rows=13, seconds=0.5)
    beside = sound(scenarios.two_tenants(is_fair=True, cost=ROWS, contended_rows=13, seconds=0.5))
    assert beside.success_ratio("quiet") == 1.0
    assert beside.quantile_ms(0.99, "quiet") <= 1.2 * alone.quantile_ms(0.99, "quiet")
    # What it costs is what the line says of executions of 13 rows instead of 32, and no more.
    assert beside.in_time / beside.seconds > 0.95 * ROWS.peak_per_s(13, 2)
    assert alone.rows_an_execution < 13  # and alone, nobody contends: nothing is held back
    flood = scenarios.two_tenants(is_fair=True, cost=ROWS, contended_rows=13, seconds=0.5, quiet=0.0)
    assert flood.in_time / flood.seconds > 0.95 * ROWS.peak_per_s(32, 2)


def test_a_bound_for_contended_executions_would_take_from_a_key_that_the_machine_can_serve():
    """Why it is no default (docs/decisions/0035)."""
    plain = sound(scenarios.two_tenants(is_fair=True, noisy=0.5, cost=ROWS, seconds=0.5))
    assert plain.success_ratio("quiet") == plain.success_ratio("noisy") == 1.0
    bound = sound(scenarios.two_tenants(is_fair=True, noisy=0.5, cost=ROWS, contended_rows=13, seconds=0.5))
    assert bound.quantile_ms(0.99, "noisy") > 5 * plain.quantile_ms(0.99, "noisy")


def test_ageing_lets_a_low_priority_through_and_strict_priority_does_not():
    strict = sound(scenarios.priorities(0))
    ageing = sound(scenarios.priorities(20 * NS_PER_MS))
    assert ageing.quantile_ms(0.99, "low") < 0.5 * strict.quantile_ms(0.99, "low")
    assert ageing.quantile_ms(0.99, "high") < 1.5 * strict.quantile_ms(0.99, "high")


@pytest.mark.parametrize("trace", list(TRACES))
def test_batches_fill_under_load_and_cost_a_quiet_model_nothing(trace):
    for load in (0.05, 0.6):
        plain = sound(scenarios.batched(BatchingPolicy(32), trace, load=load, seconds=0.5))
        delayed = sound(scenarios.batched(BatchingPolicy(32, 5 * NS_PER_MS), trace, load=load, seconds=0.5))
        assert plain.success_ratio() == delayed.success_ratio() == 1.0
        assert delayed.rows_an_execution > 0.98 * plain.rows_an_execution
        assert delayed.quantile_ms(0.5) < 1.1 * plain.quantile_ms(0.5)


@pytest.mark.parametrize("timeout_ms", [20, 100])
def test_f27_ten_times_the_peak_costs_no_goodput_and_leaves_no_tail(timeout_ms):
    during, after = scenarios.overloaded(10, timeout_ns=timeout_ms * NS_PER_MS)
    assert during.in_time / during.seconds >= 0.95 * ROWS.peak_per_s(32, 2)
    assert during.refused("deadline_exceeded") <= 0.01 * during.answered()
    assert sound(after).success_ratio() > 0.99
    assert all(0 < hint_ns <= 60 * NS_PER_S for hint_ns in during.retry_after_ns)
    assert len({-(-hint_ns // NS_PER_S) for hint_ns in during.retry_after_ns}) > 1  # not all in the same second


def test_the_adaptive_limit_shortens_waits_under_overload_and_refuses_bursts_that_a_queue_would_take():
    """Why it is off unless asked for: docs/decisions/0023."""
    during, _ = scenarios.overloaded(2, adaptive=True)
    without, _ = scenarios.overloaded(2)
    assert during.in_time > 0.98 * without.in_time
    assert during.quantile_ms(0.99) < 0.5 * without.quantile_ms(0.99)
    refusing, taking = (sound(scenarios.crowded(adaptive=adaptive)) for adaptive in (True, False))
    assert taking.success_ratio() == 1.0
    assert refusing.success_ratio() < 0.95


@pytest.mark.parametrize("honours_hints", [False, True])
def test_f28_clients_that_come_back_three_times_cost_no_goodput(honours_hints):
    outcome = sound(scenarios.storm(honours_hints=honours_hints))
    without = sound(scenarios.storm(honours_hints=None))
    assert without.attempts == sum(without.offered.values())
    assert outcome.attempts > 1.5 * without.attempts, "a storm, compared with the same trace without"
    assert outcome.in_time > 0.98 * without.in_time
    assert outcome.in_time > 0.95 * ROWS.peak_per_s(32, 2)
    if honours_hints:
        assert outcome.success_ratio() > 0.95


def test_f11_clients_that_leave_take_their_work_with_them_and_the_rest_is_served_as_before():
    before = sound(scenarios.left_alone(do_leave=False))
    after = sound(scenarios.left_alone(do_leave=True))
    assert after.answered("stay") >= 0.95 * before.answered("stay")
    left = after.errors["gone", "cancelled"]
    assert left > 1_000
    assert after.rows < after.answered() + left // 2  # most of those who left were never run


def test_f34_policies_that_change_all_the_time_lose_nothing():
    outcome = sound(scenarios.switching())
    assert outcome.answered() == sum(outcome.offered.values())
    assert outcome.lane is not None
    assert outcome.lane.splits > 10


def test_the_same_seed_gives_the_same_run():
    runs = [scenarios.placed(Placement.POWER_OF_TWO_CHOICES, (1.0, 2.0, 1.0), load=0.7, seconds=0.2) for _ in range(2)]
    assert runs[0].latencies_ns == runs[1].latencies_ns
    assert runs[0].executions == runs[1].executions
