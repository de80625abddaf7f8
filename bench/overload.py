"""Overload by an open loop: goodput at 10 and 50 times the peak, refusals, steps, recovery, deadlines at 80 % load.

The model runs a loop whose length stands in its input, so that one execution takes a chosen time on one core, whatever
the number of rows (at most 2). With `--waiting`, the data plane alone serves an instance that waits that long instead:
for machines whose cores are not free (a loop that is not scheduled is a model that suddenly takes longer). Requests
leave at planned times (Poisson, seeded) and latency counts from the plan. Goodput counts right answers within the
deadline by the client's clock; the request carries 5 ms less, which its client keeps for the way back. Peak is the best
of three rates around the capacity, in the same run. Rows 2, 3, 4 and 5 of docs/reliability.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from bench.harness import machine, write_result
from bench.open_loop import Phases, Sent, generator_late_ms, outcomes, quantile_ms
from bench.served import Served, served
from bench.waiting_plane import WaitingPlane, waiting_plane
from proxy.testing import models
from proxy.testing.clients import Clients, Reply, inference

BODY = """
    total = 0
    for i in range(int(x[0, 0].item())):
        total = (total * 31 + i) % 1000003
    return x + float(total) * 0.0
"""
ROWS = 2
SETTLE_S = 2.0
"""Beginning of each phase that is not counted: what was before has left by then."""
GOOD_SHARE = 0.9
"""A window counts as good from this share of the peak's goodput on."""
WINDOW_S, STEP_S = 0.5, 0.05
RETURN_S = 0.005
Result = dict[str, Any]


def iterations_for(execution_s: float) -> int:
    """Length of the model's loop that takes so long on this machine, now."""
    module = models.from_source(BODY)
    count = 20_000
    for _ in range(6):
        x = torch.tensor([[float(count), 0.0, 0.0, 0.0]])
        began_s = time.perf_counter()
        for _ in range(3):
            module(x)
        count = max(int(count * execution_s / ((time.perf_counter() - began_s) / 3)), 100)
    return count


class Bench:
    """One server, one model, and phases of load on it."""

    def __init__(self, one: Served | WaitingPlane, clients: Clients, execution_s: float, timeout_s: float) -> None:
        self.one, self.clients = one, clients
        self.iterations, self.capacity_per_s, self.timeout_s = 0, 0.0, 0.0
        self.take(execution_s, timeout_s)
        self.load = Phases(clients, self.make)

    def take(self, execution_s: float, timeout_s: float) -> None:
        """From now on an execution takes so long, and a request has so much time."""
        waits = isinstance(self.one, WaitingPlane)
        self.iterations = round(execution_s * 1e6) if waits else iterations_for(execution_s)
        self.capacity_per_s = ROWS / execution_s
        self.timeout_s = timeout_s

    def make(self, index: int) -> tuple[bytes, Any]:
        """Request `index` and how its answer is checked."""
        row = [float(self.iterations), float(index % 4_096), 0.5, -1.0]
        parameters = {"timeout": int((self.timeout_s - RETURN_S) * 1e6)}
        packet = inference(self.one.model, [row], self.one.key, parameters=parameters)

        def check(reply: Reply) -> bool:
            return reply.rows == [row]

        return packet, check

    def goodput(self, sent: Sequence[Sent], start_s: float, end_s: float) -> float:
        """Right answers in time a second, by when they came."""
        good = sum(one.right and one.latency_s <= self.timeout_s and start_s <= one.done_s < end_s for one in sent)
        return good / (end_s - start_s)


async def peak(bench: Bench, seconds: float) -> Result:
    """The best goodput of three rates around the capacity."""
    found = []
    for ratio in (0.9, 1.1, 1.3):
        sent, (start_s, end_s) = await bench.load.run((ratio * bench.capacity_per_s, seconds))
        goodput = bench.goodput(sent, start_s + SETTLE_S, end_s)
        found.append({"ratio": ratio, "goodput_per_s": round(goodput, 1), **outcomes(sent)})
    return {"rates": found, "goodput_per_s": max(row["goodput_per_s"] for row in found)}


async def overload(bench: Bench, ratio: float, peak_per_s: float, seconds: float) -> Result:
    """Goodput, refusals and what they cost at `ratio` times the peak."""
    web = bench.one.web()
    (instance,) = bench.one.instances()
    before_s, own_before_s = sum(web.cpu_times()[:2]), time.process_time()
    instance_before_s = sum(instance.cpu_times()[:2])
    sent, (start_s, end_s) = await bench.load.run((ratio * peak_per_s, seconds))
    instance_s = sum(instance.cpu_times()[:2]) - instance_before_s
    web_s, own_s = sum(web.cpu_times()[:2]) - before_s, time.process_time() - own_before_s
    refused = [one for one in sent if one.status in (429, 503)]
    accepted = [one.latency_s for one in sent if one.right]
    goodput = bench.goodput(sent, start_s + SETTLE_S, end_s)
    return {
        "ratio": ratio,
        "offered_per_s": round(len(sent) / seconds, 1),
        "goodput_per_s": round(goodput, 1),
        "goodput_of_peak": round(goodput / peak_per_s, 4),
        "accepted_p99_ms": quantile_ms(accepted, 0.99),
        "refusals": len(refused),
        "refusal_p50_ms": quantile_ms([one.latency_s for one in refused], 0.5),
        "refusal_p99_ms": quantile_ms([one.latency_s for one in refused], 0.99),
        "refusals_without_retry_after": sum(not one.hinted for one in refused),
        "web_cores": round(web_s / seconds, 3),
        "web_us_per_refusal": round(web_s / max(len(refused), 1) * 1e6, 1),
        "generator_cores": round(own_s / seconds, 3),
        "instance_cores": round(instance_s / seconds, 3),
        "generator_late_p99_ms": generator_late_ms(sent),
        "connections": bench.clients.opened,
        **outcomes(sent),
    }


async def step(bench: Bench, ratio: float, peak_per_s: float) -> Result:
    """From half the peak to `ratio` times it and back: how long until goodput is good, how long until calm again."""
    parts = ((0.5 * peak_per_s, 4.0), (ratio * peak_per_s, 6.0), (0.5 * peak_per_s, 4.0))
    sent, (start_s, up_s, down_s, _) = await bench.load.run(*parts)
    calm = [one.latency_s for one in sent if one.right and start_s + 1 <= one.planned_s < up_s]
    limit_s = 2 * (quantile_ms(calm, 0.99) or 0.0) / 1_000
    late = [one for one in sent if one.planned_s >= down_s and (not one.right or one.latency_s > limit_s)]
    return {
        "ratio": ratio,
        "stable_after_ms": round(stable_after(bench, sent, up_s, down_s, peak_per_s) * 1_000),
        "recovered_after_ms": round(max((one.planned_s - down_s for one in late), default=0.0) * 1_000),
        "calm_p99_ms": quantile_ms(calm, 0.99),
        "goodput_per_s": round(bench.goodput(sent, up_s + 1, down_s), 1),
        "after_the_step": outcomes([one for one in sent if one.planned_s >= down_s]),
        **outcomes(sent),
    }


def stable_after(bench: Bench, sent: Sequence[Sent], up_s: float, down_s: float, peak_per_s: float) -> float:
    """Seconds after the step until every later window of 500 ms has 90 % of the peak's goodput.

    A window that begins at the step is full of what was admitted before it, so the first one that counts ends then.
    """
    bad_s = 0.0
    at_s = up_s
    while at_s + WINDOW_S <= down_s:
        if bench.goodput(sent, at_s, at_s + WINDOW_S) < GOOD_SHARE * min(peak_per_s, bench.capacity_per_s):
            bad_s = at_s + STEP_S - up_s
        at_s += STEP_S
    return bad_s


async def deadlines(bench: Bench, peak_per_s: float, seconds: float) -> Result:
    """Accepted requests inside their deadline at 80 % of the peak."""
    sent, (start_s, _) = await bench.load.run((0.8 * peak_per_s, seconds))
    accepted = [one for one in sent if one.status not in (429, 503) and one.planned_s > start_s + SETTLE_S]
    inside = sum(one.right and one.latency_s <= bench.timeout_s for one in accepted)
    return {
        "timeout_ms": bench.timeout_s * 1_000,
        "offered_per_s": round(0.8 * peak_per_s, 1),
        "accepted": len(accepted),
        "inside": inside,
        "inside_ratio": round(inside / max(len(accepted), 1), 6),
        "p99_ms": quantile_ms([one.latency_s for one in accepted], 0.99),
        "generator_late_p99_ms": generator_late_ms(sent),
        "p9999_ms": quantile_ms([one.latency_s for one in accepted], 0.9999),
        **outcomes(sent),
    }


async def run(one: Served | WaitingPlane, arguments: argparse.Namespace) -> Result:
    """Every phase on one server."""
    clients = Clients(one.host, one.port)
    await clients.prepare(256)
    bench = Bench(one, clients, arguments.execution_ms / 1_000, arguments.timeout_ms / 1_000)
    await bench.load.run((bench.capacity_per_s * 0.7, 3.0))  # the server learns what an execution takes
    found: Result = {"peak": await peak(bench, arguments.seconds)}
    print(found["peak"], flush=True)
    peak_per_s = found["peak"]["goodput_per_s"]
    found["overload"] = []
    for ratio in arguments.ratios:
        found["overload"].append(await overload(bench, ratio, peak_per_s, arguments.seconds))
        print(found["overload"][-1], flush=True)
    found["steps"] = []
    for ratio in (1.4, 10.0):
        found["steps"].append(await step(bench, ratio, peak_per_s))
        print(found["steps"][-1], flush=True)
    bench.take(arguments.deadline_execution_ms / 1_000, arguments.deadline_ms / 1_000)
    await bench.load.run((bench.capacity_per_s * 0.7, 3.0))
    fast = await peak(bench, 5.0)
    found["deadline_peak"] = fast
    found["deadlines"] = await deadlines(bench, fast["goodput_per_s"], arguments.deadline_seconds)
    print(found["deadlines"], flush=True)
    await clients.close()
    return found


def main() -> int:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of each phase of peak and overload")
    parser.add_argument("--ratios", type=float, nargs="*", default=[10.0, 50.0])
    parser.add_argument("--execution-ms", type=float, default=25, help="of one execution of at most 2 rows")
    parser.add_argument("--timeout-ms", type=float, default=500)
    parser.add_argument("--deadline-execution-ms", type=float, default=3)
    parser.add_argument("--deadline-ms", type=float, default=100)
    parser.add_argument("--deadline-seconds", type=float, default=40)
    parser.add_argument("--waiting", action="store_true", help="the data plane alone, with an instance that waits")
    arguments = parser.parse_args()
    if arguments.seconds < SETTLE_S + WINDOW_S:
        parser.error(
            f"--seconds: the first {SETTLE_S:g} of each phase do not count; give {SETTLE_S + WINDOW_S:g} or more"
        )
    torch.set_num_threads(1)
    whole = partial(served, "spins", BODY, max_batch_rows=ROWS, min_instances=1, max_instances=1)
    with waiting_plane(ROWS) if arguments.waiting else whole() as one:
        found = asyncio.run(run(one, arguments))
    load = {"load_average": os.getloadavg()}
    name = "overload-waiting" if arguments.waiting else "overload"
    path = write_result(name, {"machine": machine() | load, "settings": vars(arguments), **found})
    print(f"kept in {path}")
    return 1 if any(row["wrong"] for row in [*found["overload"], *found["steps"], found["deadlines"]]) else 0


if __name__ == "__main__":
    sys.exit(main())
