"""What a window is worth under each objective."""

from __future__ import annotations

import pytest

from proxy.core.policies import Knob, Objective
from proxy.tuner.knobs import Settings
from proxy.tuner.objective import Figures, Goal, score, scored
from proxy.tuner.windows import TuningSecond, window_from
from tests.unit.tuner.tuning_cast import seconds

NO_CACHE = Settings(cache_max_mib=0)
FIGURES = Figures(instances=2.0, mean_ms=4.0, quantile_ms=25.0, busy_ratio=0.5, throughput_per_s=100.0)
COST = Goal(Objective.LOWEST_COST, 99, 20.0)


def test_latency_is_tail_and_mean_in_equal_parts():
    assert scored(Goal(), NO_CACHE, FIGURES) == pytest.approx(10.0)


def test_a_cache_costs_the_share_of_an_instance_that_its_memory_is_worth():
    assert scored(Goal(), Settings(cache_max_mib=1_024), FIGURES) == pytest.approx(15.0)


def test_throughput_is_what_could_be_answered_if_busy_all_the_time():
    assert scored(Goal(Objective.HIGHEST_THROUGHPUT), NO_CACHE, FIGURES) == pytest.approx(1 / 200)


def test_cost_is_instances_and_memory_and_four_times_what_the_target_is_missed_by():
    held = Goal(Objective.LOWEST_COST, 99, 25.0)
    assert scored(held, Settings(cache_max_mib=512), FIGURES) == pytest.approx(2.5)
    assert scored(COST, NO_CACHE, FIGURES) == pytest.approx(2 * (1 + 4 * 0.25))


def test_while_another_knob_is_tried_for_the_cost_busy_instances_count():
    held = Goal(Objective.LOWEST_COST, 99, 25.0)
    assert scored(held, NO_CACHE, FIGURES, Knob.CACHE_SIZE) == pytest.approx(1.0)


def test_a_lost_request_is_no_way_to_be_fast():
    lost = Figures(2.0, 4.0, 25.0, 0.5, 100.0, lost_ratio=0.05)
    assert scored(Goal(), NO_CACHE, lost) == pytest.approx(15.0)


def test_a_window_without_answers_or_instances_has_no_score():
    assert score(window_from([TuningSecond(1.0, instances=1)]), NO_CACHE, Goal()) is None
    assert score(window_from(seconds(5, instances=2)), NO_CACHE, Goal()) > 0


def test_the_objective_in_words():
    assert COST.words == "lowest cost that holds p99 at 20 ms"
    assert Goal().words == "lowest latency"
