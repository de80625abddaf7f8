"""Requests through the whole data plane: right answers, while versions change, instances die and the server drains."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

from plane_rig import HANGS_S, Plane

from proxy.core.snapshot import VersionSnapshot
from proxy.testing import models


def affine_answer(version: int, x: float) -> float:
    return x * 2 + 1


def body_of(x: list[float]) -> dict[str, object]:
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": x}]}


async def test_answers_are_those_of_the_model(plane: Plane, affine: VersionSnapshot) -> None:
    plane.want(affine, default=1)
    await plane.until(lambda: plane.serving("affine") == 1)
    async with plane.client() as client:
        response = await client.post("/v2/models/affine/infer", json=body_of([0.1, -2.5, 3e8, -0.0]))
        assert response.status_code == 200
        values = response.json()["outputs"][0]["data"]
        import torch

        assert values == (torch.tensor([0.1, -2.5, 3e8, -0.0]) * 2 + 1).tolist() or [
            torch.tensor(v, dtype=torch.float32) for v in values
        ] == list(torch.tensor([0.1, -2.5, 3e8, -0.0]) * 2 + 1)
        assert (await client.get("/v2/models/affine/ready")).json() == {"name": "affine", "ready": True}
        assert (await client.get("/v2/health/ready")).status_code == 200


async def test_f21_no_request_fails_or_is_answered_wrong_while_versions_switch(plane: Plane, tmp_path: Path) -> None:
    switches = 3
    factor = {number: number + 1 for number in range(1, switches + 2)}
    versions = {
        number: models.save_script(
            tmp_path, "switch", models.from_source(f"        return x * {factor[number]}.0"), number=number
        )
        for number in factor
    }
    plane.want(versions[1], default=1)
    await plane.until(lambda: plane.serving("switch") == 1)
    stop, seen = asyncio.Event(), Counter()
    load = asyncio.create_task(plane.load("switch", stop, lambda v, x: x * factor[v], seen))
    for number in range(2, switches + 2):
        plane.want(versions[number], default=number)
        await plane.until(lambda number=number: plane.serving("switch") == number)
        async with plane.client() as client:
            answer = await client.post("/v2/models/switch/infer", json=body_of([1.0] * 4))
        assert answer.json()["model_version"] == str(number), "an old version answered after the switch was done"
    stop.set()
    await load
    assert set(seen) == {"right"} | {f"version {n}" for n in factor} & set(seen), seen
    assert seen["right"] > switches
    await plane.until(lambda: [r.version for r in plane.runtime.manager.statistics()] == [switches + 1])


async def test_f1_with_one_instance_requests_wait_for_its_replacement(plane: Plane, affine: VersionSnapshot) -> None:
    plane.want(affine, default=1)
    await plane.until(lambda: plane.ready("affine/1"))
    os.kill(plane.ready("affine/1")[0].pid, signal.SIGKILL)
    async with plane.client() as client:
        response = await client.post("/v2/models/affine/infer", json=body_of([1.0] * 4))
    assert response.status_code == 200
    assert response.json()["outputs"][0]["data"] == [3.0] * 4


async def test_f23_stopping_answers_everything_that_was_accepted(tmp_path: Path, affine: VersionSnapshot) -> None:
    plane = Plane(tmp_path, drain_timeout_s=HANGS_S)
    await plane.runtime.start()
    plane.want(affine, default=1)
    await plane.until(lambda: plane.serving("affine") == 1)
    stop, seen = asyncio.Event(), Counter()
    load = asyncio.create_task(plane.load("affine", stop, affine_answer, seen))
    await plane.until(lambda: seen["right"] > 50)
    stopping = asyncio.create_task(plane.runtime.stop())
    await plane.until(lambda: seen["ConnectError"] > 0 or stopping.done())
    stop.set()
    await load
    await stopping
    assert set(seen) <= {"right", "version 1", "ConnectError"}, seen


async def test_a_version_whose_artifact_changed_on_disk_is_refused_and_said_so(
    plane: Plane, affine: VersionSnapshot
) -> None:
    Path(affine.artifact_path).write_bytes(b"other bytes")
    plane.want(affine, default=1)
    await plane.until(lambda: [r.state for r in plane.runtime.manager.statistics()] == ["failed"])
    async with plane.client() as client:
        response = await client.post("/v2/models/affine/infer", json=body_of([1.0] * 4))
    assert response.status_code == 503


async def test_policy_changes_of_the_processes_are_applied_without_losing_a_request(
    plane: Plane, affine: VersionSnapshot
) -> None:
    plane.want(affine, default=1)
    await plane.until(lambda: plane.serving("affine") == 1)
    first = plane.ready("affine/1")[0].pid
    stop, seen = asyncio.Event(), Counter()
    load = asyncio.create_task(plane.load("affine", stop, affine_answer, seen))
    policy = plane.snapshot.models["affine"].policy
    changed = replace(policy, execution=replace(policy.execution, threads=2))
    plane.want(affine, default=1, policy=changed)
    await plane.until(lambda: plane.ready("affine/1") and plane.ready("affine/1")[0].pid != first)
    stop.set()
    await load
    assert set(seen) == {"right", "version 1"}, seen


async def test_each_second_is_reported(plane: Plane, affine: VersionSnapshot) -> None:
    plane.want(affine, default=1)
    await plane.until(lambda: plane.serving("affine") == 1)
    async with plane.client() as client:
        for _ in range(10):
            await client.post("/v2/models/affine/infer", json=body_of([1.0] * 4))
    await plane.until(lambda: sum(r.total.requests for r in plane.reports) == 10)
    report = plane.reports[-1]
    assert [(v.model, v.version, v.state) for v in report.versions] == [("affine", 1, "ready")]
    assert report.instances[0].memory_bytes > 0
    assert sum(r.models["affine"].inferences for r in plane.reports if "affine" in r.models) == 10


async def test_a_failing_reader_of_the_host_and_a_failing_subscriber_cost_a_second_and_never_the_next(
    plane: Plane,
) -> None:
    read, failed = plane.runtime.machine.read, []

    def read_once_badly() -> object:
        plane.runtime.machine.read = read
        raise OSError("no /proc")

    def fail(report: object) -> None:
        failed.append(report)
        raise RuntimeError("a page's fault")

    plane.runtime.machine.read = read_once_badly
    plane.runtime.subscribe(fail)
    await plane.until(lambda: len(plane.reports) >= 2 and len(failed) >= 2)
