"""Routing while a canary runs: weights are met, sticky keys stay, named versions are never redirected."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import NotFound
from proxy.core.snapshot import ModelSnapshot, RolloutMode, RolloutSnapshot, VersionSnapshot
from proxy.core.tensors import Signature
from proxy.model_manager.routing import RoutingTable, choose_version

VERSIONS = {n: VersionSnapshot("digits", n, "d", "/artifact", "torchscript", Signature((), ())) for n in (1, 2, 3)}
BOTH = RoutingTable({"digits": VERSIONS}, {"digits": 1})
weights = st.floats(0, 100)
stickies = st.binary(min_size=0, max_size=300)


def models(weight: float, *, rollout_id: int = 7, mode: RolloutMode = RolloutMode.CANARY) -> dict[str, ModelSnapshot]:
    rollout = RolloutSnapshot(rollout_id, 2, mode, weight)
    return {"digits": ModelSnapshot("digits", VERSIONS, 1, 1, labels={"fast": 3, "canary": 2}, rollout=rollout)}


def chosen(weight: float, sticky: bytes | None = None, draw: float = 1.0, version: str | None = None) -> int:
    return choose_version(BOTH, models(weight), "digits", version, sticky, draw).number


@given(stickies, weights, weights)
def test_who_met_the_candidate_stays_on_it_as_the_weight_rises(sticky: bytes, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if chosen(low, sticky) == 2:
        assert chosen(high, sticky) == 2


@given(stickies, weights, st.floats(0, 1, exclude_max=True))
def test_a_sticky_key_leaves_nothing_to_the_draw(sticky: bytes, weight: float, draw: float) -> None:
    assert chosen(weight, sticky, draw) == chosen(weight, sticky, 0.0)


@given(weights, st.floats(0, 1, exclude_max=True), stickies | st.none())
def test_a_named_version_or_label_is_never_redirected(weight: float, draw: float, sticky: bytes | None) -> None:
    named = [chosen(weight, sticky, draw, name) for name in ("1", "2", "3", "fast", "stable", "canary")]
    assert named == [1, 2, 3, 3, 1, 2]


@given(stickies | st.none(), st.floats(0, 1, exclude_max=True))
def test_the_whole_weight_is_everyone_and_none_is_no_one(sticky: bytes | None, draw: float) -> None:
    assert chosen(100, sticky, draw) == 2
    assert chosen(0, sticky, draw) == 1


@given(weights, stickies | st.none(), st.floats(0, 1, exclude_max=True))
def test_a_candidate_that_does_not_answer_gets_no_traffic(weight: float, sticky: bytes | None, draw: float) -> None:
    routes = RoutingTable({"digits": {1: VERSIONS[1]}}, {"digits": 1})
    assert choose_version(routes, models(weight), "digits", None, sticky, draw).number == 1


@given(weights, stickies | st.none(), st.floats(0, 1, exclude_max=True))
def test_a_shadow_gets_no_answer_to_give(weight: float, sticky: bytes | None, draw: float) -> None:
    wanted = models(weight, mode=RolloutMode.SHADOW)
    assert choose_version(BOTH, wanted, "digits", None, sticky, draw).number == 1


@pytest.mark.parametrize("weight", [1, 5, 25, 50, 99])
def test_the_share_of_the_candidate_is_the_weight(weight: int) -> None:
    count = 20_000
    # Six standard deviations of a binomial: a right share fails once in 500 million runs, and the seed is fixed.
    slack = 6 * math.sqrt(count * weight / 100 * (1 - weight / 100))
    draws = random.Random(1)
    by_draw = sum(chosen(weight, None, draws.random()) == 2 for _ in range(count))
    by_key = sum(chosen(weight, b"user-%d" % n) == 2 for n in range(count))
    assert abs(by_draw - count * weight / 100) < slack
    assert abs(by_key - count * weight / 100) < slack


def test_another_rollout_draws_its_users_anew() -> None:
    keys = [b"user-%d" % n for n in range(4_000)]
    first, second = (
        {key for key in keys if choose_version(BOTH, models(50, rollout_id=n), "digits", None, key).number == 2}
        for n in (7, 8)
    )
    assert 700 < len(first & second) < 1_300  # independent halves share a quarter


@pytest.mark.parametrize("label", ["gone", "", "Fast", "fast ", "latest", "stable/..", "0"])
def test_an_unknown_label_is_no_version(label: str) -> None:
    with pytest.raises(NotFound):
        chosen(50, None, 0.0, label)


def test_without_a_rollout_canary_is_no_version_unless_someone_set_it() -> None:
    plain = {"digits": ModelSnapshot("digits", VERSIONS, 1, 1)}
    with pytest.raises(NotFound):
        choose_version(BOTH, plain, "digits", "canary")
    assert choose_version(BOTH, plain, "digits", "stable").number == 1


def test_a_label_that_someone_set_means_what_it_was_set_to() -> None:
    moved = {"digits": ModelSnapshot("digits", VERSIONS, 1, 1, labels={"stable": 3})}
    assert choose_version(BOTH, moved, "digits", "stable").number == 3
