"""The first steps of the line before the control plane has been read, and while it changes under a large body."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from proxy.cache.cache import ResultCache
from proxy.core.errors import NotReady, Unauthenticated
from proxy.core.policies import ModelPolicy
from proxy.core.principals import Principal
from proxy.core.requests import Answer
from proxy.core.snapshot import ModelSnapshot, Snapshot, VersionSnapshot
from proxy.core.units import NS_PER_S
from proxy.metrics.metrics import Metrics
from proxy.model_manager.model_manager import ModelManager
from proxy.model_manager.routing import EMPTY_ROUTES, RoutingTable
from proxy.pipeline import Pipeline
from proxy.protocol.limits import Limits
from proxy.scheduler.scheduler import Scheduler
from proxy.testing.clock import ManualClock
from proxy.testing.instances import FakeGroup, fake_version

KEY = b"Bearer dlp_" + b"a" * 43


@pytest.fixture
def pipeline() -> Pipeline:
    clock = ManualClock()
    scheduler = Scheduler(clock, clock.call_later)
    manager = ModelManager(scheduler, lambda version, policy: FakeGroup(version, clock, 1), clock)
    return Pipeline(clock, lambda: 0.0, manager, ResultCache(clock), scheduler, Metrics(), Limits())


def test_before_the_first_snapshot_a_key_is_not_called_unknown_but_asked_to_come_back(pipeline: Pipeline) -> None:
    with pytest.raises(NotReady) as refusal:
        pipeline.open("digits", None, KEY, 0)
    assert refusal.value.retry_after_ns == NS_PER_S


def test_after_the_first_snapshot_an_unknown_key_is_unauthenticated(pipeline: Pipeline) -> None:
    pipeline.snapshot = Snapshot(1, {}, {})
    with pytest.raises(Unauthenticated):
        pipeline.open("digits", None, KEY, 0)


def test_an_empty_registry_is_ready_once_it_was_read(pipeline: Pipeline) -> None:
    assert not pipeline.is_ready()
    pipeline.snapshot = Snapshot(0, {}, {})
    assert pipeline.is_ready()


class Line:
    """A pipeline in front of one echo model whose default version is set by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.scheduler = Scheduler(self.clock, self.clock.call_later)
        self.manager = SimpleNamespace(routes=EMPTY_ROUTES, waking={})
        self.pipeline = Pipeline(
            self.clock, lambda: 0.0, self.manager, ResultCache(self.clock), self.scheduler, Metrics(), Limits()
        )
        self.answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def serve(self, version: VersionSnapshot) -> None:
        """Let `version` be the only one that answers."""
        for key in tuple(self.scheduler.statistics()):
            self.scheduler.detach(key, NotReady("not_ready", "gone"))
        self.scheduler.attach(version.key, FakeGroup(version, self.clock, 1, service_ns=0), ModelPolicy())
        self.manager.routes = RoutingTable({"echo": {version.number: version}}, {"echo": version.number})
        model = ModelSnapshot("echo", {version.number: version}, version.number, 1)
        self.pipeline.snapshot = Snapshot(version.number, {"echo": model}, {})

    def forget(self) -> None:
        """The model is deleted."""
        self.manager.routes = EMPTY_ROUTES
        self.pipeline.snapshot = Snapshot(9, {}, {})

    def send_large(self) -> None:
        """A body that is read beside the event loop."""
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
        body = (json.dumps({"inputs": [tensor]}) + " " * 2_000_000).encode()
        call = self.pipeline.open_as(Principal("key:1", "key:test"), "echo", None, 0)
        self.pipeline.run(call, body, self.answered.set_result)

    async def answer(self) -> Answer:
        """The one answer."""
        async with asyncio.timeout(60):
            while not self.answered.done():
                await asyncio.sleep(0.001)
                self.clock.advance(1_000)
        self.pipeline.close()
        return self.answered.result()


async def test_a_request_is_answered_although_its_model_is_deleted_while_its_large_body_is_read() -> None:
    line = Line()
    line.serve(fake_version("echo", 1))
    line.send_large()
    line.forget()
    assert (await line.answer()).status == 404


async def test_a_large_body_read_while_the_default_changes_is_answered_by_the_new_default() -> None:
    line = Line()
    line.serve(fake_version("echo", 1))
    line.send_large()
    line.serve(fake_version("echo", 2))
    answer = await line.answer()
    assert (answer.status, json.loads(answer.body)["model_version"]) == (200, "2")


async def test_a_caller_that_leaves_while_its_large_answer_is_written_is_no_fault() -> None:
    faults: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    line = Line()
    version = fake_version("echo", 1, trailing=(300_000,))
    line.serve(version)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 300_000], "data": [1.0] * 300_000}
    body = json.dumps({"inputs": [tensor]}).encode()
    caller = asyncio.create_task(line.pipeline.answer(Principal("key:1", "key:test"), "echo", None, body))
    async with asyncio.timeout(60):
        while not line.scheduler.statistics()["echo/1"].executions:
            await asyncio.sleep(0.001)
            line.clock.advance(1_000)
        caller.cancel()
        while line.pipeline._offload._waiting_bytes:
            await asyncio.sleep(0.001)
    line.pipeline.close()
    assert faults == []
