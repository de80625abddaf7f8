"""A whole data plane on free ports, without Django: real instances, real sockets, a wanted state made by the test."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections import Counter
from pathlib import Path

import httpx

from proxy.core.policies import CachePolicy, ModelPolicy, QueuePolicy, ScalingPolicy
from proxy.core.snapshot import KeySnapshot, ModelSnapshot, Snapshot, VersionSnapshot
from proxy.core.units import NS_PER_S
from proxy.runtime import Runtime, RuntimeConfig

logging.getLogger("httpx").setLevel(logging.WARNING)  # a line a request hides what a failing test has to say

KEY = "dlp_" + "k" * 43
HANGS_S = 180.0
"""Longer than anything here takes on any machine: a test that waits so long hangs."""
PATIENT_QUEUE = QueuePolicy(default_timeout_ns=120 * NS_PER_S)
"""The longest that a policy allows: on a busy machine an instance may take half a minute to start."""
PLAIN_POLICY = ModelPolicy(cache=CachePolicy(enabled=False), scaling=ScalingPolicy(enabled=False), queue=PATIENT_QUEUE)


class Plane:
    """The runtime, its wanted state, and clients that compare every answer with the right one."""

    def __init__(self, folder: Path, **config) -> None:
        self.folder = folder
        self.snapshot = Snapshot(1, {}, {})
        self.reports: list[object] = []
        made = RuntimeConfig(inference_port=0, feed_interval_s=0.05, **config)
        self.runtime = Runtime(made, self._load, self.reports.append)

    def _load(self, known: int | None) -> Snapshot | None:
        return None if known == self.snapshot.generation else self.snapshot

    def want(
        self, *versions: VersionSnapshot, default: int, instances: int = 1, policy: ModelPolicy = PLAIN_POLICY
    ) -> None:
        """Make these versions of one model the wanted state, at once."""
        name = versions[0].model
        model = ModelSnapshot(name, {v.number: v for v in versions}, default, instances, policy)
        key = KeySnapshot("1", "test", hashlib.sha256(KEY.encode()).hexdigest())
        generation = self.snapshot.generation + 1
        self.snapshot = Snapshot(generation, {name: model}, {key.digest_hex: key})
        self.runtime.feed_soon()

    def client(self) -> httpx.AsyncClient:
        """A keep-alive client with the key."""
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.runtime.inference_port}",
            headers={"authorization": f"Bearer {KEY}"},
            timeout=HANGS_S,
        )

    async def until(self, reached, limit_s: float = HANGS_S) -> None:
        """Wait for a condition; AssertionError that says how all stands, beside the line that waited."""
        try:
            async with asyncio.timeout(limit_s):
                while not reached():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"what was waited for did not come within {limit_s:g} s; {self.words()}") from None

    def words(self) -> str:
        """What the data plane says of its versions, instances and lanes."""
        runtime = self.runtime
        versions = [
            f"{one.model}/{one.version} {one.state}, {one.instances_ready} ready {one.message!r}"
            for one in runtime.manager.statistics()
        ]
        instances = [f"{one.instance_id} {one.state}" for one in runtime.manager.instance_statistics()]
        lanes = [
            f"{key}: {lane.queue_depth} wait, {lane.in_flight} in flight, {lane.executions} executions"
            for key, lane in runtime.scheduler.statistics().items()
        ]
        generations = f"generation {self.snapshot.generation}, applied {runtime.pipeline.snapshot.generation}"
        return f"{generations}; versions {versions}; instances {instances}; lanes {lanes}"

    def serving(self, model: str) -> int | None:
        return self.runtime.manager.routes.defaults.get(model)

    def ready(self, key: str) -> list:
        group = self.runtime.manager.groups().get(key)
        return list(group.ready_instances()) if group else []

    async def load(self, model: str, until: asyncio.Event, right, seen: Counter, clients: int = 8) -> None:
        """Send distinct numbers from `clients` connections until told to stop; `right(version, x)` is the right answer.

        `seen` counts `right`, `wrong`, statuses other than 200, and errors of the connection.
        """
        numbers = iter(range(1, 10_000_000))

        async def one(client: httpx.AsyncClient) -> None:
            while not until.is_set():
                x = [float(next(numbers))] * 4
                body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": x}]}
                try:
                    response = await client.post(f"/v2/models/{model}/infer", json=body)
                except httpx.HTTPError as error:
                    seen[type(error).__name__] += 1
                    continue
                if response.status_code != 200:
                    seen[response.status_code] += 1
                    continue
                answer = json.loads(response.content)
                good = answer["outputs"][0]["data"] == [right(int(answer["model_version"]), v) for v in x]
                seen["right" if good else "wrong"] += 1
                seen[f"version {answer['model_version']}"] += 1

        async with self.client() as client:
            await asyncio.gather(*(one(client) for _ in range(clients)))
