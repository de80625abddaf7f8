"""Canary, sticky keys, labels and shadows on the wire, with real instances."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from plane_rig import HANGS_S, Plane

from proxy.core.snapshot import RolloutMode, RolloutSnapshot
from proxy.testing import models

of_both = pytest.mark.asyncio(loop_scope="module")


def body_of(x: float) -> dict[str, object]:
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [x] * 4}]}


async def ask(client: httpx.AsyncClient, path: str = "", x: float = 1.0, **headers: str) -> tuple[int, float]:
    """The version that answered, and its first number."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await client.post(f"/v2/models/net{path}/infer", json=body_of(x), headers=named)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return int(said["model_version"]), said["outputs"][0]["data"][0]


def want(plane: Plane, weight: float, mode: RolloutMode = RolloutMode.CANARY, **labels: int) -> None:
    """A rollout of version 2, which answers 3x, beside version 1, which answers 2x."""
    model = plane.snapshot.models["net"]
    changed = replace(model, labels=labels, rollout=RolloutSnapshot(7, 2, mode, weight))
    plane.snapshot = replace(plane.snapshot, generation=plane.snapshot.generation + 1, models={"net": changed})
    plane.runtime.feed_soon()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    """One data plane for all: each test asks for the rollout that it is about."""
    folder = tmp_path_factory.mktemp("both")
    versions = [
        models.save_script(folder, "net", models.from_source(f"        return x * {n + 1}.0"), number=n) for n in (1, 2)
    ]
    plane = Plane(folder)
    await plane.runtime.start()
    try:
        plane.want(*versions, default=1)
        await plane.until(lambda: set(plane.runtime.manager.routes.ready.get("net", {})) == {1, 2})
        yield plane
    finally:
        await plane.runtime.stop()


async def until_applied(plane: Plane) -> None:
    await plane.until(lambda: plane.runtime.pipeline.snapshot.generation == plane.snapshot.generation)


@of_both
async def test_a_canary_answers_its_share_and_each_answer_names_its_version(both: Plane) -> None:
    want(both, 50)
    await until_applied(both)
    async with both.client() as client:
        answers = [await ask(client, x=float(n)) for n in range(1, 201)]
    assert all(value == n * (version + 1) for n, (version, value) in enumerate(answers, 1))
    share = Counter(version for version, _ in answers)
    assert 50 < share[2] < 150  # seven standard deviations


@of_both
async def test_a_sticky_key_meets_one_version_and_keeps_it_as_the_weight_rises(both: Plane) -> None:
    met: dict[str, int] = {}
    async with both.client() as client:
        for weight in (20, 60, 100):
            want(both, weight)
            await until_applied(both)
            for user in map(str, range(30)):
                once, twice = [(await ask(client, x_dlproxy_sticky=user))[0] for _ in range(2)]
                assert once == twice
                assert met.get(user) != 2 or once == 2
                met[user] = once
    assert set(met.values()) == {2}


@of_both
async def test_a_request_that_names_a_version_or_a_label_is_not_redirected(both: Plane) -> None:
    want(both, 100, old=1)
    await until_applied(both)
    async with both.client() as client:
        for name, number in (("1", 1), ("2", 2), ("old", 1), ("stable", 1), ("canary", 2)):
            assert (await ask(client, f"/versions/{name}"))[0] == number
        assert (await client.post("/v2/models/net/versions/nobody/infer", json=body_of(1))).status_code == 404


async def test_f33_a_canary_that_fails_is_stopped_without_the_control_plane(plane: Plane, tmp_path: Path) -> None:
    raises = """
        if int(x[0, 0].item()) >= 0:
            raise ValueError("broken")
        return x
    """
    sources = {1: "        return x * 2.0", 2: raises}
    versions = [models.save_script(tmp_path, "net", models.from_source(s), number=n) for n, s in sources.items()]
    plane.want(*versions, default=1)
    await plane.until(lambda: set(plane.runtime.manager.routes.ready.get("net", {})) == {1, 2})
    want(plane, 50)
    await until_applied(plane)
    statuses: Counter[int] = Counter()
    async with plane.client() as client, asyncio.timeout(HANGS_S):
        while not plane.runtime.guard.stopped:
            statuses[(await client.post("/v2/models/net/infer", json=body_of(1))).status_code] += 1
        answers = [await ask(client) for _ in range(100)]
        assert {version for version, _ in answers} == {1}
        assert (await client.post("/v2/models/net/versions/2/infer", json=body_of(1))).status_code == 500
        while not plane.reports[-1].stopped:
            await asyncio.sleep(0.05)
    assert statuses[500] >= 5
    assert "requests of the candidate failed" in plane.reports[-1].stopped[0].words


@of_both
async def test_a_shadow_is_compared_and_no_client_meets_it(both: Plane) -> None:
    before = len(both.reports)
    await both.until(lambda: len(both.reports) > before)  # what other tests asked is told by now
    before = len(both.reports)
    want(both, 100, RolloutMode.SHADOW)
    await until_applied(both)
    shadows = both.runtime.pipeline.shadows
    async with both.client() as client:
        async with asyncio.timeout(HANGS_S):
            sent = 0
            while shadows.reports()[0].compared < 20:
                sent += 1
                assert await ask(client, x=float(sent)) == (1, sent * 2.0)
    report = shadows.reports()[0]
    assert (report.differing, report.failed) == (report.compared, 0)
    assert report.largest_difference == pytest.approx(0.5, abs=0.1)  # |3x − 2x| / (1 + 2x)
    async with asyncio.timeout(HANGS_S):
        while both.reports[-1].shadows == ():
            await asyncio.sleep(0.05)
    assert sum(second.total.requests for second in both.reports[before:]) <= sent, "copies were counted as requests"
