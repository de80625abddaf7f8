"""F20: the wall clock jumps under the data plane; F14: what it reports to takes for ever. Serving notices neither."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest
from plane_rig import PLAIN_POLICY, Plane

from proxy import runtime
from proxy.core.policies import CachePolicy
from proxy.core.units import NS_PER_S
from proxy.system import unix_time_s
from proxy.testing import models

pytestmark = pytest.mark.slow
CACHED = replace(PLAIN_POLICY, cache=CachePolicy(enabled=True, ttl_ns=600 * NS_PER_S))


async def ask(client, number):
    """The status of a request, and whether its answer is right."""
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [float(number)] * 4}]}
    response = await client.post("/v2/models/identity/infer", json=body)
    is_right = response.status_code == 200 and response.json()["outputs"][0]["data"] == [float(number)] * 4
    return response.status_code, is_right


async def serving(plane, policy):
    await plane.runtime.start()
    version = models.script(plane.folder, "identity")
    plane.want(version, default=1, policy=policy)
    await plane.until(lambda: plane.ready(version.key))


@pytest.mark.parametrize("hours", [1, -1])
async def test_f20_a_wall_clock_that_jumps_ends_no_request_no_key_and_no_cached_answer(tmp_path, monkeypatch, hours):
    ahead_s = [0.0]
    monkeypatch.setattr(runtime, "unix_time_s", lambda: unix_time_s() + ahead_s[0])
    plane = Plane(tmp_path)
    try:
        await serving(plane, CACHED)
        async with plane.client() as client:
            assert await ask(client, 1) == (200, True)
            before = plane.runtime.scheduler.statistics()["identity/1"]
            waiting = [asyncio.create_task(ask(client, number)) for number in range(2, 34)]
            await asyncio.sleep(0)
            ahead_s[0] = hours * 3_600.0
            assert set(await asyncio.gather(*waiting)) == {(200, True)}
            assert await ask(client, 1) == (200, True), "the key is as valid as before"
            lane = plane.runtime.scheduler.statistics()["identity/1"]
            assert lane.inferences == before.inferences + 32, "the first answer still comes from the cache"
            assert lane.expired == lane.rejected == 0
            sequences = len(plane.reports)
            await plane.until(lambda: len(plane.reports) >= sequences + 2)  # a second is still a second
    finally:
        await plane.runtime.stop()


async def test_f14_a_report_that_is_never_taken_holds_up_no_request_and_piles_nothing_up(tmp_path):
    plane, free, writes = Plane(tmp_path), threading.Event(), []

    def write(report):
        writes.append(report)
        free.wait()

    plane.runtime._write_report = write
    try:
        await serving(plane, PLAIN_POLICY)
        await plane.until(lambda: writes)
        async with plane.client() as client:
            first = plane.runtime.latest_report.sequence
            await plane.until(lambda: plane.runtime.latest_report.sequence >= first + 3)
            assert {await ask(client, number) for number in range(50)} == {(200, True)}
        assert len(writes) == 1, "one is on its way; the seconds since are dropped"
        free.set()
        await plane.until(lambda: len(writes) > 1)  # it goes on by itself
    finally:
        free.set()
        await plane.runtime.stop()
