"""What each signal asks for: batches that shrink, waits that decide, trends that are looked ahead of."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from proxy.core.policies import ScalingPolicy
from proxy.core.units import NS_PER_MS
from proxy.tuner.proposals import expected_arrivals_per_s, propose
from proxy.tuner.service_time import ServiceTime
from proxy.tuner.signals import MeasuredSecond, ScalingSignals, signals_from

POLICY = ScalingPolicy(target_utilisation_ratio=0.7, target_queue_wait_ns=50 * NS_PER_MS)
CALM = ScalingSignals(0.3, 0.3, 30.0, 0.01, 0.0, 1, 1.0)


def demand(signals, policy=POLICY, **options):
    return propose(signals, policy, **options).demand


def test_a_load_within_the_target_still_asks_for_more_if_it_would_wait_too_long():
    slow = replace(CALM, arrivals_per_s=1.3, service_s=0.5)  # 0.65 busy: one at 65 % waits 0.93 s
    assert demand(slow).count == 3
    assert demand(slow, replace(POLICY, target_queue_wait_ns=2_000 * NS_PER_MS)).count == 1


def test_arrivals_in_bursts_ask_for_more_than_even_ones():
    policy = replace(POLICY, target_queue_wait_ns=5 * NS_PER_MS)
    base = replace(CALM, arrivals_per_s=130.0, service_s=0.01)
    assert (
        demand(replace(base, gap_variation=4.0), policy).count > demand(replace(base, gap_variation=0.25), policy).count
    )


def test_more_instances_run_smaller_batches_which_cost_more_a_row():
    line = ServiceTime(0.010, 0.001, 16.0)  # 26 ms for 16 rows: 1.6 ms a row; alone a row takes 11 ms
    batched = replace(
        CALM, arrivals_per_s=1_000.0, service_s=0.0016, execution=line, rows_per_request=1.0, mean_instances=1.0
    )
    at_this_batch = replace(batched, execution=None)
    assert demand(batched).count > demand(at_this_batch).count


def test_a_rising_trend_is_carried_on_over_the_load_time_and_a_falling_one_is_not():
    rising = replace(CALM, arrivals_per_s=100.0, trend_per_s2=5.0)
    assert expected_arrivals_per_s(rising, 4.0) == 120
    assert expected_arrivals_per_s(rising, 100.0) == 200, "a trend at most doubles"
    assert expected_arrivals_per_s(rising, None) == 100
    assert expected_arrivals_per_s(replace(rising, trend_per_s2=-5.0), 4.0) == 100
    assert "(120.0 in 4.0 s, when one more would be ready)" in demand(rising, load_s=4.0).words


def test_the_host_s_shares_are_told_and_a_busy_gpu_asks():
    told = replace(CALM, cpu_ratio=0.71, memory_ratio=0.4)
    assert "0.30 busy on average; CPU 71%, memory 40%" in propose(told, POLICY).utilisation.words
    assert propose(replace(told, gpu_ratio=0.9), POLICY).utilisation.count == 2


def test_a_huge_load_is_counted_without_a_long_computation():
    assert demand(replace(CALM, arrivals_per_s=1e7, service_s=3_600.0)).count > 10**10


def second(at, requests, queue_depth=0, executions=0, inferences=0, **other):
    return MeasuredSecond(at, requests, 0, 0, queue_depth, 1, 0.5, executions, inferences, **other)


def test_the_window_s_line_trend_and_variation():
    seconds = [second(100 + s, 50 + 10 * s, executions=10 + s, inferences=100 + 20 * s) for s in range(12)]
    signals = signals_from(seconds, 112)
    assert signals.trend_per_s2 == pytest.approx(10)
    assert signals.execution is not None
    assert signals.rows_per_request == pytest.approx(
        sum(s.inferences for s in seconds) / sum(s.requests for s in seconds)
    )


def test_noise_is_no_trend():
    dice = random.Random(5)
    seconds = [second(100 + s, round(dice.gauss(100, 10))) for s in range(15)]
    signals = signals_from(seconds, 115)
    assert signals.trend_per_s2 == 0
    assert signals.gap_variation == pytest.approx(1, abs=0.8)


def test_a_backlog_that_drains_is_no_arrival():
    seconds = [second(100 + s, 100, queue_depth=1_000 - 50 * s) for s in range(12)]
    assert signals_from(seconds, 112).arrivals_per_s == pytest.approx(100 - 50 * 11 / 12)
    assert signals_from(seconds, 112).trend_per_s2 == pytest.approx(0)


def test_too_few_seconds_or_arrivals_say_nothing_of_trend_and_variation():
    few = signals_from([second(100 + s, 100) for s in range(5)], 105)
    thin = signals_from([second(100 + s, s % 2) for s in range(15)], 115)
    assert (few.trend_per_s2, few.gap_variation) == (thin.trend_per_s2, thin.gap_variation) == (None, None)
