"""What each knob proposes, and what it says when it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.core.policies import Knob, Objective
from proxy.core.reports import CurvePoint, OrderEstimate
from proxy.core.units import BYTES_PER_MIB
from proxy.tuner.knobs import Bounds, Settings
from proxy.tuner.objective import Goal
from proxy.tuner.tuning_estimates import on_curve
from proxy.tuner.tuning_proposals import propose
from proxy.tuner.tuning_view import MOST_SETTLE_S, SETTLE_S, Aim, Why
from proxy.tuner.windows import between, window_from
from tests.unit.tuner.tuning_cast import NOW, cache_report, seconds, view

COST = Goal(Objective.LOWEST_COST, 99, 60.0)


def asked(knob, a_view):
    """({to value: proposal}, words) of one knob."""
    window = window_from(between(a_view.seconds, NOW - 30, NOW))
    found, told = propose(a_view, window)
    return {one.to_value: one for one in found if one.knob is knob}, told[knob]


# -- cache size


def test_a_cache_grows_while_the_next_step_saves_more_model_time_than_it_costs():
    grows = cache_report(saved=(50.0, 150.0, 260.0), hits=(0.1, 0.3, 0.5))
    found, words = asked(Knob.CACHE_SIZE, view(cache=grows))
    assert set(found) == {128}
    proposal = found[128]
    assert proposal.aim is Aim.BETTER
    assert "the next 64 MiB save 110 ms of model time a second" in proposal.words
    costly = view(cache=grows, goal=Goal(Objective.HIGHEST_THROUGHPUT))
    assert "their memory counts for 62 ms" in asked(Knob.CACHE_SIZE, costly)[0][128].words
    assert proposal.expectation.metric == "hits_ratio"
    assert "64 MiB → 128 MiB" in words


def test_for_the_latency_a_cache_grows_though_the_model_time_alone_would_not_pay_for_it():
    told = seconds(per_s=200, cache_hits=80, cache_misses=120, inferences=120, executions=60)
    grows = cache_report(saved=(10.0, 30.0, 60.0), hits=(0.2, 0.4, 0.6))
    found, _ = asked(Knob.CACHE_SIZE, view(cache=grows, seconds=told))
    assert found[128].gain_ratio > 0.03
    assert "the next 64 MiB save 30 ms of model time a second" in found[128].words
    assert "the mean from" in found[128].words


def test_a_cache_in_which_nothing_hits_goes_to_its_lowest_bound_at_once():
    useless = cache_report(saved=(0.0, 0.0, 0.0), hits=(0.0, 0.0, 0.0))
    found, words = asked(Knob.CACHE_SIZE, view(cache=useless, bounds=Bounds(cache_max_mib=(4, 512))))
    assert max(found.values(), key=lambda one: one.gain_ratio).to_value == 4
    assert set(found) == {4, 32}
    assert "64 MiB → 4 MiB" in words


def test_a_cache_shrinks_where_half_of_it_saves_less_than_it_costs():
    idle = cache_report(saved=(140.0, 150.0, 152.0), hits=(0.29, 0.3, 0.31))
    found, _ = asked(Knob.CACHE_SIZE, view(cache=idle))
    assert set(found) == {32}
    assert found[32].aim is Aim.CHEAPER
    assert found[32].why is Why.CACHE_IDLE
    assert found[32].settle_s == SETTLE_S


def test_a_cache_that_is_not_full_does_not_grow():
    found, _ = asked(Knob.CACHE_SIZE, view(cache=cache_report(full=False, saved=(50.0, 150.0, 400.0))))
    assert 128 not in found


@pytest.mark.parametrize(
    ("cache", "words"),
    [
        (None, "no cache"),
        (cache_report(state="bypassed"), "bypassed"),
        (cache_report(curve=()), "Too few look-ups"),
    ],
)
def test_without_a_curve_or_a_cache_in_use_nothing_is_proposed(cache, words):
    for knob in (Knob.CACHE_SIZE, Knob.CACHE_POLICY):
        found, told = asked(knob, view(cache=cache))
        assert not found
        assert words in told


def test_a_larger_cache_is_waited_for_until_it_has_filled():
    grows = cache_report(saved=(50.0, 150.0, 400.0), hits=(0.1, 0.3, 0.6), entries=64)  # 1 MiB each, 200 a second
    found, _ = asked(Knob.CACHE_SIZE, view(cache=grows))
    assert found[128].settle_s == SETTLE_S
    slow = replace(grows, entries=64_000)
    found, _ = asked(Knob.CACHE_SIZE, view(cache=slow))
    assert found[128].settle_s == MOST_SETTLE_S


def test_the_curve_is_straight_between_its_points_and_ends_with_them():
    curve = (CurvePoint(64 * BYTES_PER_MIB, 0.2, 100.0), CurvePoint(128 * BYTES_PER_MIB, 0.4, 150.0))
    assert on_curve(curve, 32).hit_ratio == pytest.approx(0.1)
    assert on_curve(curve, 96).saved_ms_per_s == pytest.approx(125.0)
    assert on_curve(curve, 129) is None
    assert on_curve((), 1) is None


# -- eviction


def orders(**saved):
    """Ghost caches that hit 10 % for each 100 ms/s that they save."""
    return tuple(OrderEstimate(name, ms / 1_000, ms) for name, ms in saved.items())


def repeated(**changes):
    """A model of whose requests some are hits."""
    told = seconds(per_s=200, cache_hits=60, cache_misses=140, inferences=140, executions=70)
    return view(seconds=told, **changes)


def test_an_order_that_ghost_caches_find_better_is_tried_with_their_figures_in_words():
    compared = cache_report(orders=orders(lru=370.0, s3_fifo=460.0, sieve=380.0, w_tinylfu=360.0))
    found, words = asked(Knob.CACHE_POLICY, repeated(cache=compared))
    assert set(found) == {"s3_fifo", "sieve"}
    best = max(found.values(), key=lambda one: one.gain_ratio)
    assert best.to_value == "s3_fifo"
    assert "S3-FIFO would have hit 46% where LRU hit 37%" in best.words
    assert "saved 460 ms of model time a second instead of 370" in best.words
    assert best.expectation.after - best.expectation.before == pytest.approx(0.09)
    assert "LRU would hit 37%" in words and "S3-FIFO" in words


def test_an_order_that_hits_less_but_saves_more_model_time_is_worth_a_trial():
    compared = cache_report(orders=(*orders(lru=200.0), OrderEstimate("saved_per_byte", 0.15, 300.0)))
    found, _ = asked(Knob.CACHE_POLICY, repeated(cache=compared))
    assert found["saved_per_byte"].gain_ratio > 0.03
    assert found["saved_per_byte"].expectation.after < found["saved_per_byte"].expectation.before


@pytest.mark.parametrize(
    ("cache", "words"),
    [
        (cache_report(), "Too few look-ups yet"),
        (cache_report(full=False, orders=orders(lru=100.0, sieve=200.0)), "hardly anything is thrown out"),
        (cache_report(orders=orders(lru=200.0, sieve=100.0)), "most of all"),
    ],
)
def test_no_order_is_tried_where_none_is_known_to_be_better(cache, words):
    found, told = asked(Knob.CACHE_POLICY, view(cache=cache))
    assert not found
    assert words in told


# -- batches


def loaded(**changes):
    """Batches of up to 4 rows that are full."""
    told = seconds(per_s=700, rows=3.9, alpha_ms=8.0, beta_ms=0.5)
    return view(seconds=told, settings=Settings(instances=2, max_batch_rows=4), **changes)


def test_full_batches_ask_for_larger_ones_with_the_line_in_words():
    found, _ = asked(Knob.BATCH_ROWS, loaded())
    best = max(found.values(), key=lambda one: one.gain_ratio)
    assert best.to_value == 8
    assert best.why is Why.BATCHES_FULL
    assert "service time fits" in best.words and "·rows ms" in best.words and "100% of the batches" in best.words


def test_a_bound_that_no_batch_reaches_promises_nothing():
    found, words = asked(Knob.BATCH_ROWS, view())
    assert all(abs(one.gain_ratio) < 0.03 for one in found.values())
    assert "100% of the batches are at most half full" in words


def test_at_the_limit_throughput_is_expected_from_the_line():
    told = seconds(per_s=400, rows=4.0, alpha_ms=19.9, beta_ms=0.1, rejections=300)
    goal = Goal(Objective.HIGHEST_THROUGHPUT)
    full = view(seconds=told, settings=Settings(instances=2, max_batch_rows=4), goal=goal)
    found, _ = asked(Knob.BATCH_ROWS, full)
    assert found[8].gain_ratio > 0.1
    assert found[8].expectation.metric == "capacity_per_s"
    assert found[8].expectation.after < 1.99 * found[8].expectation.before


# -- instances


def test_cost_asks_for_fewer_instances_while_the_target_is_expected_to_hold():
    calm = view(goal=COST, instance_rule=None, bounds=Bounds(instances=(1, 4)), seconds=seconds(rows=1.1, per_s=50))
    found, _ = asked(Knob.INSTANCES, calm)
    assert set(found) == {1}
    assert found[1].why is Why.TARGET_HELD
    assert found[1].expectation.metric == "instances"


def test_cost_asks_for_more_where_the_target_is_missed():
    told = seconds(rows=1.1, per_s=300, ms=40.0)
    missed = view(goal=COST, instance_rule=None, bounds=Bounds(instances=(1, 4)), seconds=told)
    found, _ = asked(Knob.INSTANCES, missed)
    assert set(found) == {3}
    assert found[3].why is Why.TARGET_MISSED


# -- placement, delay, limit


def test_instances_that_are_alike_leave_placement_alone():
    found, words = asked(Knob.PLACEMENT, view(instance_service_ms=(5.0, 5.5)))
    assert not found
    assert "all are alike" in words
    assert asked(Knob.PLACEMENT, view(instance_service_ms=(5.0,)))[0] == {}
    known = view(instance_service_ms=(5.0, 15.0), settings=Settings(instances=2, placement="least_response_time"))
    assert asked(Knob.PLACEMENT, known)[0] == {}


def test_company_is_waited_for_where_the_next_request_is_expected_soon_enough():
    told = seconds(per_s=300, rows=2.0, alpha_ms=12.0, beta_ms=0.5, instances=3)
    found, _ = asked(Knob.QUEUE_DELAY, view(seconds=told))
    assert set(found) == {10}  # 12 - 0.5 ms, and not above: several may be waited for
    assert found[10].why is Why.COMPANY_PAYS
    assert "batches leave half empty" in found[10].words
    rare, words = asked(Knob.QUEUE_DELAY, view(seconds=seconds(per_s=20, alpha_ms=12.0)))
    assert not rare
    assert "would not pay" in words


def test_a_delay_that_does_not_pay_any_more_is_taken_back():
    a_view = view(seconds=seconds(per_s=20), settings=Settings(instances=2, max_queue_delay_ms=5.0))
    found, _ = asked(Knob.QUEUE_DELAY, a_view)
    assert found[0].why is Why.WAITING_DOES_NOT_PAY
    assert found[0].aim is Aim.CHEAPER


def test_overload_asks_for_a_limit_that_fills_all_batches_twice():
    told = seconds(per_s=200, rejections=50, queue_mean_ms=900.0, compute_mean_ms=20.0, busy_ratio=1.0, ms=900.0)
    found, _ = asked(Knob.CONCURRENCY, view(seconds=told))
    assert set(found) == {128}
    assert found[128].why is Why.QUEUE_TOO_LONG
    limited = view(seconds=told, settings=Settings(instances=2, concurrency_limit=128))
    assert asked(Knob.CONCURRENCY, limited)[0] == {}


def test_a_limit_that_refuses_while_instances_idle_is_loosened():
    told = seconds(per_s=200, rejections=20, busy_ratio=0.5)
    found, _ = asked(Knob.CONCURRENCY, view(seconds=told, settings=Settings(instances=2, concurrency_limit=8)))
    assert set(found) == {16}
    assert found[16].why is Why.LIMIT_REFUSES


def test_nothing_is_expected_where_nothing_was_executed():
    told = seconds(executions=0, inferences=0)
    _, words = asked(Knob.BATCH_ROWS, view(seconds=told))
    assert "Nothing was executed" in words
