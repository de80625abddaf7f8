"""What the scheduler decides, with real instances: large requests, changing policies, clients that leave."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from plane_rig import HANGS_S, PATIENT_QUEUE, PLAIN_POLICY, Plane

from proxy.core.policies import BatchingPolicy, Oversize, Placement
from proxy.core.snapshot import VersionSnapshot
from proxy.core.units import NS_PER_MS

SMALL = replace(PLAIN_POLICY, batching=BatchingPolicy(4))


def rows(count: int) -> dict[str, object]:
    data = [float(value) for value in range(4 * count)]
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [count, 4], "data": data}]}


def right(count: int) -> list[float]:
    return [2.0 * value + 1 for value in range(4 * count)]


@pytest.mark.slow
async def test_r34_a_request_larger_than_a_batch_comes_back_whole_and_in_order(
    plane: Plane, affine: VersionSnapshot
) -> None:
    plane.want(affine, default=1, policy=SMALL)
    await plane.until(lambda: plane.serving("affine") == 1)
    async with plane.client() as client:
        answers = await asyncio.gather(
            *(client.post("/v2/models/affine/infer", json=rows(count)) for count in (1, 4, 5, 19, 2, 64))
        )
    for count, answer in zip((1, 4, 5, 19, 2, 64), answers, strict=True):
        assert answer.status_code == 200, answer.text
        output = answer.json()["outputs"][0]
        assert output["shape"] == [count, 4]
        assert output["data"] == right(count)
    lane = plane.runtime.scheduler.statistics()["affine/1"]
    assert lane.splits == 3
    assert max(lane.by_size) <= 4
    plane.want(affine, default=1, policy=replace(SMALL, batching=BatchingPolicy(4, oversize=Oversize.REFUSE)))
    async with plane.client() as client, asyncio.timeout(HANGS_S):
        while (answer := await client.post("/v2/models/affine/infer", json=rows(5))).status_code == 200:
            await asyncio.sleep(0.02)
    assert answer.status_code == 413
    assert "at most 4 rows" in answer.json()["error"]


@pytest.mark.slow
async def test_policies_that_change_under_load_lose_nothing(plane: Plane, affine: VersionSnapshot) -> None:
    plane.want(affine, default=1, instances=2, policy=SMALL)
    await plane.until(lambda: len(plane.ready("affine/1")) == 2)
    stop, seen = asyncio.Event(), Counter()
    load = asyncio.create_task(plane.load("affine", stop, lambda _version, x: x * 2 + 1, seen))
    for turn in range(20):
        policy = replace(
            SMALL,
            placement=list(Placement)[turn % len(Placement)],
            batching=BatchingPolicy((4, 1, 32)[turn % 3], (0, NS_PER_MS)[turn % 2]),
            queue=replace(PATIENT_QUEUE, priority_levels=1 + turn % 3, fair_share=bool(turn % 2)),
        )
        before = seen["right"]
        plane.want(affine, default=1, instances=2, policy=policy)
        await plane.until(lambda before=before: seen["right"] > before + 10)
    stop.set()
    await load
    assert set(seen) == {"right", "version 1"}, seen
    assert plane.runtime.scheduler.is_idle("affine/1")


@pytest.mark.slow
async def test_f11_a_client_that_leaves_takes_its_queued_work_with_it(plane: Plane, affine: VersionSnapshot) -> None:
    policy = replace(PLAIN_POLICY, batching=BatchingPolicy(1), queue=replace(PATIENT_QUEUE, max_requests=100_000))
    plane.want(affine, default=1, policy=policy)
    await plane.until(lambda: plane.serving("affine") == 1)
    scheduler = plane.runtime.scheduler
    async with plane.client() as client:
        leaving = [asyncio.create_task(client.post("/v2/models/affine/infer", json=rows(2_000))) for _ in range(4)]
        await plane.until(lambda: scheduler.statistics()["affine/1"].splits == 4)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        await plane.until(lambda: scheduler.is_idle("affine/1"))
    lane = scheduler.statistics()["affine/1"]
    assert lane.cancelled == 4
    assert lane.inferences < 8_000  # what was left of them was not run
    assert (lane.queue_depth, lane.in_flight) == (0, 0)
