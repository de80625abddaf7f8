"""F22 with everything real but Celery's clock: database, runtime, instances, sockets, the rollout tick in a thread."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from django.db import connections
from django.utils import timezone

from models_admin.models import Model, ModelVersion, NodeStatus, Rollout
from models_admin.models.registry import VersionState
from models_admin.publishing.reports import write_report
from models_admin.publishing.snapshot import load_snapshot
from models_admin.selectors.artifacts import artifact_path
from models_admin.services import golden, keys, models, policies, rollouts, versions
from models_admin.services.actors import system_actor
from models_admin.tasks.rollout import run_tick
from proxy.runtime import Runtime, RuntimeConfig
from proxy.testing import models as scripts

ROOT = system_actor("tests")
CLIENTS = 6
HANGS_S = 180.0
"""Longer than anything here takes on any machine: a test that waits so long hangs."""
SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
}
FIRST_NUMBER = 1_000
"""Of each client. As large as after minutes of load, so that nothing here depends on how much was asked before."""
GOOD = "        return x * 2.0 + 1.0"
CANDIDATES = {
    "raises for half": """
        if int(x[0, 0].item()) % 2 == 1:
            raise ValueError("odd numbers are not served here")
        return x * 2.0 + 1.0
    """,
    # By a share of the answer: a constant is within the tolerance, which is relative, once the numbers are large.
    "is wrong": "        return x * 2.5 + 1.0",
    "does not load": GOOD,
    "breaks a golden sample": "        return x * 2.0 + 1.5",
    "is slow": """
        total = 0
        for i in range(1000000):
            total = (total * 31 + i) % 1000003
        return x * 2.0 + 1.0 + float(total) * 0.0
    """,
}
CANDIDATES_FAIL_BY = {
    "raises for half": "failed",
    "is slow": "p99",
    "is wrong": "differ",
    "does not load": "does not run",
    "breaks a golden sample": "'y' differs by up to 0.5",
}
"""Words of the reason that the aborted rollout gives."""
SHADOW_NUMBERS = ("rollout_id", "compared", "differing", "failed", "skipped", "largest_difference")
Value = TypeVar("Value")


async def in_thread(work: Callable[..., Value], *arguments: Any, **named: Any) -> Value:
    """Call what asks the database in a thread that leaves no connection behind."""

    def call() -> Value:
        try:
            return work(*arguments, **named)
        finally:
            connections.close_all()

    return await asyncio.to_thread(call)


class Site:
    """A data plane that follows the database, clients that never stop, and a tick as often as Celery's."""

    def __init__(self) -> None:
        config = RuntimeConfig(inference_port=0, feed_interval_s=0.1)
        self.runtime = Runtime(config, load_snapshot, write_report)
        self.stop = asyncio.Event()
        self.work: list[asyncio.Task[None]] = []
        self.seen: Counter[str] = Counter()
        self.candidate = 2
        self.met_candidate = 0
        self.secret = ""

    async def upload(self, folder: Path, number: int, source: str) -> None:
        """A ready version of `net` with this forward, as validation would leave it."""
        saved = scripts.save_script(folder, "net", scripts.from_source(source), number=number)
        content = Path(saved.artifact_path).read_bytes()

        def insert() -> None:
            row = ModelVersion.objects.create(
                model=Model.objects.get(name="net"),
                number=number,
                digest=hashlib.sha256(content).hexdigest(),
                size_bytes=len(content),
                format="torchscript",
                state=VersionState.READY,
                signature=SIGNATURE,
            )
            path = artifact_path(row)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

        await in_thread(insert)

    async def ask_for_ever(self) -> None:
        """One client: distinct numbers, each answer compared with that of a right model."""
        headers = {"authorization": f"Bearer {self.secret}"}
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.runtime.inference_port}", headers=headers, timeout=60
        ) as client:
            number = FIRST_NUMBER
            while not self.stop.is_set():
                number += 1
                tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [float(number)] * 4}
                answer = await client.post("/v2/models/net/infer", json={"inputs": [tensor]})
                said = json.loads(answer.content)
                good = answer.status_code == 200 and said["outputs"][0]["data"] == [number * 2.0 + 1.0] * 4
                version = said.get("model_version", "none")
                self.seen[f"{version} {'right' if good else answer.status_code}"] += 1
                self.met_candidate += version == str(self.candidate)

    async def tick_for_ever(self) -> None:
        while not self.stop.is_set():
            await in_thread(run_tick, holder="tests", now=timezone.now())
            await asyncio.sleep(0.5)

    async def until(self, what: str, reached: Callable[[], Any]) -> None:
        """Wait for a condition of this process; AssertionError that says what it was and how all stands.

        Where a client or the tick has died, there is nothing to wait for: raises what it died of.
        """
        try:
            async with asyncio.timeout(HANGS_S):
                while not reached():
                    for task in self.work:
                        if task.done():
                            task.result()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not within {HANGS_S:g} s: {what}; {await in_thread(self.words)}") from None

    async def until_state(self, rollout_id: int, state: str) -> None:
        """Wait for the control loop to bring this rollout there; AssertionError, as `until`."""
        found = ""

        async def follow() -> None:
            nonlocal found
            while found != state:
                found = await in_thread(lambda: Rollout.objects.values_list("state", flat=True).get(pk=rollout_id))
                await asyncio.sleep(0.05)

        following = asyncio.create_task(follow())
        try:
            await self.until(f"rollout {rollout_id} is {state}", following.done)
        finally:
            following.cancel()
        await following

    def answers_by_default(self) -> int | None:
        return self.runtime.manager.routes.defaults.get("net")

    def words(self) -> str:
        """What the newest rollout, the data plane and the clients say."""
        row, node = Rollout.objects.order_by("pk").last(), NodeStatus.objects.filter(name="web").first()
        said = [f"clients saw {dict(self.seen)}"]
        if row is not None:
            said.append(f"the rollout is {row.state}: {row.reason!r} on {row.evidence}")
        if node is not None:
            age_s = (timezone.now() - node.at).total_seconds()
            shadows = [{name: one[name] for name in SHADOW_NUMBERS} for one in node.info["shadows"]]
            said.append(f"measured {age_s:.1f} s ago: {node.info['versions']}, shadows {shadows}")
        versions = [(one.model, one.version, one.state, one.message) for one in self.runtime.manager.statistics()]
        said.append(f"versions now: {versions}")
        return "; ".join(said)


@pytest.fixture
async def site(transactional_db: None, tmp_path: Path) -> AsyncIterator[Site]:
    site = Site()
    await in_thread(models.create_model, actor=ROOT, name="net")
    await site.upload(tmp_path, 1, GOOD)

    def prepare() -> str:
        model = Model.objects.get(name="net")
        versions.promote(actor=ROOT, version=model.versions.get(number=1))
        policies.update_policy(actor=ROOT, model=model, cache_enabled=False)
        return keys.create_key(actor=ROOT, name="app", scope="inference")[1]

    site.secret = await in_thread(prepare)
    await site.runtime.start()
    try:
        await site.until("version 1 answers", lambda: site.answers_by_default() == 1)
        site.work = [asyncio.create_task(site.ask_for_ever()) for _ in range(CLIENTS)]
        site.work.append(asyncio.create_task(site.tick_for_ever()))
        yield site
    finally:
        site.stop.set()
        try:
            await asyncio.gather(*site.work)
        finally:
            await site.runtime.stop()


async def start(site: Site, **fields: Any) -> int:
    def begin() -> int:
        model = Model.objects.get(name="net")
        candidate = model.versions.get(number=site.candidate)
        return rollouts.start(actor=ROOT, model=model, candidate=candidate, **fields).pk

    return await in_thread(begin)


def add_golden_sample(number: int) -> None:
    """What version 1 answers, as this version's golden sample."""
    inputs, outputs = (
        [{"name": name, "datatype": "FP32", "shape": [1, 4], "data": data}]
        for name, data in (("x", [1.0, 2.0, 3.0, 4.0]), ("y", [3.0, 5.0, 7.0, 9.0]))
    )
    golden.add_sample(actor=ROOT, version=ModelVersion.objects.get(number=number), inputs=inputs, outputs=outputs)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_f22_a_bad_version_is_aborted_and_the_default_goes_on(site: Site, tmp_path: Path) -> None:
    """Each kind of bad version on its own, one after the other: the default serves on under all of them."""
    for number, candidate in enumerate(CANDIDATES, start=2):
        await one_bad_version(site, tmp_path, number, candidate)


async def one_bad_version(site: Site, tmp_path: Path, number: int, candidate: str) -> None:
    site.candidate, site.met_candidate = number, 0
    site.seen.clear()
    await site.upload(tmp_path, number, CANDIDATES[candidate])
    if candidate == "does not load":
        await in_thread(lambda: artifact_path(ModelVersion.objects.get(number=number)).write_bytes(b"torn"))
    if candidate == "breaks a golden sample":
        await in_thread(add_golden_sample, number)
    mode = "shadow" if candidate == "is wrong" else "canary"
    steps = [{"weight_percent": 100 if mode == "shadow" else 30, "hold_s": 600}]
    rollout_id = await start(site, mode=mode, steps=steps)
    await site.until_state(rollout_id, "aborted")
    row = await in_thread(lambda: Rollout.objects.get(pk=rollout_id))
    pipeline = site.runtime.pipeline
    await site.until("the data plane knows of the end", lambda: pipeline.snapshot.models["net"].rollout is None)
    calls_before, met_before = site.seen["1 right"], site.met_candidate
    await site.until("200 more right answers of version 1", lambda: site.seen["1 right"] >= calls_before + 200)
    assert CANDIDATES_FAIL_BY[candidate] in row.reason
    assert bool(site.met_candidate) == (candidate in ("raises for half", "is slow"))
    # What was on its way when the weight fell to 0, and nothing since.
    assert site.met_candidate - met_before <= CLIENTS
    assert await in_thread(lambda: Model.objects.get(name="net").default_version.number) == 1
    allowed = {"1 right", f"{number} right"} | ({"none 500"} if candidate == "raises for half" else set())
    assert set(site.seen) <= allowed, (candidate, site.seen)


@pytest.mark.slow
async def test_a_good_version_goes_through_its_steps_and_the_way_back_loses_nothing(site: Site, tmp_path: Path) -> None:
    await site.upload(tmp_path, 2, GOOD)
    steps = [{"weight_percent": 20, "hold_s": 1}, {"weight_percent": 100, "hold_s": 1}]
    rollout_id = await start(site, steps=steps, max_p99_ratio=100)
    await site.until_state(rollout_id, "promoted")
    await site.until("version 2 answers", lambda: site.answers_by_default() == 2)
    await in_thread(lambda: rollouts.roll_back(actor=ROOT, model=Model.objects.get(name="net")))
    site.runtime.feed_soon()
    await site.until("version 1 answers again, for which nothing is loaded", lambda: site.answers_by_default() == 1)
    assert set(site.seen) == {"1 right", "2 right"}, site.seen
