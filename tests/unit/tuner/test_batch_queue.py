"""Latency and utilisation predicted from a service line."""

from __future__ import annotations

from math import inf, isfinite

import pytest

from proxy.tuner.batch_queue import HIT_MS, Load, Served, predict
from proxy.tuner.service_time import ServiceTime

LINE = ServiceTime(0.005, 0.0005, 2.0)


def predicted(per_s, instances=2, max_rows=32, quantile=0.99, line=LINE, **load):
    return predict(line, Load(per_s, **load), Served(instances, max_rows), quantile)


def test_where_nothing_comes_an_answer_takes_one_execution():
    found = predicted(0.001)
    assert found.mean_ms == pytest.approx(5.5, rel=0.01)
    assert found.rows == pytest.approx(1.0, rel=0.01)
    assert found.utilisation < 0.001


@pytest.mark.parametrize(
    ("per_s", "rows", "busy", "p95_ms", "p99_ms"), [(200, 1.10, 0.50, 9.6, 10.9), (600, 2.17, 0.84, 12.5, 14.0)]
)
def test_predictions_are_within_a_fifth_of_what_the_real_scheduler_does_on_a_standing_clock(
    per_s, rows, busy, p95_ms, p99_ms
):
    """The figures are those of proxy.testing.simulation with two instances, 5 + 0.5·rows ms, batches of up to 32."""
    found = predicted(per_s)
    assert found.rows == pytest.approx(rows, rel=0.2)
    assert found.utilisation == pytest.approx(busy, rel=0.2)
    assert found.quantile_ms == pytest.approx(p99_ms, rel=0.2)
    assert predicted(per_s, quantile=0.95).quantile_ms == pytest.approx(p95_ms, rel=0.2)


def test_latency_rises_with_load_and_falls_with_instances():
    rising = [predicted(rate).quantile_ms for rate in (10, 100, 500, 1_000, 2_000)]
    assert rising == sorted(rising)
    falling = [predicted(500, instances=count).quantile_ms for count in (1, 2, 4, 8)]
    assert falling == sorted(falling, reverse=True)


def test_a_load_that_full_batches_do_not_carry_is_infinite():
    assert predicted(10_000).quantile_ms == inf
    assert predicted(10_000).load_ratio > 1
    assert isfinite(predicted(10_000, instances=8, max_rows=256).quantile_ms)
    assert predicted(1, instances=0).quantile_ms == inf


def test_a_bound_of_batches_that_is_never_reached_changes_nothing():
    small, large = predicted(50, max_rows=16), predicted(50, max_rows=64)
    assert small.quantile_ms == pytest.approx(large.quantile_ms, rel=0.001)


def test_hits_do_not_wait():
    assert predicted(100, hit_ratio=0.995).quantile_ms == HIT_MS
    assert predicted(100, hit_ratio=0.5).mean_ms < predicted(100).mean_ms
    assert predicted(100, hit_ratio=1.0).mean_ms == pytest.approx(HIT_MS)


def test_requests_of_several_rows_fill_batches():
    assert predicted(100, rows_per_request=8.0).rows >= 8
    assert predicted(100, max_rows=4, rows_per_request=8.0).rows == pytest.approx(8)


def test_waiting_for_company_makes_fuller_batches():
    alone = predict(LINE, Load(150), Served(1, 32), 0.99)
    waited = predict(LINE, Load(300), Served(1, 32, 5.0), 0.99)
    assert waited.rows > alone.rows
