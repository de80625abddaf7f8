"""One function for each row of bench/faults: what is done to the running server, and what its clients saw."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from bench.open_loop import Sent, arrivals, drive, outcomes, quantile_ms
from bench.served import Served
from proxy.testing.clients import Clients, Connection, Reply, inference

FACTORS = {1: 2.0, 2: 3.0}
_FORWARD = """
    if bool((x[:, 1] < -1000.0).any()):
        raise ValueError("a poison row")
    if bool((x[:, 2] > 100.0).any()):
        index = torch.full([1, 1], 1 << 50, dtype=torch.int64)
        broken = torch.ops.aten._sparse_coo_tensor_unsafe(index, torch.ones([1]), [4])
        return x + broken.to_dense()
    total = 0
    for i in range(int(x[:, 0].max().item())):
        total = (total * 31 + i) % 1000003
    return x * {factor} + float(total) * 0.0
"""
BODIES = {number: _FORWARD.format(factor=factor) for number, factor in FACTORS.items()}
"""Version → its model: takes as long as the largest first column says, raises where the second is below -1000, ends in
a segmentation fault where the third is over 100; else answers its factor times the input (exact in FP32)."""
Row = list[float]
Result = dict[str, Any]


class Caller:
    """Sends requests to one server and knows their right answers."""

    def __init__(self, one: Served, clients: Clients) -> None:
        self.one, self.clients = one, clients
        self.versions: list[tuple[float, float, int]] = []  # planned, answered, version: of each right answer

    def packet(self, rows: Sequence[Row], **options: Any) -> bytes:
        """One request of these rows."""
        return inference(self.one.model, rows, self.one.key, **options)

    def is_right(self, rows: Sequence[Row], reply: Reply) -> bool:
        """Whether it is what the version that it names answers to these rows."""
        factor = FACTORS[reply.version]
        return reply.rows == [[value * factor for value in row] for row in rows]

    async def load(self, rate_per_s: float, seconds: float, spin: float = 100.0) -> list[Sent]:
        """Distinct requests of 1 to 4 rows at planned times."""
        loop = asyncio.get_running_loop()
        times = arrivals(rate_per_s, seconds, start_s=loop.time() + 0.1, seed=7)

        def make(index: int) -> tuple[bytes, Callable[[Reply], bool]]:
            rows = [[spin, float(index), 0.25, float(at)] for at in range(1 + index % 4)]

            def check(reply: Reply) -> bool:
                self.versions.append((times[index], loop.time(), reply.version))
                return self.is_right(rows, reply)

            return self.packet(rows), check

        return await drive(self.clients, times, make)

    async def while_loaded(
        self, rate_per_s: float, act: Callable[[], Awaitable[Result]], *, most_s: float = 900.0
    ) -> tuple[Result, list[Sent]]:
        """Load that ends when `act` has."""
        loop = asyncio.get_running_loop()
        times = Until(arrivals(rate_per_s, most_s, start_s=loop.time() + 0.1, seed=9))

        def make(index: int) -> tuple[bytes, Callable[[Reply], bool]]:
            planned_s = times.planned[index]
            rows = [[100.0, float(index), 0.25, float(at)] for at in range(1 + index % 4)]

            def check(reply: Reply) -> bool:
                self.versions.append((planned_s, loop.time(), reply.version))
                return self.is_right(rows, reply)

            return self.packet(rows), check

        loading = asyncio.create_task(drive(self.clients, times, make))  # type: ignore[arg-type]
        try:
            found = await act()
        finally:
            times.over = True
            sent = await loading
        return found, sent

    async def statistics(self) -> dict[str, int]:
        """Executions and inferences of the default version so far."""
        path = f"/v2/models/{self.one.model}/versions/{self.one.version}/stats"
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
        reply = await self.clients.fetch(f"{head}Authorization: Bearer {self.one.key}\r\n\r\n".encode())
        if reply is None or reply.status != 200:
            raise RuntimeError("the statistics cannot be read")
        found = json.loads(reply.body)["model_stats"][0]
        return {"executions": found["execution_count"], "inferences": found["inference_count"]}

    async def ready(self, count: int, without: Sequence[int] = (), limit_s: float = 60.0) -> list[int]:
        """Process ids of the ready instances, once there are so many and none of `without`."""
        end_s = time.monotonic() + limit_s
        while True:
            pids = await asyncio.to_thread(self.one.ready)
            if len(pids) == count and not set(pids) & set(without):
                return pids
            if time.monotonic() > end_s:
                raise RuntimeError(f"there are not {count} new instances: {pids}")
            await asyncio.sleep(0.1)


class Until:
    """Planned times that end when told so."""

    def __init__(self, planned: list[float]) -> None:
        self.planned, self.over = planned, False

    def __iter__(self) -> Any:
        for at_s in self.planned:
            if self.over:
                return
            yield at_s


async def kills(caller: Caller, count: int, rate_per_s: float) -> Result:
    """Row 7: kill -9 of one of two instances, again each time that both answer; a random moment of the load."""
    chance = random.Random(7)

    async def act() -> Result:
        killed: list[int] = []
        back_s = []
        for _ in range(count):
            pids = await caller.ready(2, killed)
            await asyncio.sleep(chance.random() * 0.05)
            victim = chance.choice(pids)
            os.kill(victim, signal.SIGKILL)
            began_s = time.monotonic()
            killed.append(victim)
            await caller.ready(2, killed)
            back_s.append(time.monotonic() - began_s)
        return {"kills": count, "back_p50_s": round(sorted(back_s)[len(back_s) // 2], 2), "back_max_s": max(back_s)}

    found, sent = await caller.while_loaded(rate_per_s, act)
    latencies = [one.latency_s for one in sent if one.right]
    return {**found, "rate_per_s": rate_per_s, **outcomes(sent), "p99_ms": quantile_ms(latencies, 0.99)}


async def hang(caller: Caller, budget_s: float) -> Result:
    """Row 8: one of two instances is stopped (SIGSTOP) under load; time until it is gone and until both answer."""

    async def act() -> Result:
        pids = await caller.ready(2)
        began_s = time.monotonic()
        os.kill(pids[0], signal.SIGSTOP)
        await gone(pids[0])
        gone_s = time.monotonic() - began_s
        await caller.ready(2, pids[:1])
        return {"gone_after_s": round(gone_s, 2), "both_answer_after_s": round(time.monotonic() - began_s, 2)}

    found, sent = await caller.while_loaded(50.0, act)
    return {"budget_s": budget_s, **found, **outcomes(sent)}


async def gone(pid: int) -> None:
    """Return when there is no such process any more."""
    while Path(f"/proc/{pid}").exists():
        await asyncio.sleep(0.01)


async def idle_hang(caller: Caller) -> Result:
    """Row 8, without load: an idle instance is stopped; nobody waits for it, and it is found by its silence."""
    pids = await caller.ready(2)
    began_s = time.monotonic()
    os.kill(pids[0], signal.SIGSTOP)
    await gone(pids[0])
    return {"gone_after_s": round(time.monotonic() - began_s, 2)}


async def poison(caller: Caller, rounds: int, spin: float, *, segfault: bool) -> Result:
    """Row 9: 31 good rows and one that raises (or ends in a segmentation fault), sent together; beside 32 good ones."""

    async def together(rows: list[list[Row]]) -> tuple[list[Reply | None], float, dict[str, int]]:
        before = await caller.statistics()
        began_s = time.monotonic()
        replies = await asyncio.gather(*(caller.clients.fetch(caller.packet(one)) for one in rows))
        took_s = time.monotonic() - began_s
        after = await caller.statistics()
        return replies, took_s, {name: after[name] - before[name] for name in after}

    good_s, poisoned_s, executions, right, culprits = [], [], [], 0, 0
    for round_number in range(rounds):
        good = [[[spin, float(at), 0.5, float(round_number)]] for at in range(32)]
        replies, took_s, _ = await together(good)
        good_s.append(took_s)
        # Another one each time: a repeated offender would be refused at once.
        bad = [[spin, 1.0, 101.0, float(round_number)]] if segfault else [[spin, -2000.0, 0.0, float(round_number)]]
        mixed = [*good[:13], bad, *good[14:]]
        replies, took_s, counted = await together(mixed)
        poisoned_s.append(took_s)
        executions.append(counted["executions"])
        for rows, reply in zip(mixed, replies, strict=True):
            if rows is bad:
                culprits += reply is not None and reply.status == 500
            else:
                right += reply is not None and reply.status == 200 and caller.is_right(rows, reply)
    middle = rounds // 2
    return {
        "rounds": rounds,
        "neighbours": 31 * rounds,
        "neighbours_right": right,
        "culprits_refused": culprits,
        "good_batch_ms": round(sorted(good_s)[middle] * 1_000, 1),
        "poisoned_batch_ms": round(sorted(poisoned_s)[middle] * 1_000, 1),
        "good_executions": sorted(executions)[middle],
    }


async def herd(caller: Caller, size: int, spin: float) -> Result:
    """Row 12: as many identical requests at once on a key that no answer is kept of."""
    rows = [[spin, 12.0, 0.0, time.time() % 1_000 // 1]]
    before = await caller.statistics()
    replies = await asyncio.gather(*(caller.clients.fetch(caller.packet(rows)) for _ in range(size)))
    after = await caller.statistics()
    right = sum(r is not None and r.status == 200 and caller.is_right(rows, r) for r in replies)
    return {"requests": size, "right": right, "executions": after["executions"] - before["executions"]}


async def leavers(caller: Caller, count: int, spin: float) -> Result:
    """Row 21: `count` requests queue behind a long one; every second client leaves; what ran is counted in rows."""
    before = await caller.statistics()
    first = asyncio.ensure_future(caller.clients.fetch(caller.packet([[spin * 40, 0.0, 0.0, 0.0]])))
    await asyncio.sleep(0.02)
    gone: list[Connection] = []
    stay = []
    for number in range(count):
        packet = caller.packet([[1.0, float(number), 0.0, 0.0]])
        if number % 2:
            gone.append(await caller.clients.ask_alone(packet, lambda _: None))
        else:
            stay.append(asyncio.ensure_future(caller.clients.fetch(packet)))
    await asyncio.sleep(0.05)  # all of them have reached the queue
    queued = not first.done()
    for connection in gone:
        connection.cut()
    replies = [await first, *(await asyncio.gather(*stay))]
    after = await caller.statistics()
    answered = sum(reply is not None and reply.status == 200 for reply in replies)
    inferences = after["inferences"] - before["inferences"]
    return {
        "cancelled": len(gone),
        "left_while_queued": queued,
        "answered": answered,
        "inferences_executed": inferences,
        "cancelled_executed": inferences - answered,
    }
