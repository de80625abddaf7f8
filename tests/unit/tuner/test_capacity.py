"""How many instances for a rate and a latency, and how far to trust the answer."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest

from proxy.tuner.capacity import MOST_LOAD, capacity, fit_from
from proxy.tuner.knobs import Settings
from proxy.tuner.windows import TuningSecond, window_from
from tests.unit.tuner.tuning_cast import seconds

SETTINGS = Settings(instances=2, max_batch_rows=16)


def fit(**keywords):
    return fit_from(window_from(seconds(30, **keywords)), SETTINGS)


def test_more_load_needs_more_instances_and_a_looser_target_fewer():
    counts = [capacity(fit(), rate, 0.0).instances for rate in (10, 1_000, 5_000)]
    assert counts == sorted(counts)
    assert counts[0] == 1 < counts[-1]
    tight, loose = capacity(fit(), 1_000, 40.0), capacity(fit(), 1_000, 400.0)
    assert tight.instances >= loose.instances


def test_the_answer_is_within_the_target_and_one_fewer_is_not():
    found = capacity(fit(), 2_000, 60.0)
    assert found.predicted_ms[99] <= 60.0
    assert found.limited_by in ("target", "load")
    assert f"{found.instances} for 2000 requests/s" in found.words
    assert "With" in found.words


def test_a_latency_below_one_execution_has_no_answer():
    found = capacity(fit(), 100, 0.5)
    assert found.instances is None
    assert found.limited_by == "service time"
    assert "·rows ms" in found.words


def test_the_present_load_is_predicted_beside_what_was_measured():
    present = capacity(fit(rows=1.1), 100, 0.0).present
    assert present["measured_p99_ms"] > 0
    expected = (present["predicted_p99_ms"] - present["measured_p99_ms"]) / present["measured_p99_ms"]
    assert present["error_ratio_p99"] == pytest.approx(expected)
    assert present["predicted_utilisation"] == pytest.approx(present["measured_utilisation"], rel=0.3)


def test_predictions_are_scaled_by_their_present_error():
    one = fit()
    assert capacity(one, one.load.arrivals_per_s, 0.0).predicted_ms[99] > 0
    found = fit(ms=20.0)
    assert found.factor(99) == pytest.approx(2 * one.factor(99), rel=0.1)


def test_without_a_fit_the_words_say_what_is_missing():
    assert fit_from(window_from([TuningSecond(1.0, instances=1)]), SETTINGS) is None
    assert fit_from(None, SETTINGS) is None
    found = capacity(None, 100, 50.0)
    assert found.instances is None
    assert found.limited_by == "fit"
    assert found.assumptions == ()


@pytest.mark.parametrize(("rate", "target"), [(0, 10), (-1, 10), (nan, 10), (100, nan), (100, -1)])
def test_an_impossible_question_is_told_so(rate, target):
    assert capacity(fit(), rate, target).limited_by == "question"


def test_a_load_beyond_all_counts_has_no_answer():
    found = capacity(fit(), 1e7, 0.0)
    assert found.instances is None
    assert found.limited_by == "load"


def test_more_than_the_policy_allows_is_said():
    found = capacity(fit(), 20_000, 0.0, max_instances=2)
    assert found.instances > 2
    assert "The policy allows 2." in found.words


def test_a_load_near_full_batches_is_not_promised():
    one = fit()
    found = capacity(one, 1_000, 0.0)
    assert found.utilisation <= 1
    line = one.line
    carried = found.instances * 16 / line.of(16)
    assert 1_000 * one.load.rows_per_request / carried <= MOST_LOAD


def test_hits_are_counted_on():
    cached = [replace(one, cache_hits=one.requests // 2, inferences=one.requests // 2) for one in seconds(30)]
    found = fit_from(window_from(cached), SETTINGS)
    assert found.load.hit_ratio == pytest.approx(0.5, abs=0.01)
    assert any("50%" in words or "49%" in words for words in capacity(found, 100, 0.0).assumptions)
