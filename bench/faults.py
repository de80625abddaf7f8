"""Faults under load on the whole server: rows 6, 7, 8, 9, 12 and 21 of docs/reliability.md, every answer checked.

Each row prints and keeps what clients saw. Row 1, no wrong answer, is the sum over all of them (and bench/exactness and
bench/overload): an answer is right if it is exactly what the version that it names answers to the request's rows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import Any

import torch

from bench.fault_rows import BODIES, Caller, hang, herd, idle_hang, kills, leavers, poison
from bench.harness import machine, write_result
from bench.overload import iterations_for
from bench.served import Served, served
from bench.switches import switches
from proxy.testing.clients import Clients

ROWS = ("switches", "kills", "hang", "poison", "herd", "leavers")


async def run(one: Served, arguments: argparse.Namespace) -> dict[str, Any]:
    """The chosen rows in turn on one server."""
    clients = Clients(one.host, one.port)
    await clients.prepare(64)
    caller = Caller(one, clients)
    spin = float(iterations_for(0.004))
    found: dict[str, Any] = {}
    for name in arguments.rows:
        found[name] = await _row(name, caller, spin, arguments)
        print(name, found[name], flush=True)
    await clients.close()
    return found


async def _row(name: str, caller: Caller, spin: float, arguments: argparse.Namespace) -> dict[str, Any]:
    one, to_thread = caller.one, asyncio.to_thread
    if name == "switches":
        await to_thread(keep_both_loaded, one)
        return await switches(caller, arguments.switches, arguments.rate)
    if name == "kills":
        await to_thread(one.set_instances, 2)
        return await kills(caller, arguments.kills, arguments.rate)
    if name == "hang":
        await to_thread(one.set_instances, 2)
        await to_thread(lambda: one.set_policy(execution_timeout_ms=2_000))
        loaded = await hang(caller, 2.0)
        await to_thread(lambda: one.set_policy(execution_timeout_ms=10_000))
        await caller.ready(2)
        return {"under_load": loaded, "idle": await idle_hang(caller)}
    if name == "poison":
        await to_thread(one.set_instances, 2)
        raising = await poison(caller, 10, spin * 5, segfault=False)
        dying = await poison(caller, 3, spin * 5, segfault=True)
        return {"raises": raising, "segmentation_fault": dying}
    if name == "herd":
        await caller.clients.prepare(1_000)
        await to_thread(lambda: one.set_policy(cache_enabled=True))
        result = await herd(caller, 1_000, spin * 5)
        await to_thread(lambda: one.set_policy(cache_enabled=False))
        return result
    await to_thread(one.set_instances, 1)
    return await leavers(caller, 200, spin)


def keep_both_loaded(one: Served) -> None:
    """A second version beside the first, each kept loaded whichever is the default."""
    one.add_version(BODIES[2])
    for number in BODIES:
        path = f"/api/v1/models/{one.model}/versions/{number}"
        status, answer = one.site.api("PATCH", path, one.admin_key, {"keep_loaded": True})
        if status != 200:
            raise RuntimeError(f"version {number} is not kept loaded: {status} {answer}")
    one.wait_ready_versions(2)


def wrong_answers(found: Any) -> int:
    """Sum of every `wrong` in the results."""
    if isinstance(found, dict):
        return sum(value if name == "wrong" else wrong_answers(value) for name, value in found.items())
    return 0


def main() -> int:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=ROWS)
    parser.add_argument("--switches", type=int, default=100)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--rate", type=float, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with served("faulty", BODIES[1], min_instances=1, max_instances=2) as one:
        found = asyncio.run(run(one, arguments))
    found["wrong"] = wrong_answers(found)
    load = {"load_average": os.getloadavg()}
    path = write_result("faults", {"machine": machine() | load, "settings": vars(arguments), "rows": found})
    print(f"kept in {path}")
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
