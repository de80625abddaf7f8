"""Load on `digits` while a block runs: one turn after the other in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from bench.digits import digits_work
from bench.harness import HOST, Site
from bench.load import Case, Tally, Target, run_load

INPUTS = 1_500
TURN_S = 5.0
"""Longer than other turns: each draws its sequences anew."""


@contextmanager
def in_turns(turn: Callable[[], Coroutine[Any, Any, list[Tally]]]) -> Iterator[list[Tally]]:
    """Run `turn` again and again in a thread until the block ends."""
    tallies: list[Tally] = []
    is_over = threading.Event()

    def run() -> None:
        while not is_over.is_set():
            tallies.extend(asyncio.run(turn()))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield tallies
    finally:
        is_over.set()
        thread.join()


@contextmanager
def skewed_load(site: Site, clients: int = 8) -> Iterator[list[Tally]]:
    """Clients that ask for 1 500 inputs, popular ones often: a cache of any size between meets some of them."""
    work, chance = digits_work(site), np.random.default_rng(7)
    body = json.loads(work.cases[0].body)
    tensor = body["inputs"][0]
    bodies = []
    for _ in range(INPUTS):
        values = [round(float(value), 4) for value in chance.random(64)]
        bodies.append(json.dumps({**body, "inputs": [{**tensor, "data": values}]}).encode())
    weights = 1 / np.arange(1, len(bodies) + 1) ** 0.8
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {site.first_run['api_key']}"}
    target = Target(HOST, site.inference_port, "/v2/models/digits/infer", headers)

    async def one() -> Tally:
        """A client with a sequence of its own: with a shared one, all would ask for the same at once."""
        asked = chance.choice(len(bodies), size=5_000, p=weights / weights.sum())
        cases = [Case(bodies[index], ()) for index in asked]
        return await run_load(target, cases, connections=1, seconds=TURN_S)

    async def every() -> list[Tally]:
        return list(await asyncio.gather(*(one() for _ in range(clients))))

    with in_turns(every) as tallies:
        yield tallies
