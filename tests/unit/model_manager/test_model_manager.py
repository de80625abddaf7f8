"""The shell on fake groups and real files: load, switch, replace, fail and unload, nothing detached too early."""

from __future__ import annotations

import asyncio
import errno
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.core.policies import ExecutionPolicy, ModelPolicy
from proxy.instances.state import InstanceState
from proxy.model_manager import movements
from proxy.model_manager.artifacts import ArtifactDamaged, verify
from tests.unit.model_manager.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def test_a_version_answers_once_its_first_instance_is_ready(rig: Rig) -> None:
    rig.want(rig.version(1), default=1)
    assert rig.states() == {1: "checking"}
    await rig.until(lambda: rig.groups)
    assert rig.states() == {1: "loading"}
    assert not rig.manager.routes.defaults
    rig.groups[0].add()
    assert rig.states() == {1: "ready"}
    assert rig.manager.routes.defaults == {"echo": 1}
    assert rig.lanes.attached == {"echo/1": rig.groups[0]}


async def test_how_far_the_first_instance_has_come_is_said(rig: Rig) -> None:
    rig.want(rig.version(1), default=1)
    await rig.until(lambda: rig.groups)
    (group,) = rig.groups
    for stage, said in [
        (InstanceState.LOADING, "loading"),
        (InstanceState.WARMING, "warming"),
        (InstanceState.VERIFYING, "verifying"),
        (InstanceState.STARTING, "loading"),  # it was lost; another starts
        (InstanceState.WARMING, "warming"),
    ]:
        group.stage = stage
        group.on_change(group)
        assert rig.states() == {1: said}
        assert not rig.manager.is_settled() and not rig.manager.routes.defaults
    group.add()
    assert rig.states() == {1: "ready"}
    group.on_change(group)  # a second one warms up beside it
    assert rig.states() == {1: "ready"}


async def test_f19_a_damaged_artifact_is_never_started(rig: Rig) -> None:
    rig.want(rig.version(1, digest="0" * 64), default=1)
    await rig.until(lambda: rig.states() == {1: "failed"})
    assert not rig.groups
    assert "differs" in rig.manager.statistics()[0].message


async def test_the_old_default_answers_until_the_new_one_is_ready_and_then_drains(rig: Rig) -> None:
    old = await rig.ready(rig.version(1), default=1)
    rig.lanes.busy.add("echo/1")
    rig.want(rig.version(2), default=2)
    await rig.until(lambda: len(rig.groups) == 2)
    assert rig.manager.routes.defaults == {"echo": 1}
    rig.groups[1].add()
    assert rig.manager.routes.defaults == {"echo": 2}
    assert rig.states() == {1: "draining", 2: "ready"}
    await asyncio.sleep(0.05)
    assert "echo/1" in rig.lanes.attached
    assert not old.stopped
    rig.lanes.busy.clear()
    await rig.until(lambda: rig.states() == {2: "ready"})
    assert old.stopped
    assert list(rig.lanes.attached) == ["echo/2"]


async def test_f22_a_new_default_that_does_not_start_never_takes_traffic(rig: Rig) -> None:
    await rig.ready(rig.version(1), default=1)
    rig.want(rig.version(2), default=2)
    await rig.until(lambda: len(rig.groups) == 2)
    rig.groups[1].message = "It crashed on load."
    rig.groups[1].fail()
    assert rig.states() == {1: "ready", 2: "quarantined"}
    assert rig.manager.routes.defaults == {"echo": 1}


async def test_changed_limits_start_instances_beside_the_old_ones(rig: Rig) -> None:
    old = await rig.ready(rig.version(1), default=1)
    rig.want(rig.version(1), default=1, policy=ModelPolicy(execution=ExecutionPolicy(threads=2)))
    await rig.until(lambda: len(rig.groups) == 2)
    assert rig.lanes.attached == {"echo/1": old}
    rig.groups[1].add()
    assert rig.lanes.attached == {"echo/1": rig.groups[1]}
    await rig.until(lambda: old.stopped)


async def test_a_change_that_does_not_start_leaves_the_old_instances_serving(rig: Rig) -> None:
    old = await rig.ready(rig.version(1), default=1)
    rig.want(rig.version(1), default=1, policy=ModelPolicy(execution=ExecutionPolicy(threads=2)))
    await rig.until(lambda: len(rig.groups) == 2)
    rig.groups[1].message = "Too little memory."
    rig.groups[1].fail()
    assert rig.states() == {1: "ready"}
    assert rig.lanes.attached == {"echo/1": old}
    assert "Too little memory" in rig.manager.statistics()[0].message


async def test_a_version_wanted_again_while_it_drains_comes_back(rig: Rig) -> None:
    await rig.ready(rig.version(1), default=1)
    rig.lanes.busy.add("echo/1")
    rig.want(default=None)
    rig.want(rig.version(1), default=1)
    assert rig.states() == {1: "draining"}
    rig.lanes.busy.clear()
    await rig.until(lambda: len(rig.groups) == 2)
    rig.groups[1].add()
    assert rig.states() == {1: "ready"}


async def test_a_version_no_longer_wanted_while_its_bytes_are_read_is_not_started(rig: Rig) -> None:
    rig.want(rig.version(1), default=1)
    rig.want(default=None)
    await rig.until(lambda: not rig.states())
    assert not rig.groups


async def test_stopping_drains_and_ends_every_version(rig: Rig) -> None:
    first = await rig.ready(rig.version(1), default=1)
    await rig.manager.stop()
    assert first.stopped
    assert not rig.lanes.attached
    assert not rig.states()


async def test_a_policy_change_reaches_the_lane(rig: Rig) -> None:
    await rig.ready(rig.version(1), default=1)
    changed = replace(ModelPolicy(), placement="round_robin")
    rig.want(rig.version(1), default=1, policy=changed)
    assert rig.lanes.policies["echo/1"] == changed


async def test_a_new_default_takes_over_only_with_all_its_instances(rig: Rig) -> None:
    await rig.ready(rig.version(1), default=1)
    rig.want(rig.version(2), default=2, instances=2)
    await rig.until(lambda: len(rig.groups) == 2)
    rig.groups[1].add()
    assert rig.manager.routes.defaults == {"echo": 1}
    assert rig.states() == {1: "ready", 2: "ready"}
    rig.groups[1].add()
    assert rig.manager.routes.defaults == {"echo": 2}
    assert rig.states() == {1: "draining", 2: "ready"}


async def test_a_new_default_takes_over_with_what_it_has_when_the_rest_will_never_start(rig: Rig) -> None:
    await rig.ready(rig.version(1), default=1)
    rig.want(rig.version(2), default=2, instances=2)
    await rig.until(lambda: len(rig.groups) == 2)
    rig.groups[1].add()
    rig.groups[1].fail()
    assert rig.manager.routes.defaults == {"echo": 2}
    assert rig.states() == {1: "draining", 2: "ready"}
    await rig.until(lambda: rig.states() == {2: "ready"})
    assert not rig.groups[1].failed, "with the old version's memory free, the rest was not tried again"


async def test_fewer_wanted_instances_let_the_new_default_take_over_at_once(rig: Rig) -> None:
    await rig.ready(rig.version(1), default=1)
    rig.want(rig.version(2), default=2, instances=2)
    await rig.until(lambda: len(rig.groups) == 2)
    rig.groups[1].add()
    rig.want(rig.version(2), default=2, instances=1)
    assert rig.manager.routes.defaults == {"echo": 2}
    assert rig.states() == {1: "draining", 2: "ready"}


async def test_replacing_instances_take_over_together_unless_nothing_else_answers(rig: Rig) -> None:
    old = await rig.ready(rig.version(1), default=1)
    policy = ModelPolicy(execution=ExecutionPolicy(threads=2))
    rig.want(rig.version(1), default=1, policy=policy, instances=2)
    await rig.until(lambda: len(rig.groups) == 2)
    rig.groups[1].add()
    assert rig.lanes.attached == {"echo/1": old}
    old.lose(old.all_instances()[0])
    assert rig.lanes.attached == {"echo/1": rig.groups[1]}
    assert rig.states() == {1: "ready"}


async def test_a_version_answers_with_the_instances_it_has_although_others_will_not_start(rig: Rig) -> None:
    group = await rig.ready(rig.version(1), default=1)
    rig.want(rig.version(1), default=1, instances=2)
    group.fail()
    assert rig.states() == {1: "ready"}
    assert rig.lanes.attached == {"echo/1": group}
    group.lose(group.all_instances()[0])
    assert rig.states() == {1: "quarantined"}


async def test_changed_limits_of_time_reach_the_instances_that_run(rig: Rig) -> None:
    group = await rig.ready(rig.version(1), default=1)
    limits = ExecutionPolicy(timeout_ns=7)
    rig.want(rig.version(1), default=1, policy=ModelPolicy(execution=limits))
    assert group.policy.timeout_ns == limits.timeout_ns
    assert rig.groups == [group]


async def test_limits_of_time_changed_while_bytes_are_read_do_not_lose_the_start(rig: Rig) -> None:
    rig.want(rig.version(1), default=1)
    rig.want(rig.version(1), default=1, policy=ModelPolicy(execution=ExecutionPolicy(timeout_ns=7)))
    await rig.until(lambda: rig.groups)
    rig.groups[0].add()
    assert rig.states() == {1: "ready"}


async def test_replacing_instances_that_gave_up_beside_the_old_ones_are_tried_again_once_those_are_gone(
    rig: Rig,
) -> None:
    old = await rig.ready(rig.version(1), default=1)
    limits = ModelPolicy(execution=ExecutionPolicy(threads=2))
    rig.want(rig.version(1), default=1, policy=limits, instances=2)
    await rig.until(lambda: len(rig.groups) == 2)
    rig.groups[1].add()
    rig.groups[1].fail()
    assert rig.lanes.attached == {"echo/1": rig.groups[1]}
    await rig.until(lambda: old.stopped and not rig.groups[1].failed)
    assert rig.groups[1].wanted == 2


@pytest.mark.parametrize(
    "shortage",
    [OSError(errno.EMFILE, "Too many open files"), RuntimeError("can't start new thread"), MemoryError()],
    ids=["descriptors", "threads", "memory"],
)
async def test_f37_f40_a_start_for_which_the_machine_has_nothing_now_is_tried_again(rig, monkeypatch, shortage) -> None:
    real, tries = movements.verify, []

    def verify(*args: str) -> None:
        tries.append(args)
        if len(tries) < 3:
            raise shortage
        real(*args)

    monkeypatch.setattr(movements, "READ_AGAIN_S", 0.0)
    monkeypatch.setattr(movements, "verify", verify)
    await rig.ready(rig.version(1), default=1)
    assert len(tries) == 3
    assert rig.states() == {1: "ready"}


async def test_a_start_that_waits_for_the_machine_ends_when_it_is_not_wanted_any_more(rig, monkeypatch) -> None:
    def verify(*_args: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(movements, "READ_AGAIN_S", 0.001)
    monkeypatch.setattr(movements, "verify", verify)
    rig.want(rig.version(1), default=1)
    await rig.until(lambda: "Too many open files" in rig.manager.statistics()[0].message)
    assert rig.states() == {1: "checking"}
    rig.want(default=None)
    await rig.until(lambda: not rig.states())
    assert not rig.groups


async def test_a_start_that_was_overtaken_says_nothing_of_the_one_that_followed(rig, monkeypatch) -> None:
    first, entered, go_on = rig.version(1), threading.Event(), threading.Event()
    real = movements.verify

    def verify(*args: str) -> None:
        if not entered.is_set():
            entered.set()
            go_on.wait(10)
            raise OSError(errno.EMFILE, "Too many open files")
        real(*args)

    monkeypatch.setattr(movements, "verify", verify)
    rig.want(first, default=1)
    await rig.until(entered.is_set)
    loaded = rig.manager._loaded[first.key]
    loaded.start += 1  # as a sleep or another policy's start does
    go_on.set()
    await rig.until(lambda: not rig.manager._versions._tasks)
    assert loaded.message == ""


@pytest.mark.parametrize(("number", "is_damage"), [(errno.EMFILE, False), (errno.ENFILE, False), (errno.EIO, True)])
def test_f17_what_cannot_be_read_is_damaged_unless_the_machine_has_nothing_to_read_with(
    tmp_path, monkeypatch, number, is_damage
) -> None:
    def refuse(*_args: object, **_more: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ArtifactDamaged if is_damage else OSError):
        verify(str(tmp_path / "artifact"), "0" * 64)
