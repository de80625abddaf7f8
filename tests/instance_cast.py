"""Helpers for tests that run real instances: a started group, batches, and one execution awaited."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count

from proxy.core.batches import Batch, BatchFault, BatchResult
from proxy.core.policies import ExecutionPolicy
from proxy.core.requests import InferenceRequest
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_S
from proxy.instances.group import InstanceGroup
from proxy.instances.instance import Instance
from proxy.instances.supervisor import Kill, KillReason
from proxy.system import SystemClock

PATIENCE_S = 180.0
POLICY = ExecutionPolicy(timeout_ns=30 * NS_PER_S, load_timeout_ns=60 * NS_PER_S)
_batch_ids = count(1)


class Watched:
    """A group and a way to wait until something is true of it."""

    def __init__(self, version: VersionSnapshot, policy: ExecutionPolicy, worker_module: str) -> None:
        self._changed = asyncio.Event()
        self.changes = 0
        self.stages: list[str] = []
        self.group = InstanceGroup(
            version,
            policy,
            loop=asyncio.get_running_loop(),
            clock=SystemClock(),
            on_change=self._on_change,
            worker_module=worker_module,
        )

    def _on_change(self, group: InstanceGroup) -> None:
        self.changes += 1
        if group.stage not in self.stages[-1:]:
            self.stages.append(group.stage)
        self._changed.set()

    async def until(self, holds: Callable[[InstanceGroup], bool]) -> InstanceGroup:
        """Wait for a change after which `holds(group)`; AssertionError that says how the group stands."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds(self.group):
                    assert not self.group.failed or holds(self.group), self.group.message
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            states = [f"{one.instance_id} {one.state}" for one in self.group.all_instances()]
            words = f"{states}, {self.group.restarts} restarts, stages {self.stages}, {self.group.message!r}"
            raise AssertionError(f"what was waited for did not come within {PATIENCE_S:g} s: {words}") from None
        return self.group

    async def ready(self, instances: int = 1) -> Instance:
        """Wait for that many ready instances; return the first."""
        await self.until(lambda group: len(group.ready_instances()) >= instances)
        return self.group.ready_instances()[0]


@asynccontextmanager
async def started(
    version: VersionSnapshot,
    policy: ExecutionPolicy = POLICY,
    *,
    instances: int = 1,
    worker_module: str = "proxy.worker",
) -> AsyncIterator[Watched]:
    """A group with `instances` wanted, stopped at the end."""
    watched = Watched(version, policy, worker_module)
    watched.group.set_wanted(instances)
    try:
        yield watched
    finally:
        watched.group.set_wanted(0)
        for instance in watched.group.all_instances():
            instance.kill(Kill(KillReason.STOP_TIMEOUT, "The test is over."))
        await watched.group.stop()


def rows(*values: Sequence[float], name: str = "x") -> Tensor:
    """An FP32 matrix."""
    width = len(values[0])
    return Tensor(name, "FP32", (len(values), width), b"".join(struct.pack(f"<{width}f", *row) for row in values))


def batch(version: VersionSnapshot, *requests: Tensor | tuple[Tensor, ...]) -> Batch:
    """One request for each argument."""
    made = []
    for inputs in requests:
        tensors = inputs if isinstance(inputs, tuple) else (inputs,)
        row_count = tensors[0].shape[0] if version.batchable else 1
        made.append(InferenceRequest(version, tensors, row_count, 0, 0))
    return Batch(next(_batch_ids), version, made, sum(request.rows for request in made))


def begin(instance: Instance, work: Batch) -> asyncio.Future[BatchResult | BatchFault]:
    """Start an execution; the future fails if it is answered twice."""
    future: asyncio.Future[BatchResult | BatchFault] = asyncio.get_running_loop().create_future()

    def on_done(answered: Batch, outcome: BatchResult | BatchFault) -> None:
        assert answered is work
        future.set_result(outcome)

    instance.execute(work, on_done)
    assert not future.done(), "answered inside execute"
    return future


async def run(instance: Instance, work: Batch) -> BatchResult | BatchFault:
    """Execute and wait."""
    async with asyncio.timeout(PATIENCE_S):
        return await begin(instance, work)


def floats(tensor: Tensor) -> list[float]:
    """The numbers of an FP32 tensor."""
    return list(struct.unpack(f"<{len(tensor.data) // 4}f", tensor.data))
