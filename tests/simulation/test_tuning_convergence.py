"""Tuning from the defaults comes near the best settings that stay, within its bounds and in few decisions.

Short: `bench/tuning_simulation` runs all scenarios; docs/tuning.md has its table.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.core.policies import Knob, Objective
from proxy.testing.tuning_comparison import static_side, tuned_side
from proxy.testing.tuning_model import Kind
from proxy.testing.tuning_run import Part
from proxy.testing.tuning_scenarios import LATENCY, ONCE, SCENARIOS, Scenario
from proxy.testing.tuning_traces import Mix, Trace
from proxy.tuner.knobs import Bounds, Settings
from proxy.tuner.objective import Goal

pytestmark = pytest.mark.slow


def scenario(part, grid, seconds=480, shifts_s=()):
    return Scenario("short", "", (part,), (grid,), seconds, seconds - 120, ((seconds - 90, seconds - 30),), shifts_s)


def slow_instance():
    """Two instances, one of which is slow; nothing repeats."""
    trace = Trace("slow", lambda _: 90.0, lambda _: ONCE)
    bounds = Bounds(instances=(2, 2), cache_max_mib=(16, 64), max_batch_rows=(1, 64))
    part = Part(Kind(6.0, 1.0, 0.1, (1.0, 2.5)), trace, LATENCY, bounds, Settings(instances=2))
    return scenario(part, {Knob.PLACEMENT: ("least_outstanding", "least_response_time"), Knob.CACHE_SIZE: (16, 64)})


def too_small_batches():
    """More comes than batches of 4 rows carry."""
    trace = Trace("small", lambda _: 150.0, lambda _: ONCE)
    bounds = Bounds(instances=(1, 1), cache_max_mib=(64, 64), max_batch_rows=(1, 64))
    start = Settings(max_batch_rows=4)
    part = Part(Kind(40.0, 2.0, 0.1), trace, Goal(Objective.HIGHEST_THROUGHPUT), bounds, start)
    return scenario(part, {Knob.BATCH_ROWS: (4, 8, 16, 32, 64)})


@pytest.mark.parametrize("make", [slow_instance, too_small_batches])
def test_tuned_comes_within_a_twentieth_of_the_best_that_stays(make):
    one = make()
    tuned, static = tuned_side(one), static_side(one)
    assert tuned.score <= 1.05 * static.best, tuned.log
    assert tuned.score < 0.97 * static.default
    assert tuned.decisions < 20
    assert tuned.outside == 0


def test_a_mix_that_shifts_is_followed():
    """Requests that repeat, then none that do: the cache grows, then goes."""
    popular = Mix(keys=300, skew=0.8, once=0.05, answer_bytes=262_144)
    trace = Trace("short shift", lambda _: 60.0, lambda s: ONCE if s >= 300 else popular)
    bounds = Bounds(instances=(1, 1), cache_max_mib=(1, 128), max_batch_rows=(1, 64), cache_eviction=("lru",))
    part = Part(Kind(12.0, 1.0, 0.1), trace, LATENCY, bounds, Settings(cache_max_mib=16))
    tuned = tuned_side(scenario(part, {}, 720, (300,)))
    words = [text for _, text in tuned.log[0]]
    assert any("16 MiB → 32 MiB" in text for text in words), words
    assert any("cache_max_mib" in text and "Cache" in text for text in words), words
    assert tuned.settings[0].cache_max_mib <= 32
    assert tuned.outside == 0


def test_the_same_seed_gives_the_same_decisions():
    short = replace(slow_instance(), seconds=120, from_s=60)
    assert tuned_side(short) == tuned_side(short)


def test_every_scenario_begins_with_settings_within_its_bounds_and_its_grid_keeps_them():
    for make in SCENARIOS:
        one = make()
        for settings in one.settings():
            for part, value in zip(one.parts, settings, strict=True):
                for knob in Knob:
                    if not (knob is Knob.INSTANCES and part.rule is not None):
                        assert part.bounds.allow(knob, value.of(knob)), (one.name, knob, value)
