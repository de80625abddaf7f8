"""What was tried is not tried again soon at such a load."""

from __future__ import annotations

import json

import pytest

from proxy.core.policies import Knob
from proxy.tuner.tried import (
    INCONCLUSIVE_REST_S,
    MOST_KEPT,
    REST_S,
    Circumstances,
    Outcome,
    Tried,
    from_json,
    load_bucket,
    remember,
    rests_until_unix_s,
    to_json,
)

AT = 1_000.0
UNDONE = Tried(Knob.BATCH_ROWS, 32, 64, Outcome.UNDONE, 8, AT, "lowest_latency", 0.4, 0.4)
NOW = Circumstances(8, "lowest_latency", 0.42)


def rests(tried, *step, now=NOW, knob=Knob.BATCH_ROWS):
    return rests_until_unix_s(tried, knob, *(step or (32, 64)), now)


def test_what_did_not_help_rests_and_twice_as_long_each_time():
    assert rests([UNDONE]) == AT + REST_S
    assert rests([UNDONE, UNDONE]) == AT + 2 * REST_S
    assert rests([]) == 0


def test_what_could_not_be_concluded_rests_for_a_little():
    assert rests([Tried(Knob.BATCH_ROWS, 32, 64, Outcome.INCONCLUSIVE, 8, AT, "lowest_latency")]) == (
        AT + INCONCLUSIVE_REST_S
    )


def test_the_way_back_from_what_was_kept_rests():
    kept = Tried(Knob.BATCH_ROWS, 32, 64, Outcome.KEPT, 8, AT, "lowest_latency")
    assert rests([kept], 64, 32) == AT + REST_S
    assert rests([kept], 64, 128) == 0


def test_numbers_the_same_way_are_alike_and_names_are_not():
    assert rests([UNDONE], 32, 48) > 0
    assert rests([UNDONE], 32, 16) == 0
    order = Tried(Knob.CACHE_POLICY, "lru", "sieve", Outcome.UNDONE, 8, AT, "lowest_latency")
    assert rests([order], "lru", "s3_fifo", knob=Knob.CACHE_POLICY) == 0


@pytest.mark.parametrize(
    ("now", "is_alike"),
    [
        (Circumstances(7, "lowest_latency", 0.4), True),
        (Circumstances(10, "lowest_latency", 0.4), False),
        (Circumstances(8, "lowest_cost", 0.4), False),
        (Circumstances(8, "lowest_latency", 0.6), False),
        (Circumstances(8, "lowest_latency", None), True),
    ],
)
def test_another_load_objective_or_mix_is_another_matter(now, is_alike):
    assert (rests([UNDONE], now=now) > 0) is is_alike


def test_loads_are_alike_on_a_logarithmic_scale():
    assert [load_bucket(rate) for rate in (0, 1, 200, 260, 400, float("inf"))] == [0, 0, 8, 8, 9, 0]


def test_memory_survives_json_and_leaves_out_what_is_not_its_own():
    kept = json.loads(json.dumps(to_json([UNDONE])))
    assert from_json([*kept, None, 3, {"knob": "nothing"}, {}]) == (UNDONE,)


def test_the_oldest_are_forgotten():
    tried = ()
    for number in range(MOST_KEPT + 5):
        tried = remember(tried, Tried(Knob.BATCH_ROWS, 1, 2, Outcome.KEPT, 1, float(number)))
    assert len(tried) == MOST_KEPT
    assert tried[-1].at_unix_s == MOST_KEPT + 4
