"""What a window of measured seconds says, and which seconds say nothing (F36)."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest

from proxy.core.units import NS_PER_MS
from proxy.metrics.histogram import index
from proxy.tuner.service_time import fit_with_prior
from proxy.tuner.windows import TuningSecond, Unusable, between, unusable, window_from
from tests.unit.tuner.tuning_cast import NOW, seconds


def test_a_window_adds_up_and_reads_quantiles_of_the_merged_histograms():
    fast, slow = index(1 * NS_PER_MS), index(100 * NS_PER_MS)
    one = TuningSecond(1.0, requests=99, cache_hits=49, cache_misses=50, mean_ms=1.0, histogram={fast: 99}, instances=2)
    other = TuningSecond(2.0, requests=1, rejections=10, errors=5, mean_ms=100.0, histogram={slow: 1}, instances=1)
    window = window_from([one, other])
    assert (window.requests, window.cache_hits, window.rejections, window.errors) == (100, 49, 10, 5)
    assert window.p50_ms == pytest.approx(1.0, rel=0.02)
    assert window.p99_ms == pytest.approx(1.0, rel=0.02)
    assert window.mean_ms == pytest.approx(1.99)
    assert window.hit_ratio == 49 / 99 or window.hit_ratio == pytest.approx(49 / 99)
    assert window.lost_ratio == pytest.approx(15 / 115)
    assert window.throughput_per_s == 50
    assert window.arrivals_per_s == 57.5
    assert window.instances == 1.5


def test_who_shared_an_execution_is_no_load_of_the_model_and_no_look_up():
    told = [
        TuningSecond(float(at), requests=100, cache_hits=20, cache_misses=30, coalesced=50, inferences=30)
        for at in range(10)
    ]
    window = window_from(told)
    assert window.hit_ratio == pytest.approx(0.4)
    assert window.executed == 300
    assert window.rows_per_request == pytest.approx(1.0)
    assert window.model_arrivals_per_s == pytest.approx(30)
    assert window.crowded_per_s == pytest.approx(30)


def test_what_was_not_measured_is_none():
    window = window_from([TuningSecond(1.0)])
    assert window.p99_ms is window.mean_ms is window.hit_ratio is window.line is None
    assert window.rows_per_execution is window.half_empty_ratio(32) is None
    assert window_from([]) is None
    assert set(window.figures().values()) >= {None, 0}


def test_half_empty_batches_are_told_by_their_power_of_two():
    window = window_from([TuningSecond(1.0, rows_by_bits={0: 1, 4: 2, 5: 1})])
    assert window.half_empty_ratio(32) == 0.75
    assert window.half_empty_ratio(16) == 0.25


@pytest.mark.parametrize("value", [nan, inf, -1, 1e12])
@pytest.mark.parametrize("name", ["requests", "queue_depth", "busy_ratio", "mean_ms", "instances"])
def test_f36_an_absurd_number_makes_seconds_unusable_and_no_window(name, value):
    bad = seconds(40)
    bad[20] = replace(bad[20], **{name: value})
    assert unusable(bad, NOW)[0] is Unusable.ABSURD
    assert window_from(bad) is None


def test_f36_missing_old_and_future_seconds_are_unusable():
    assert unusable([], NOW)[0] is Unusable.MISSING
    assert unusable(seconds(5), NOW + 16)[0] is Unusable.STALE
    assert unusable(seconds(5), NOW - 3)[0] is Unusable.ABSURD
    assert unusable(seconds(5, until=nan), NOW)[0] is Unusable.ABSURD
    assert unusable(seconds(5), NOW + 1) is None


def test_between_takes_what_ended_within():
    assert [one.at_unix_s for one in between(seconds(5), NOW - 2, NOW)] == [NOW - 1, NOW]


def test_the_line_is_found_from_batches_that_differ_by_a_tenth_of_a_row():
    line = window_from(seconds(30, alpha_ms=4.0, beta_ms=1.0)).line
    assert line.alpha_s == pytest.approx(0.004, rel=0.1)
    assert line.beta_s == pytest.approx(0.001, rel=0.2)


def test_where_all_batches_are_alike_half_of_the_time_is_taken_for_the_rows():
    line = fit_with_prior([(10.0, 32.0, 0.064)] * 30)
    assert line.of(32) == pytest.approx(0.064)
    assert line.of(64) == pytest.approx(0.096)
    assert fit_with_prior([]) is None


def test_a_slope_that_is_surely_nothing_is_nothing():
    points = [(100.0, 8.0 + number % 5, 0.02 + 1e-6 * (number % 3)) for number in range(30)]
    assert fit_with_prior(points).beta_s < 1e-5
