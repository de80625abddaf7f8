"""A manager on fake groups and real files; groups become ready by hand; lanes are recorded, or the real scheduler's."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

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

    def __init__(self, folder: Path, lanes=None, memory_budget_bytes: int = 0) -> None:
        self.artifact = folder / "artifact"
        self.artifact.write_bytes(b"weights")
        self.digest = hashlib.sha256(b"weights").hexdigest()
        self.clock = ManualClock()
        self.lanes = Lanes() if lanes is None else lanes(self.clock)
        self.groups: list[Group] = []
        self.manager = ModelManager(self.lanes, self._make, self.clock, memory_budget_bytes)
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
        async with asyncio.timeout(60):
            while not reached():
                await asyncio.sleep(0.001)

    async def ready(self, *versions: VersionSnapshot, default: int) -> Group:
        """Want `versions` and let the group made for it become ready."""
        made = len(self.groups)
        self.want(*versions, default=default)
        await self.until(lambda: len(self.groups) > made)
        self.groups[-1].add()
        return self.groups[-1]
