"""Knobs, values, metrics, trials and evidence in words and coordinates."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import translation
from django.utils.translation import gettext

from models_admin.dashboard import evidence
from models_admin.dashboard.evidence import Span, evidence_chart, spans
from models_admin.dashboard.knobs import bounds_in_words, knob_label, metric_in_words, metric_label, value_in_words
from models_admin.dashboard.tuning_metrics import of_second, of_window
from models_admin.dashboard.tuning_state import decision_words, objective_in_words, rests_until, trial_view
from models_admin.models import Decision, Policy, TuningState
from proxy.core.policies import Knob
from proxy.core.words import say
from proxy.tuner.knobs import Bounds
from tests.architecture.sources import ROOT

APPLIED = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("knob", "value", "words"),
    [
        ("cache_max_mib", "1024", "1,024 MiB"),
        ("cache_eviction", "w_tinylfu", "W-TinyLFU"),
        ("cache_eviction", "of another release", "of another release"),
        ("max_queue_delay_ms", "0.5", "0.5 ms"),
        ("concurrency_limit", "0", "no limit"),
        ("concurrency_limit", "32", "32 requests"),
        ("instances", "3", "3"),
        ("default_version", "2", "2"),
        ("padded_batch_rows", "2, 8", "2, 8"),
        ("cache_enabled", "True", "on"),
        ("max_batch_rows", "many…", "many…"),
    ],
)
def test_values_of_decisions_in_words(knob: str, value: str, words: str) -> None:
    assert value_in_words(knob, value) == words


def test_knobs_have_the_names_of_the_policys_page() -> None:
    assert knob_label("instances") == "Instances"
    assert knob_label("max_batch_rows") == "Largest batch"
    assert knob_label("default_version") == "Default version"


@pytest.mark.parametrize(
    ("knob", "words"),
    [
        (Knob.BATCH_ROWS, "1 to 4,096 rows"),
        (Knob.QUEUE_DELAY, "0 to 1,000 ms"),
        (Knob.INSTANCES, "1 to 2"),
        (Knob.CONCURRENCY, "none, or up to 100,000 requests"),
        (Knob.PLACEMENT, "any of 5"),
        (Knob.CACHE_POLICY, "any of 5"),
    ],
)
def test_bounds_in_words(knob: Knob, words: str) -> None:
    assert bounds_in_words(knob, Bounds()) == words


@pytest.mark.parametrize(
    ("metric", "value", "words"),
    [
        ("p99_ms", 31.4, "31 ms"),
        ("hits_ratio", 0.42, "42%"),
        ("cache_mib", 2, "2.0 MiB"),
        ("throughput_per_s", 1234.5, "1,234/s"),
        ("instances", 2.0, "2"),
        ("p99_ms", None, "–"),
        ("p99_ms", "31", "–"),
        ("p99_ms", True, "–"),
    ],
)
def test_metrics_in_words(metric: str, value: Any, words: str) -> None:
    assert metric_in_words(metric, value) == words


def trial(settle_s: Any = 5.0) -> TuningState:
    decision = Decision(
        knob="cache_max_mib",
        from_value="64",
        to_value="128",
        applied_at=APPLIED,
        predicted={"proposal": {"settle_s": settle_s}, "metric": "p99_ms"},
    )
    return TuningState(trial=decision)


@pytest.mark.parametrize(
    ("age_s", "phase", "words"),
    [
        (-3.0, "settling", "5 seconds until it is measured."),
        (1.0, "settling", "4 seconds until it is measured."),
        (4.9, "settling", "1 second until it is measured."),
        (5.0, "measuring", "30 seconds left to measure."),
        (34.2, "measuring", "1 second left to measure."),
        (35.0, "waiting", "Measured; the verdict comes with the next look."),
    ],
)
def test_a_trials_progress(age_s: float, phase: str, words: str) -> None:
    view = trial_view(trial(), APPLIED + timedelta(seconds=age_s))
    assert view is not None
    assert (view.phase, view.words, view.whole_s) == (phase, words, 35.0)
    assert 0 <= view.elapsed_s <= 35
    assert (view.before, view.after) == ("64 MiB", "128 MiB")


@pytest.mark.parametrize(
    ("until_s", "whole_s"), [(95.0, 95.0), (35.0, 35.0), (0.0, 35.0), (9_999.0, 125.0), ("soon", 35.0)]
)
def test_a_trial_that_is_measured_for_longer_says_so(until_s: Any, whole_s: float) -> None:
    state = trial()
    state.look = {"until_unix_s": until_s if isinstance(until_s, str) else APPLIED.timestamp() + until_s}
    view = trial_view(state, APPLIED + timedelta(seconds=34.5))
    assert view is not None
    assert view.whole_s == whole_s


def test_without_a_trial_there_is_no_progress_and_an_absurd_time_to_settle_is_none() -> None:
    assert trial_view(TuningState(), APPLIED) is None
    view = trial_view(trial("soon"), APPLIED)
    assert view is not None
    assert view.whole_s == 30


def test_a_rest_is_told_while_it_lasts() -> None:
    state = TuningState(cooldown_until=APPLIED)
    assert rests_until(state, APPLIED - timedelta(seconds=1)) == APPLIED
    assert rests_until(state, APPLIED) is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Lowest latency"),
        (
            {"objective": "highest_throughput", "latency_target_ms": 25},
            "Highest throughput; target p99 at 25 ms",
        ),
        (
            {"objective": "lowest_cost", "latency_target_ms": 1000, "latency_quantile": 95},
            "Lowest cost that holds p95 at 1,000 ms",
        ),
    ],
)
def test_objectives_in_words(fields: dict[str, Any], words: str) -> None:
    assert objective_in_words(Policy(**fields)) == words


BEFORE, AFTER = Span(-30.0, 0.0, 20.0), Span(5.0, 35.0, 10.0)


def test_points_lie_where_they_were_measured() -> None:
    chart = evidence_chart([(-30.0, 20.0), (-29.0, 20.0), (35.0, 0.0)], BEFORE, AFTER, None, "p99_ms")
    assert chart is not None
    top = evidence.BOTTOM - (evidence.BOTTOM - evidence.TOP) / evidence.HEADROOM
    assert chart.path == f"M8.0,{round(top, 1)}L13.0,{round(top, 1)}M332.0,104.0"
    assert [level.kind for level in chart.levels] == ["before", "after"]
    assert (chart.seconds_before, chart.seconds_after, chart.has_line) == (30, 35, True)


def test_what_was_measured_outside_of_the_windows_is_not_drawn() -> None:
    chart = evidence_chart([(-31.0, 500.0), (36.0, 500.0)], BEFORE, AFTER, 15.0, "p99_ms")
    assert chart is not None
    assert (chart.path, chart.has_line) == ("", False)
    assert [level.words for level in chart.levels] == ["20 ms", "15 ms", "10 ms"]


def test_nothing_measured_is_no_chart_and_nothing_but_zeros_is_one() -> None:
    empty = Span(-30.0, 0.0, None)
    assert evidence_chart([], empty, Span(5.0, 35.0, None), 15.0, "p99_ms") is None
    assert evidence_chart([(-1.0, 0.0)], empty, Span(5.0, 35.0, 0.0), None, "p99_ms") is not None


def test_windows_are_where_they_were_measured_else_where_they_will_be() -> None:
    predicted = {"metric": "p99_ms", "proposal": {"settle_s": 5.0}}
    measured = {"before": {"p99_ms": 20.0, "start_unix_s": 969.5, "length_s": 30}, "after": "damaged"}
    before, after = spans(predicted, measured, 1_000.0, 30.0)
    assert before == Span(-30.5, -0.5, 20.0)
    assert after == Span(5.0, 35.0, None)
    assert spans({}, {}, 1_000.0, 30.0) == (Span(-30.0, 0.0, None), Span(0.0, 30.0, None))


SECOND = {
    "requests": 90,
    "errors": 4,
    "rejections": 6,
    "cache_hits": 30,
    "cache_misses": 90,
    "busy_ratio": 0.5,
    "cache_bytes": 3 * 2**20,
    "instances": 2,
    "p99_ms": 7.5,
}
WINDOW = {"hit_ratio": 0.25, "throughput_per_s": 90.0, "busy_ratio": 0.5, "lost_ratio": 0.1, "cache_bytes": 3 * 2**20}


@pytest.mark.parametrize(
    ("metric", "value"),
    [("hits_ratio", 0.25), ("capacity_per_s", 180.0), ("lost_ratio", 0.1), ("cache_mib", 3.0), ("p99_ms", 7.5)],
)
def test_each_metric_of_an_expectation_is_read_alike_from_a_second_and_from_a_window(metric: str, value: float) -> None:
    assert of_second(metric, SECOND) == pytest.approx(value)
    assert of_window(metric, {**WINDOW, "instances": 2, "p99_ms": 7.5}) == pytest.approx(value)


def test_what_is_not_known_is_none() -> None:
    nothing = {**SECOND, "cache_hits": 0, "cache_misses": 0, "p99_ms": None}
    assert of_second("hits_ratio", nothing) is None
    assert of_second("p99_ms", nothing) is None
    assert of_window("p99_ms", None) is None
    assert of_window("capacity_per_s", {"throughput_per_s": 5.0}) is None
    assert of_window("unheard of", WINDOW) is None


def test_every_metric_that_the_tuner_expects_something_of_has_a_name_and_a_reading() -> None:
    source = "".join(path.read_text() for path in (ROOT / "proxy/tuner").glob("tuning_proposals*.py"))
    named = set(re.findall(r'Expectation\("([a-z_0-9]+)"', source))
    assert named >= {"hits_ratio", "capacity_per_s", "instances"}
    for metric in named:
        assert of_second(metric, SECOND) is not None, metric
        assert metric_label(metric)[0].isupper(), metric


def test_a_reason_is_shown_in_the_readers_language_and_an_older_row_as_it_was_written():
    known = "Repeated inputs are answered from memory."  # any text of the catalogue
    new = Decision(explanation="gone").put(explanation=say("%(capital)s", capital=say(known)) + " 5 % more")
    old = Decision(explanation=f"{known} 5 % more")
    assert new.explanation == old.explanation
    with translation.override("zh-hans"):
        assert decision_words(new, "explanation") == f"{gettext(known)} 5 % more" != new.explanation
        assert decision_words(old, "explanation") == old.explanation
    assert decision_words(new, "explanation") == new.explanation
    assert decision_words(new, "outcome") == ""


def test_the_axis_says_how_far_it_goes_and_a_share_goes_no_further_than_the_whole() -> None:
    chart = evidence_chart([], BEFORE, AFTER, None, "p99_ms")
    shares = evidence_chart([], Span(-30.0, 0.0, 0.9), Span(5.0, 35.0, 0.98), None, "hits_ratio")
    assert chart is not None and shares is not None
    assert (chart.top, shares.top) == ("22 ms", "100%")
