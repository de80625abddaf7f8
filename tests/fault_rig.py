"""The invariant of every fault test, checked around a real data plane with real instance processes and sockets.

sent = right + refused + errored + left, none wrong (right ones compared with a direct call of the version that the
answer names), every gauge back to its base within 30 s, no process, descriptor or shared memory left behind.
`test_invariant_rig.py` plants a fault for each of these detectors and sees it found.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import torch
from plane_rig import KEY, PLAIN_POLICY, Plane

from proxy.core.policies import ModelPolicy
from proxy.core.snapshot import KeySnapshot, ModelSnapshot, Snapshot, VersionSnapshot
from proxy.instances.group import InstanceGroup
from proxy.instances.instance import WORKER_MODULE
from proxy.testing import models
from proxy.testing.clients import Clients, Connection, Reply, inference

BACK_TO_BASE_S = 30.0
MISBEHAVING = "proxy.testing.misbehaving_worker"
Rows = Sequence[Sequence[float]]


def echoing(folder: Path) -> VersionSnapshot:
    """A version `identity/1` whose instance starts in a tenth of a second and ends where a row begins above 100.

    For what does not depend on the model: a process with torch in it takes seconds of the processor to start.
    """
    return replace(models.script(folder, "identity"), options={"misbehave": "above 100: exits"})


@dataclass(frozen=True)
class Footprint:
    """What this process holds of the kernel. Descriptors by kind, so that a difference says what leaked."""

    descriptors: Counter[str]
    shared_mappings: int
    children: frozenset[int]

    @classmethod
    def now(cls) -> Footprint:
        kinds: Counter[str] = Counter()
        for entry in Path("/proc/self/fd").iterdir():
            try:
                kinds[str(entry.readlink()).partition(":")[0]] += 1
            except OSError:
                continue  # the listing's own descriptor
        mappings = Path("/proc/self/maps").read_text().count("memfd:dlproxy")
        children = frozenset(child.pid for child in psutil.Process().children(recursive=True))
        return cls(kinds, mappings, children)

    def difference(self, base: Footprint) -> str:
        """What is there beyond `base`, in words; "" if nothing."""
        more = self.descriptors - base.descriptors
        found = [f"{count} descriptors of {kind}" for kind, count in more.items()]
        if self.shared_mappings > base.shared_mappings:
            found.append(f"{self.shared_mappings - base.shared_mappings} mappings of shared memory")
        if orphans := self.children - base.children:
            found.append(f"processes {sorted(orphans)}")
        return ", ".join(found)


@dataclass
class Ledger:
    """Every request that was sent, and what became of it. `left`: its client cut the connection itself."""

    sent: int = 0
    right: int = 0
    wrong: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    errored: Counter[str] = field(default_factory=Counter)
    left: int = 0

    @property
    def ended(self) -> int:
        """Requests that have an outcome."""
        return self.right + len(self.wrong) + self.refused.total() + self.errored.total() + self.left

    def add_up(self) -> None:
        """Raise AssertionError unless each request has one outcome and no answer was wrong."""
        assert not self.wrong, f"{len(self.wrong)} wrong answers, the first: {self.wrong[0]}"
        assert self.sent == self.ended, f"sent {self.sent}, ended {self.ended}: {self}"


class Direct:
    """Direct calls of the served versions: what a right answer is. Same rows, one thread, no server.

    Answers are compared exactly, though a batch may have other rows beside them: tests send numbers with which the
    model's arithmetic is exact in FP32 (small integers and quarters), so that no shape of batch rounds differently.
    """

    def __init__(self) -> None:
        self._modules: dict[tuple[str, int], torch.jit.ScriptModule] = {}

    def knows(self, version: VersionSnapshot) -> None:
        module = torch.jit.load(version.artifact_path).eval()
        self._modules[version.model, version.number] = module

    def answer(self, model: str, number: int, rows: Rows) -> list[list[float]]:
        with torch.inference_mode():
            outputs: list[list[float]] = self._modules[model, number](torch.tensor(rows)).tolist()
        return outputs


REFUSALS = (429, 503, 504)
"""Statuses that say "not now": by load, by deadline, or since no instance answers. Others are errors."""


class FaultRig:
    """A data plane under a fault, its clients, and the count of everything."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.ledger = Ledger()
        self.direct = Direct()
        self._clients: Clients | None = None

    @property
    def clients(self) -> Clients:
        if self._clients is None:
            self._clients = Clients("127.0.0.1", self.plane.runtime.inference_port)
        return self._clients

    def want(self, version: VersionSnapshot, *, instances: int = 1, policy: ModelPolicy = PLAIN_POLICY) -> None:
        """Want this version of its model; other models stay as they are."""
        model = ModelSnapshot(version.model, {version.number: version}, version.number, instances, policy)
        self._publish({**self.plane.snapshot.models, version.model: model})

    def unwant(self, model: str) -> None:
        """Want nothing of this model any more."""
        self._publish({name: kept for name, kept in self.plane.snapshot.models.items() if name != model})

    def apply_from_thread(self) -> None:
        """Have the data plane act on the present wanted state in any case, not only on the last of several."""
        self.plane.runtime.loop.call_soon_threadsafe(self.plane.runtime.apply, self.plane.snapshot)

    def _publish(self, models: dict[str, ModelSnapshot]) -> None:
        key = KeySnapshot("1", "test", hashlib.sha256(KEY.encode()).hexdigest())
        self.plane.snapshot = Snapshot(self.plane.snapshot.generation + 1, models, {key.digest_hex: key})
        self.plane.runtime.feed_soon()

    async def serve(self, version: VersionSnapshot, *, instances: int = 1, **options) -> None:
        """Want this version, and wait until all its instances are ready."""
        self.direct.knows(version)
        self.want(version, instances=instances, **options)
        await self.plane.until(lambda: len(self.ready(version)) == instances)
        await self.plane.until(lambda: self.plane.serving(version.model) == version.number)

    def ready(self, version: VersionSnapshot) -> list:
        return self.plane.ready(version.key)

    def group(self, version: VersionSnapshot):
        return self.plane.runtime.manager.groups()[version.key]

    def ask(self, model: str, rows: Rows, **options) -> asyncio.Future[Reply | None]:
        """Send a request; its outcome is counted, and is the future's result."""
        future, on_reply = self._expect(model, rows)
        self.clients.ask(inference(model, rows, KEY, **options), on_reply)
        return future

    async def ask_and_leave(self, model: str, rows: Rows, when: Callable[[Connection], object], **options) -> None:
        """Send a request on a connection of its own and have `when(connection)` cut it at a moment of its choice."""
        self.ledger.sent += 1

        def on_reply(reply: Reply | None) -> None:
            if reply is None:
                self.ledger.left += 1
            else:
                self._count(model, rows, reply)

        when(await self.clients.ask_alone(inference(model, rows, KEY, **options), on_reply))

    def _expect(self, model: str, rows: Rows):
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self.ledger.sent += 1

        def on_reply(reply: Reply | None) -> None:
            if reply is None:
                self.ledger.errored["broken"] += 1
            else:
                self._count(model, rows, reply)
            future.set_result(reply)

        return future, on_reply

    def _count(self, model: str, rows: Rows, reply: Reply) -> None:
        if reply.status == 200:
            expected = self.direct.answer(model, reply.version, rows)
            if reply.rows == expected:
                self.ledger.right += 1
            else:
                self.ledger.wrong.append(f"{model}/{reply.version} of {rows}: {reply.rows}, not {expected}")
        elif reply.status in REFUSALS:
            assert reply.status == 504 or reply.retry_after_s is not None, f"{reply.status} without Retry-After"
            self.ledger.refused[reply.status] += 1
        else:
            self.ledger.errored[str(reply.status)] += 1

    def busy_gauges(self) -> str:
        """Gauges that are not at their base: queue, in flight, running, half-done work of the pipeline. "" if none."""
        runtime = self.plane.runtime
        found = []
        for key, lane in runtime.scheduler.statistics().items():
            numbers = {"queue": lane.queue_depth, "in flight": lane.in_flight, "running": lane.running}
            found += [f"{key}: {name} {value}" for name, value in numbers.items() if value]
        found += [
            f"{report.instance_id}: {report.state}"
            for report in runtime.manager.instance_statistics()
            if report.state == "draining"
        ]
        return ", ".join(found)

    async def back_to_base(self, limit_s: float = BACK_TO_BASE_S) -> None:
        """Return once every gauge is at its base; AssertionError after `limit_s`."""
        try:
            await self.plane.until(lambda: not self.busy_gauges(), limit_s)
        except AssertionError as waited:
            raise AssertionError(f"gauges not back to base: {self.busy_gauges()}; {waited}") from None

    async def close(self) -> None:
        if self._clients is not None:
            await self._clients.close()


@asynccontextmanager
async def invariant(tmp_path: Path, limit_s: float = BACK_TO_BASE_S, **config) -> AsyncIterator[FaultRig]:
    """A running data plane; when the block ends well, the invariant is checked, also after the plane has stopped."""
    base = Footprint.now()
    plane = Plane(tmp_path, **config)
    runtime = plane.runtime

    def make_group(version, execution, on_change):
        module = MISBEHAVING if "misbehave" in version.options else WORKER_MODULE
        return InstanceGroup(
            version, execution, loop=runtime.loop, clock=runtime.clock, on_change=on_change, worker_module=module
        )

    runtime._make_group = make_group
    await runtime.start()
    rig = FaultRig(plane)
    try:
        yield rig
        await rig.back_to_base(limit_s)
        rig.ledger.add_up()
    finally:
        await rig.close()
        await runtime.stop()
    await until_gone(base, limit_s)


async def until_gone(base: Footprint, limit_s: float = BACK_TO_BASE_S) -> None:
    """Return once nothing is held beyond `base`; AssertionError that says what, after `limit_s`."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + limit_s
    while words := Footprint.now().difference(base):
        assert loop.time() < end_s, f"left behind: {words}"
        await asyncio.sleep(0.02)
