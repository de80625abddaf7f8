"""Steps and bounds of the knobs."""

from __future__ import annotations

from math import inf, nan

import pytest

from proxy.core.policies import Knob
from proxy.tuner.knobs import Bounds, Settings, delay_near, shown, steps

BOUNDS = Bounds(instances=(1, 3), max_batch_rows=(4, 100), cache_max_mib=(1, 100))


@pytest.mark.parametrize(
    ("knob", "value", "to"),
    [
        (Knob.INSTANCES, 1, (2,)),
        (Knob.INSTANCES, 2, (1, 3)),
        (Knob.INSTANCES, 3, (2,)),
        (Knob.BATCH_ROWS, 32, (16, 64)),
        (Knob.BATCH_ROWS, 64, (32, 100)),
        (Knob.BATCH_ROWS, 100, (50,)),
        (Knob.BATCH_ROWS, 4, (8,)),
        (Knob.CACHE_SIZE, 1, (2,)),
        (Knob.QUEUE_DELAY, 0.0, (0.5,)),
        (Knob.QUEUE_DELAY, 0.5, (0.0, 1.0)),
        (Knob.QUEUE_DELAY, 1_000.0, (500.0,)),
        (Knob.CONCURRENCY, 0, ()),
        (Knob.CONCURRENCY, 64, (32, 128)),
    ],
)
def test_one_step_is_one_more_or_twice_as_much_within_the_bounds(knob, value, to):
    assert steps(knob, value, BOUNDS) == to


def test_names_may_become_any_other_that_is_allowed():
    bounds = Bounds(placement=("random", "round_robin"), cache_eviction=("lru",))
    assert steps(Knob.PLACEMENT, "random", bounds) == ("round_robin",)
    assert steps(Knob.CACHE_POLICY, "lru", bounds) == ()


def test_moving_one_knob_leaves_the_others():
    moved = Settings().moved(Knob.BATCH_ROWS, 64)
    assert moved.max_batch_rows == 64
    assert moved.moved(Knob.BATCH_ROWS, 32) == Settings()


@pytest.mark.parametrize(
    ("knob", "value", "allowed"),
    [
        (Knob.BATCH_ROWS, 100, True),
        (Knob.BATCH_ROWS, 101, False),
        (Knob.BATCH_ROWS, nan, False),
        (Knob.CONCURRENCY, 0, True),
        (Knob.PLACEMENT, "nowhere", False),
        (Knob.CACHE_SIZE, "lru", False),
    ],
)
def test_bounds_allow(knob, value, allowed):
    assert BOUNDS.allow(knob, value) is allowed


@pytest.mark.parametrize(("value", "to"), [(nan, 4), (inf, 4), (1e9, 100), (-5, 4), (31.6, 32)])
def test_whatever_is_asked_for_is_clamped(value, to):
    assert BOUNDS.clamped(Knob.BATCH_ROWS, value) == to


@pytest.mark.parametrize(("wanted", "to"), [(0.1, 0.5), (0.9, 0.5), (1.0, 1), (4.9, 2), (42.0, 20), (99.0, 50)])
def test_delays_are_round(wanted, to):
    assert delay_near(wanted) == to


def test_values_in_words():
    assert shown(Knob.CACHE_SIZE, 64) == "64 MiB"
    assert shown(Knob.CONCURRENCY, 0) == "no limit"
    assert shown(Knob.PLACEMENT, "least_outstanding") == "least outstanding"
