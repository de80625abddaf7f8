"""Scaling by the real control loop: a step from 20 % to 80 % of two instances' capacity, then a noisy load.

The whole server with Celery's worker and beat; its instances wait instead of computing (bench/waiting_site). Measured:
from the step until the decision, until the second instance answers, and until three seconds in a row are good (99 % of
the requests planned in that second answered right within the target); then, where the load of each second is 30 % up
or down around the threshold between one and two instances, how often the number turns.
The last row of docs/reliability.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from bench.harness import ROOT, machine, write_result
from bench.open_loop import Phases, Sent, generator_late_ms, outcomes, quantile_ms
from bench.served import Served, served
from bench.waiting_site import COMMAND
from proxy.testing.clients import Clients, Reply, inference

BODY = "    return x"
INSTANCES = 2
WINDOW_S = 15.0
"""Seconds that a decision looks back: as long, the calm load runs before scaling is switched on."""
GOOD_SECONDS = 3
TIMEOUT_S = 2.0
SETTLE_S = 1.0
Result = dict[str, Any]


class Bench:
    """One server, one model whose executions of one request each take `execution_s`, and what was seen of it."""

    def __init__(self, one: Served, clients: Clients, execution_s: float) -> None:
        self.one, self.clients, self.execution_s = one, clients, execution_s
        self.instances: list[tuple[float, int]] = []  # (loop's seconds, ready instances) as they changed
        self.load = Phases(clients, self.make)

    def make(self, index: int) -> tuple[bytes, Any]:
        """Request `index` and how its answer is checked."""
        row = [self.execution_s * 1e6, float(index % 4_096), 0.5, -1.0]
        packet = inference(self.one.model, [row], self.one.key, parameters={"timeout": int(TIMEOUT_S * 1e6)})

        def check(reply: Reply) -> bool:
            return reply.rows == [row]

        return packet, check

    async def watch(self) -> None:
        """Note every change of the number of ready instances, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            count = len(await asyncio.to_thread(self.one.ready))
            if not self.instances or self.instances[-1][1] != count:
                self.instances.append((loop.time(), count))
            await asyncio.sleep(0.2)

    def count_reached(self, count: int, after_s: float) -> float | None:
        """When there were `count` ready instances; None: never."""
        return next((at_s for at_s, found in self.instances if found >= count and at_s >= after_s), None)

    def decisions(self) -> list[Result]:
        """The control loop's changes of the number so far, oldest first, at seconds of the loop's clock."""
        path = f"/api/v1/decisions?model={self.one.model}&knob=instances&actor=system:autoscaler"
        status, content = self.one.site.api("GET", path, self.one.admin_key)
        if status != 200:
            raise RuntimeError(f"the decisions cannot be read: {status} {content}")
        ahead_s = time.time() - time.monotonic()  # asyncio's clock is the monotonic one
        found = [
            {
                "at_s": datetime.fromisoformat(row["at"]).timestamp() - ahead_s,
                "from": int(row["from_value"]),
                "to": int(row["to_value"]),
                "reason": row["reason"],
                "words": row["explanation"],
            }
            for row in content["results"]
        ]
        return sorted(found, key=lambda row: row["at_s"])


async def capacity(bench: Bench, seconds: float) -> Result:
    """What two instances answer a second when they are given more."""
    await asyncio.to_thread(bench.one.set_instances, INSTANCES)
    sent, (start_s, end_s) = await bench.load.run((1.2 * INSTANCES / bench.execution_s, seconds))
    right = sum(one.right and start_s + SETTLE_S <= one.done_s < end_s for one in sent)
    return {"requests_per_s": round(right / (end_s - start_s - SETTLE_S), 1), **outcomes(sent)}


def good_again_s(sent: Sequence[Sent], start_s: float, end_s: float, target_s: float) -> float | None:
    """Seconds until three good ones in a row begin, after the first bad one; 0: none was bad; None: never. Pure."""
    in_a_row, was_bad = 0, False
    for second in range(int(end_s - start_s)):
        planned = [one for one in sent if second <= one.planned_s - start_s < second + 1]
        late = sum(not one.right or one.latency_s > target_s for one in planned)
        is_bad = late > 0.01 * len(planned)
        was_bad = was_bad or is_bad
        in_a_row = 0 if is_bad else in_a_row + 1
        if was_bad and in_a_row == GOOD_SECONDS:
            return float(second + 1 - GOOD_SECONDS)
    return None if was_bad else 0.0


def p99_each_second_ms(sent: Sequence[Sent], start_s: float, end_s: float) -> list[float | None]:
    """Of the right answers, by the second in which they were to be sent. Pure."""
    right = [one for one in sent if one.right]
    return [
        quantile_ms([one.latency_s for one in right if second <= one.planned_s - start_s < second + 1], 0.99)
        for second in range(int(end_s - start_s))
    ]


async def step(bench: Bench, capacity_per_s: float, calm_s: float, high_s: float, target_s: float) -> Result:
    """20 % with scaling switched on after its window, then 80 %."""
    one = bench.one
    await asyncio.to_thread(one.set_instances, 1)
    loading = asyncio.create_task(
        bench.load.run((0.2 * capacity_per_s, WINDOW_S + calm_s), (0.8 * capacity_per_s, high_s))
    )
    await asyncio.sleep(WINDOW_S)
    await asyncio.to_thread(lambda: one.set_policy(autoscale=True, max_instances=INSTANCES))
    sent, (start_s, up_s, end_s) = await loading
    decided = await asyncio.to_thread(bench.decisions)
    before = [each for each in sent if start_s + SETTLE_S <= each.planned_s < up_s]
    after = [each for each in sent if each.planned_s >= up_s]
    made = next((row for row in decided if row["at_s"] >= up_s and row["to"] >= INSTANCES), None)
    ready_s = bench.count_reached(INSTANCES, up_s)
    good_s = good_again_s(after, up_s, end_s, target_s)
    return {
        "low_per_s": round(0.2 * capacity_per_s, 1),
        "high_per_s": round(0.8 * capacity_per_s, 1),
        "changes_at_20_percent": sum(row["at_s"] < up_s for row in decided),
        "p99_at_20_percent_ms": quantile_ms([each.latency_s for each in before if each.right], 0.99),
        "decided_after_s": None if made is None else round(made["at_s"] - up_s, 2),
        "decision": "" if made is None else f"{made['reason']}: {made['words']}",
        "ready_after_s": None if ready_s is None else round(ready_s - up_s, 2),
        "good_after_s": good_s,
        "p99_each_second_before_ms": p99_each_second_ms(sent, start_s, up_s),
        "p99_each_second_ms": p99_each_second_ms(sent, up_s, end_s),
        "generator_late_p99_ms": generator_late_ms(sent),
        "before_the_step": outcomes(before),
        "after_the_step": outcomes(after),
    }


def reversals(changes: Sequence[tuple[int, int]]) -> int:
    """How often a change of (from, to) turns the direction of the one before. Pure."""
    return sum((a[1] > a[0]) != (b[1] > b[0]) for a, b in pairwise(changes))


async def noise(bench: Bench, mean_per_s: float, seconds: float) -> Result:
    """A load whose rate is another one each second, at most 30 % from the mean."""
    chance = random.Random(30)
    parts = [(mean_per_s * chance.uniform(0.7, 1.3), 1.0) for _ in range(int(seconds))]
    sent, starts = await bench.load.run(*parts)
    decided = await asyncio.to_thread(bench.decisions)
    during = [row for row in decided if row["at_s"] >= starts[0]]
    before = [row for row in decided if row["at_s"] < starts[0]]
    turns = reversals([(row["from"], row["to"]) for row in [*before[-1:], *during]])  # the step's change up counts
    return {
        "mean_per_s": round(mean_per_s, 1),
        "seconds": seconds,
        "changes": [{**row, "at_s": round(row["at_s"] - starts[0], 1)} for row in during],
        "reversals": turns,
        "p99_ms": quantile_ms([each.latency_s for each in sent if each.right], 0.99),
        "generator_late_p99_ms": generator_late_ms(sent),
        **outcomes(sent),
    }


async def run(one: Served, arguments: argparse.Namespace) -> Result:
    """All phases on one server."""
    clients = Clients(one.host, one.port)
    await clients.prepare(64)
    bench = Bench(one, clients, arguments.execution_ms / 1_000)
    target_s = arguments.target_ms / 1_000
    await bench.load.run((0.5 / bench.execution_s, 2.0))  # the server learns what an execution takes
    found: Result = {"capacity": await capacity(bench, arguments.capacity_seconds)}
    print(found["capacity"], flush=True)
    capacity_per_s = found["capacity"]["requests_per_s"]
    watching = asyncio.create_task(bench.watch())
    found["step"] = await step(bench, capacity_per_s, arguments.calm_seconds, arguments.high_seconds, target_s)
    print(found["step"], flush=True)
    found["noise"] = await noise(bench, arguments.threshold * capacity_per_s, arguments.noise_seconds)
    watching.cancel()
    await clients.close()
    return found


def table(found: Result, settings: Result) -> str:
    """The figures as Markdown."""
    one, noisy = found["step"], found["noise"]
    seconds = [found["capacity"], one["before_the_step"], one["after_the_step"], noisy]
    wrong = sum(part["wrong"] + part["no_answer"] for part in seconds)
    rows = [
        ("capacity of two instances", f"{found['capacity']['requests_per_s']:g} requests/s"),
        ("changes at 20 %, where one instance does", str(one["changes_at_20_percent"])),
        ("p99 at 20 %", f"{one['p99_at_20_percent_ms']} ms"),
        ("step to 80 %: decided after", f"{one['decided_after_s']} s"),
        ("second instance answers after", f"{one['ready_after_s']} s"),
        (f"p99 within {settings['target_ms']:g} ms for {GOOD_SECONDS} s from", f"{one['good_after_s']} s"),
        (
            "refused after the step",
            f"{sum(one['after_the_step']['refused'].values())} of {one['after_the_step']['sent']}",
        ),
        (
            "turns in the noisy load",
            f"{noisy['reversals']} in {noisy['seconds']:g} s ({len(noisy['changes'])} changes)",
        ),
        (
            "p99 and refused in the noisy load",
            f"{noisy['p99_ms']} ms, {sum(noisy['refused'].values())} of {noisy['sent']}",
        ),
        ("wrong or without an answer, all phases", f"{wrong} of {sum(part['sent'] for part in seconds):,}"),
        ("generator late (p99)", f"{max(one['generator_late_p99_ms'], noisy['generator_late_p99_ms'])} ms"),
    ]
    return "\n".join(["| figure | measured |", "|---|--:|", *(f"| {name} | {value} |" for name, value in rows)])


def main() -> int:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--execution-ms", type=float, default=25, help="of one request; batching is off")
    parser.add_argument("--target-ms", type=float, default=250, help="p99 that counts as good: ten executions")
    parser.add_argument("--threshold", type=float, default=0.28, help="mean of the noisy load, of the capacity")
    parser.add_argument("--scale-down-delay-s", type=int, default=10, help="stricter than the policy's default of 60")
    parser.add_argument("--capacity-seconds", type=float, default=5)
    parser.add_argument("--calm-seconds", type=float, default=10, help="of 20 % with scaling on; 15 s go before")
    parser.add_argument("--high-seconds", type=float, default=30)
    parser.add_argument("--noise-seconds", type=float, default=40)
    arguments = parser.parse_args()
    settings = vars(arguments)
    policy = {"max_batch_rows": 1, "min_instances": 1, "scale_down_delay_s": arguments.scale_down_delay_s}
    with served("waits", BODY, command=COMMAND, **policy) as one:
        found = asyncio.run(run(one, arguments))
    found = {"machine": machine() | {"load_average": os.getloadavg()}, "settings": settings, **found}
    text = table(found, settings)
    path = write_result("scaling", found)
    note = f"{found['machine']['processor']}, {found['machine']['cores']} cores, commit {found['machine']['commit']}"
    head = f"# Scaling by the real control loop\n\n{note}, load average {found['machine']['load_average'][0]:.1f}.\n\n"
    path.with_suffix(".md").write_text(f"{head}{text}\n")
    print(f"\n{text}\n\nkept in {path.relative_to(ROOT)}")
    return 1 if found["step"]["good_after_s"] is None or found["noise"]["reversals"] > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
