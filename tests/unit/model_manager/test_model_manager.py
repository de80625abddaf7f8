"""The shell on fake groups and real files: load, switch, replace, fail and unload, nothing detached too early."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.core.policies import ExecutionPolicy, ModelPolicy
from proxy.core.snapshot import ModelSnapshot, Snapshot, VersionSnapshot
from proxy.model_manager.model_manager import ModelManager
from proxy.testing.clock import ManualClock
from proxy.testing.instances import FakeGroup, fake_version


class Group(FakeGroup):
    """A fake group that starts empty and notes what the manager asks of it."""

    def __init__(self, version: VersionSnapshot, clock: ManualClock, on_change: Callable[[FakeGroup], None]) -> None:
        super().__init__(version, clock, 0, on_change=on_change)
        self.sandbox: dict[str, str] = {}
        self.stopped = False

    def set_wanted(self, count: int) -> None:
        self.wanted = count
        self.failed = False

    async def stop(self) -> None:
        self.stopped = True

    def statistics(self) -> tuple[()]:
        return ()


class Lanes:
    """Records what the scheduler would be told. A lane is idle unless its key is in `busy`."""

    def __init__(self) -> None:
        self.attached: dict[str, Group] = {}
        self.busy: set[str] = set()
        self.policies: dict[str, ModelPolicy] = {}

    def attach(self, key: str, group: Group, policy: ModelPolicy) -> None:
        self.attached[key] = group
        self.policies[key] = policy

    def update_policy(self, key: str, policy: ModelPolicy) -> None:
        self.policies[key] = policy

    def detach(self, key: str, error: Exception) -> None:
        del self.attached[key]

    def wake(self, key: str) -> None:
        pass

    def is_idle(self, key: str) -> bool:
        return key not in self.busy


class Rig:
    """A manager whose groups become ready by hand."""

    def __init__(self, folder: Path) -> None:
        self.artifact = folder / "artifact"
        self.artifact.write_bytes(b"weights")
        self.digest = hashlib.sha256(b"weights").hexdigest()
        self.clock = ManualClock()
        self.lanes = Lanes()
        self.groups: list[Group] = []
        self.manager = ModelManager(self.lanes, self._make, self.clock)
        self.generation = 0

    def _make(
        self, version: VersionSnapshot, execution: ExecutionPolicy, on_change: Callable[[FakeGroup], None]
    ) -> Group:
        self.groups.append(Group(version, self.clock, on_change))
        return self.groups[-1]

    def version(self, number: int, digest: str | None = None) -> VersionSnapshot:
        return replace(fake_version("echo", number), artifact_path=str(self.artifact), digest=digest or self.digest)

    def want(
        self,
        *versions: VersionSnapshot,
        default: int | None,
        policy: ModelPolicy | None = None,
        instances: int = 1,
    ) -> None:
        self.generation += 1
        model = ModelSnapshot("echo", {v.number: v for v in versions}, default, instances, policy or ModelPolicy())
        self.manager.apply(Snapshot(self.generation, {"echo": model}, {}))

    def states(self) -> dict[int, str]:
        return {report.version: report.state for report in self.manager.statistics()}

    async def until(self, reached: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not reached():
                await asyncio.sleep(0.001)

    async def ready(self, *versions: VersionSnapshot, default: int) -> Group:
        """Want `versions` and let the group made for it become ready."""
        made = len(self.groups)
        self.want(*versions, default=default)
        await self.until(lambda: len(self.groups) > made)
        self.groups[-1].add()
        return self.groups[-1]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def test_a_version_answers_once_its_first_instance_is_ready(rig: Rig) -> None:
    rig.want(rig.version(1), default=1)
    assert rig.states() == {1: "verifying"}
    await rig.until(lambda: rig.groups)
    assert rig.states() == {1: "loading"}
    assert not rig.manager.routes.defaults
    rig.groups[0].add()
    assert rig.states() == {1: "ready"}
    assert rig.manager.routes.defaults == {"echo": 1}
    assert rig.lanes.attached == {"echo/1": rig.groups[0]}


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
    assert group.policy == limits
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
