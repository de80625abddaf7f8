"""Wanted against actual → actions, as tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.core.policies import ExecutionPolicy, ModelPolicy
from proxy.core.snapshot import ModelSnapshot, RolloutMode, RolloutSnapshot, Snapshot, VersionSnapshot
from proxy.core.tensors import Signature
from proxy.model_manager.lifecycle import LoadState
from proxy.model_manager.version_policy import (
    Actual,
    Load,
    Replace,
    Resize,
    SetLimits,
    Unload,
    Wanted,
    default_route,
    next_actions,
    wanted_versions,
)

EXECUTION = ExecutionPolicy(batch_rows=(1, 2, 4, 8, 16, 32))


def version(number: int, digest: str = "d") -> VersionSnapshot:
    return VersionSnapshot("digits", number, digest, "/artifact", "torchscript", Signature((), ()))


def snapshot(*numbers: int, default: int | None = None, instances: int = 1) -> Snapshot:
    versions = {n: version(n) for n in numbers}
    model = ModelSnapshot("digits", versions, default, instances, ModelPolicy())
    return Snapshot(1, {"digits": model}, {})


def actual(number: int, state: LoadState = LoadState.READY, instances: int = 1) -> tuple[str, Actual]:
    return f"digits/{number}", Actual(version(number), EXECUTION, instances, state)


def decide(wanted: Snapshot, have: dict[str, Actual], serving: dict[str, int]) -> list[object]:
    return list(next_actions(wanted_versions(wanted), have, serving, wanted))


def test_a_wanted_version_that_is_not_there_is_loaded() -> None:
    wanted = snapshot(1, default=1, instances=2)
    assert decide(wanted, {}, {}) == [Load(Wanted(version(1), 2, EXECUTION))]


def test_only_the_default_version_gets_the_decided_count() -> None:
    counts = {key: w.instances for key, w in wanted_versions(snapshot(1, 2, default=2, instances=3)).items()}
    assert counts == {"digits/1": 1, "digits/2": 3}


def test_a_changed_count_resizes() -> None:
    assert decide(snapshot(1, default=1, instances=2), dict([actual(1)]), {"digits": 1}) == [Resize("digits/1", 2)]


def test_nothing_is_done_when_actual_is_wanted() -> None:
    assert decide(snapshot(1, default=1), dict([actual(1)]), {"digits": 1}) == []


def test_the_old_default_stays_until_the_new_one_is_ready() -> None:
    have = dict([actual(1), actual(2, LoadState.LOADING)])
    assert decide(snapshot(2, default=2), have, {"digits": 1}) == []


def test_the_old_default_leaves_once_the_new_one_is_ready() -> None:
    have = dict([actual(1), actual(2)])
    assert decide(snapshot(2, default=2), have, {"digits": 2}) == [Unload("digits/1")]


def test_the_old_default_keeps_serving_when_the_new_one_failed() -> None:
    have = dict([actual(1), actual(2, LoadState.FAILED)])
    assert decide(snapshot(2, default=2), have, {"digits": 1}) == []


def test_an_unwanted_model_is_unloaded_at_once() -> None:
    wanted = Snapshot(2, {}, {})
    assert decide(wanted, dict([actual(1)]), {"digits": 1}) == [Unload("digits/1")]


def test_a_model_switched_off_is_unloaded_although_its_default_is_set() -> None:
    assert decide(snapshot(default=1), dict([actual(1)]), {"digits": 1}) == [Unload("digits/1")]


def test_a_draining_version_is_left_alone_even_when_wanted_again() -> None:
    assert decide(snapshot(1, default=1), dict([actual(1, LoadState.DRAINING)]), {}) == []


@pytest.mark.parametrize(
    "changed",
    [
        Actual(version(1, digest="other"), EXECUTION, 1, LoadState.READY),
        Actual(version(1), replace(EXECUTION, threads=2), 1, LoadState.READY),
    ],
)
def test_changed_bytes_or_limits_replace_the_instances(changed: Actual) -> None:
    assert decide(snapshot(1, default=1), {"digits/1": changed}, {"digits": 1}) == [
        Replace(Wanted(version(1), 1, EXECUTION))
    ]


@pytest.mark.parametrize(
    ("serving", "ready", "expected"),
    [(None, {1}, 1), (2, {2}, 2), (2, {1, 2}, 1), (None, set(), None), (2, set(), None)],
)
def test_the_default_route_prefers_the_wanted_default(serving: int | None, ready: set[int], expected: int) -> None:
    model = snapshot(1, default=1).models["digits"]
    assert default_route(model, serving, frozenset(ready), frozenset(ready)) == expected


@pytest.mark.parametrize(
    ("serving", "ready", "expected"),
    [(2, {1, 2}, 2), (None, {1}, 1), (2, {1}, 1), (1, {1, 2}, 1)],
    ids=["two answers at full strength", "nobody answered", "two no longer answers", "one has the place already"],
)
def test_an_incomplete_default_takes_over_from_nobody_that_answers(
    serving: int | None, ready: set[int], expected: int
) -> None:
    model = snapshot(1, default=1).models["digits"]
    assert default_route(model, serving, frozenset(ready), frozenset({2})) == expected


def test_a_version_kept_loaded_that_stands_in_for_the_new_default_is_not_made_smaller() -> None:
    have = dict([actual(1, instances=4), actual(2, LoadState.LOADING, instances=4)])
    wanted = snapshot(1, 2, default=2, instances=4)
    assert decide(wanted, have, {"digits": 1}) == []
    have |= dict([actual(2, instances=4)])
    assert decide(wanted, have, {"digits": 2}) == [Resize("digits/1", 1)]


def test_limits_of_time_are_changed_without_new_processes() -> None:
    old = Actual(version(1), replace(EXECUTION, timeout_ns=1, load_timeout_ns=2), 1, LoadState.READY)
    assert decide(snapshot(1, default=1), {"digits/1": old}, {"digits": 1}) == [
        SetLimits(Wanted(version(1), 1, EXECUTION))
    ]


def test_versions_kept_warm_stand_as_strong_as_the_default_and_a_candidate_as_its_rollout_says() -> None:
    versions = {n: version(n) for n in (1, 2, 3, 4)}
    rollout = RolloutSnapshot(7, 3, RolloutMode.CANARY, 5.0, instances=2)
    model = ModelSnapshot("digits", versions, 2, 3, ModelPolicy(), rollout=rollout, warm=frozenset({1}))
    counts = {key: w.instances for key, w in wanted_versions(Snapshot(1, {"digits": model}, {})).items()}
    assert counts == {"digits/1": 3, "digits/2": 3, "digits/3": 2, "digits/4": 1}


def test_nobody_stands_in_for_a_default_that_is_to_sleep() -> None:
    assert decide(
        snapshot(2, default=2, instances=0), dict([actual(1), actual(2, LoadState.ASLEEP, 0)]), {"digits": 1}
    ) == [Unload("digits/1")]


def test_a_woken_model_has_one_instance_until_more_are_wanted_and_an_evicted_version_none() -> None:
    asleep = snapshot(1, default=1, instances=0)
    assert wanted_versions(asleep)["digits/1"].instances == 0
    assert wanted_versions(asleep, awake={"digits"})["digits/1"].instances == 1
    awake = snapshot(1, default=1, instances=3)
    assert wanted_versions(awake, awake={"digits"})["digits/1"].instances == 3
    assert wanted_versions(awake, evicted={"digits/1"})["digits/1"].instances == 0
