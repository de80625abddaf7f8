"""No answer ever meets another request: a million requests with distinct inputs, kills and cut connections among them.

The model answers 2x + 1, which is exact in FP32 for the numbers that are sent, so an answer is right only if it equals
what its own rows give, in value and in place. Requests have 1 to 8 rows, one in a hundred is cut off by its client at a
random moment, and one of two instances is killed every few seconds. Beside it, a network of matrix products is asked by
one client at a time (each execution has the shape of its request) and must equal a direct call bit for bit, then by 32
at once (batches of other shapes), where the largest difference is reported.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
import psutil
import torch

from bench import registry
from bench.harness import machine, write_result
from bench.peers import models as networks
from bench.served import Served, served
from proxy.testing.clients import Clients, Connection, Reply, post

BODY = """
    return x * 2.0 + 1.0
"""
NETWORK = "tiny"
TOLERANCE = 1e-4
"""Of FP32 scores around 1: another batch shape adds in another order."""
Result = dict[str, Any]


class Million:
    """Closed loops of distinct requests on one server."""

    def __init__(self, one: Served, total: int, seed: int) -> None:
        self.one, self.total = one, total
        self.counts: Counter[str] = Counter()
        self.example = ""
        self.kills = 0
        self._sent = 0
        self._chance = random.Random(seed)
        self._clients = Clients(one.host, one.port)
        self._path = f"/v2/models/{one.model}/infer"

    async def run(self, connections: int, kill_every_s: float) -> Result:
        """Send them all; returns the counts."""
        began_s = time.monotonic()
        await self._clients.prepare(connections)
        killing = asyncio.create_task(self._kill(kill_every_s))
        await asyncio.gather(*(self._client() for _ in range(connections)))
        killing.cancel()
        await self._clients.close()
        seconds = time.monotonic() - began_s
        ended = sum(self.counts.values())
        found = {"sent": self._sent, "ended": ended, **self.counts, "wrong": self.counts["wrong"]}
        return found | {
            "kills": self.kills,
            "seconds": round(seconds, 1),
            "requests_per_s": round(self._sent / seconds),
            "example": self.example,
        }

    def _next(self) -> tuple[bytes, list[float]]:
        number = self._sent
        self._sent += 1
        rows = 1 + number % 8
        flat = [float(value) for row in range(rows) for value in (number, row, number % 97, 0.5)]
        body = f'{{"inputs":[{{"name":"x","datatype":"FP32","shape":[{rows},4],"data":{flat}}}]}}'
        return post(self._path, self.one.key, body.encode()), flat

    async def _client(self) -> None:
        while self._sent < self.total:
            packet, flat = self._next()
            if self._chance.random() < 0.01:
                await self._cut_one(packet, flat)
            else:
                self._count(await self._clients.fetch(packet), flat, "broken")

    async def _cut_one(self, packet: bytes, flat: list[float]) -> None:
        """Send it on a connection of its own, which is cut at a random moment of the answer's usual time."""
        ended: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        connection: Connection = await self._clients.ask_alone(packet, ended.set_result)
        await asyncio.wait((ended,), timeout=self._chance.expovariate(100))
        connection.cut()
        self._count(await ended, flat, "left")
        self._clients.forget(connection)

    def _count(self, reply: Reply | None, flat: list[float], without: str) -> None:
        if reply is None:
            self.counts[without] += 1
        elif reply.status != 200:
            self.counts[f"status {reply.status}"] += 1
        elif json.loads(reply.body)["outputs"][0]["data"] == [2 * value + 1 for value in flat]:
            self.counts["right"] += 1
        else:
            self.counts["wrong"] += 1
            self.example = self.example or f"{flat}: {reply.body[:300]!r}"

    async def _kill(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            pids = await asyncio.to_thread(self.one.ready)
            if len(pids) == 2:
                with contextlib.suppress(psutil.NoSuchProcess):
                    psutil.Process(self._chance.choice(pids)).kill()
                    self.kills += 1


async def network(one: Served, requests: int) -> Result:
    """The network's answers beside direct calls: of the same shape bit for bit, of other shapes within a tolerance."""
    model, chance = networks.build(NETWORK), np.random.default_rng(3)
    width = networks.dims(NETWORK)[0]
    clients = Clients(one.host, one.port)
    equal, worst = 0, 0.0

    async def ask(rows: np.ndarray) -> np.ndarray:
        tensor = {"name": one_input, "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()}
        packet = post(f"/v2/models/{NETWORK}/infer", one.key, json.dumps({"inputs": [tensor]}).encode())
        reply = await clients.fetch(packet)
        if reply is None or reply.status != 200:
            raise RuntimeError(f"the network did not answer: {reply}")
        output = json.loads(reply.body)["outputs"][0]
        return np.asarray(output["data"], np.float32).reshape(output["shape"])

    status, found = one.site.api("GET", f"/api/v1/models/{NETWORK}/versions/1", one.admin_key)
    one_input = found["signature"]["inputs"][0]["name"] if status == 200 else "input"

    def direct(rows: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(rows)).numpy()

    inputs = [chance.standard_normal((1 + at % 8, width), np.float32) for at in range(requests)]
    for rows in inputs:
        equal += (await ask(rows)).tobytes() == direct(rows).tobytes()
    for at in range(0, requests, 32):
        together = inputs[at : at + 32]
        for rows, answer in zip(together, await asyncio.gather(*map(ask, together)), strict=True):
            worst = max(worst, float(np.abs(answer - direct(rows)).max()))
    await clients.close()
    return {
        "requests": requests,
        "same_shape_bit_equal": equal,
        "other_shapes_largest_difference": worst,
        "tolerance": TOLERANCE,
        "within_tolerance": worst <= TOLERANCE,
    }


def text(found: Result) -> str:
    """The result as Markdown."""
    million, net = found["million"], found["network"]
    ended = ", ".join(f"{value:,} {name}" for name, value in million.items() if name.startswith(("status", "broken")))
    return (
        f"# Exactness\n\n{found['machine']['processor']}, {found['machine']['cores']} cores, "
        f"Python {found['machine']['python']}, commit {found['machine']['commit']}.\n\n"
        f"- {million['sent']:,} requests with distinct inputs over the socket: {million['right']:,} right, "
        f"{million['wrong']} wrong, {million.get('left', 0):,} cut off by their clients"
        f"{', ' + ended if ended else ''}; "
        f"{million['kills']} kills of an instance; {million['requests_per_s']:,} requests/s.\n"
        f"- {net['requests']:,} requests to a network of matrix products: {net['same_shape_bit_equal']:,} equal a "
        f"direct call of the same shape bit for bit; in batches of other shapes the largest difference was "
        f"{net['other_shapes_largest_difference']:.1e} (tolerance {net['tolerance']:g}).\n"
    )


async def run(one: Served, arguments: argparse.Namespace) -> Result:
    """Both parts."""
    net = await network(one, arguments.network_requests)
    print(net, flush=True)
    million = await Million(one, arguments.requests, seed=1).run(arguments.connections, arguments.kill_every_s)
    print(million, flush=True)
    return {"network": net, "million": million}


def main() -> int:
    """Run, print, keep as data and as text."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--kill-every-s", type=float, default=5)
    parser.add_argument("--network-requests", type=int, default=512)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with served("exact", BODY, min_instances=2, max_instances=2) as one:
        registry.upload(one.site, one.admin_key, NETWORK)
        registry.set_policy(one.site, one.admin_key, NETWORK, cache_enabled=False, autoscale=False)
        found = asyncio.run(run(one, arguments))
    found = {"machine": machine() | {"load_average": os.getloadavg()}, "settings": vars(arguments), **found}
    path = write_result("exactness", found)
    path.with_suffix(".md").write_text(text(found))
    print(f"kept in {path}")
    million, net = found["million"], found["network"]
    good = not million["wrong"] and million["sent"] == million["ended"] and net["within_tolerance"]
    return 0 if good and net["same_shape_bit_equal"] == net["requests"] else 1


if __name__ == "__main__":
    sys.exit(main())
