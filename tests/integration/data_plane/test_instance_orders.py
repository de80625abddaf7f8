"""Restart and drain of single instances while clients ask: nothing is lost; and how instances ended is known."""

from __future__ import annotations

import asyncio
from collections import Counter

from plane_rig import Plane

from proxy.core.instance_reports import OrderOutcome
from proxy.core.request_reports import RequestQuery
from proxy.core.snapshot import VersionSnapshot
from proxy.instance_orders import number_of


def right(version: int, x: float) -> float:
    return 2 * x + 1


def numbers(plane: Plane, key: str) -> list[int]:
    return [number_of(one.instance_id) for one in plane.ready(key)]


async def test_a_restart_under_load_loses_nothing_and_another_serves_before_the_first_ends(
    plane: Plane, affine: VersionSnapshot
) -> None:
    plane.want(affine, default=1, instances=1)
    await plane.until(lambda: len(plane.ready(affine.key)) == 1)
    stop, seen = asyncio.Event(), Counter[object]()
    load = asyncio.create_task(plane.load(affine.model, stop, right, seen))
    await plane.until(lambda: seen["right"] > 50)
    (first,) = numbers(plane, affine.key)
    fewest = 1

    def is_replaced() -> bool:
        nonlocal fewest
        now = numbers(plane, affine.key)
        fewest = min(fewest, len(now))
        return bool(now) and first not in now

    assert plane.runtime.orders.restart(first, "by a test") is OrderOutcome.BESIDE
    await plane.until(is_replaced)
    before = seen["right"]
    await plane.until(lambda: seen["right"] > before + 50)
    await plane.until(lambda: bool(plane.runtime.instance_exits()))
    stop.set()
    await load
    assert fewest == 1
    assert set(seen) == {"right", "version 1"}
    (end,) = plane.runtime.instance_exits()
    assert (number_of(end.instance_id), end.is_planned, end.words) == (first, True, "by a test")
    assert end.executions > 0


async def test_a_drain_under_load_loses_nothing_and_is_followed_by_another(
    plane: Plane, affine: VersionSnapshot
) -> None:
    plane.want(affine, default=1, instances=2)
    await plane.until(lambda: len(plane.ready(affine.key)) == 2)
    stop, seen = asyncio.Event(), Counter[object]()
    load = asyncio.create_task(plane.load(affine.model, stop, right, seen))
    await plane.until(lambda: seen["right"] > 50)
    first = numbers(plane, affine.key)[0]
    assert plane.runtime.orders.drain(first, "by a test") is OrderOutcome.REPLACED
    assert first not in numbers(plane, affine.key)
    assert plane.runtime.orders.drain(first, "again") is OrderOutcome.ENDING
    await plane.until(lambda: len(plane.ready(affine.key)) == 2)
    stop.set()
    await load
    assert set(seen) == {"right", "version 1"}
    assert plane.runtime.orders.restart(first, "gone") is OrderOutcome.GONE


async def test_a_restart_when_fewer_become_wanted_leaves_as_many_as_are_wanted(
    plane: Plane, affine: VersionSnapshot
) -> None:
    plane.want(affine, default=1, instances=2)
    await plane.until(lambda: len(plane.ready(affine.key)) == 2)
    first = numbers(plane, affine.key)[0]
    plane.runtime.orders.restart(first, "by a test")
    plane.want(affine, default=1, instances=1)
    await plane.until(lambda: len(plane.runtime.manager.all_groups()[0].all_instances()) == 1)
    assert first not in numbers(plane, affine.key)


async def test_a_lost_instance_leaves_its_last_words(plane: Plane, affine: VersionSnapshot) -> None:
    plane.want(affine, default=1, instances=1)
    await plane.until(lambda: len(plane.ready(affine.key)) == 1)
    (instance,) = plane.ready(affine.key)
    instance._link._process.kill()
    await plane.until(lambda: bool(plane.runtime.instance_exits()))
    (end,) = plane.runtime.instance_exits()
    assert not end.is_planned
    assert "ended" in end.words
    await plane.until(lambda: len(plane.ready(affine.key)) == 1)


async def test_a_request_is_remembered_as_it_was_served(plane: Plane, affine: VersionSnapshot) -> None:
    plane.want(affine, default=1, instances=1)
    await plane.until(lambda: len(plane.ready(affine.key)) == 1)
    body = {"id": "order-<7>", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
    async with plane.client() as client:
        # Five at once: the first finds an idle instance, the others wait for it and share a batch.
        answers = await asyncio.gather(*(client.post("/v2/models/affine/infer", json=body) for _ in range(12)))
        bad = await client.post("/v2/models/affine/infer", json={"inputs": []})
    assert [answer.status_code for answer in answers] == [200] * 12
    reports = plane.runtime.requests(RequestQuery(text="order-<7>"))
    assert len(reports) == 12
    for report in reports:
        assert report.principal_id == "key:1"
        assert abs(sum(part_ms for _, part_ms in report.parts_ms) - report.total_ms) < 1e-6
        assert {"compute", "write"} <= {name for name, _ in report.parts_ms}
        assert report.instance_id == plane.ready(affine.key)[0].instance_id
        assert report.batch_requests == 1 + len(report.companions)
    assert any(report.companions for report in reports)
    refused = plane.runtime.requests(RequestQuery(only_errors=True))
    assert [(report.status, report.rows) for report in refused] == [(bad.status_code, 0)]
