"""Open-loop load: requests leave at planned times whatever happens to those before; latency counts from the plan."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from proxy.testing.clients import Clients, Reply, at_planned_times

Check = Callable[[Reply], bool]
Make = Callable[[int], tuple[bytes, Check]]


@dataclass(slots=True)
class Sent:
    """One request. Times are seconds of the loop's clock; `status` 0: no answer. `version` of a right answer."""

    planned_s: float
    sent_s: float = 0.0
    done_s: float = 0.0
    status: int = 0
    right: bool = False
    hinted: bool = False
    words: str = ""

    @property
    def latency_s(self) -> float:
        """From the planned time to the answer."""
        return self.done_s - self.planned_s


def arrivals(rate_per_s: float, seconds: float, *, start_s: float, seed: int) -> list[float]:
    """Times of a Poisson process."""
    chance = random.Random(seed)
    times, at_s = [], start_s + chance.expovariate(rate_per_s)
    while at_s < start_s + seconds:
        times.append(at_s)
        at_s += chance.expovariate(rate_per_s)
    return times


async def drive(clients: Clients, times_s: Sequence[float], make: Make) -> list[Sent]:
    """Send `make(index)` at each time and return what became of each, once all have ended."""
    sent: list[Sent] = []
    open_requests = Countdown()

    def send(index: int, planned_s: float) -> None:
        one = Sent(planned_s, open_requests.now_s())
        sent.append(one)
        packet, check = make(index)
        open_requests.count += 1
        clients.ask(packet, partial(_ended, one, check, open_requests))

    await at_planned_times(times_s, send)
    await open_requests.reached()
    return sent


Part = tuple[float, float]
"""Requests a second, and for how many seconds."""


class Phases:
    """Loads of several rates, one behind the other; no two parts of a run have the same arrivals."""

    def __init__(self, clients: Clients, make: Make) -> None:
        self._clients, self._make, self._seed = clients, make, 0

    async def run(self, *parts: Part) -> tuple[list[Sent], list[float]]:
        """Drive part after part; returns what became of it, where each part began, and last where all ended."""
        starts, times = [asyncio.get_running_loop().time() + 0.2], []
        for rate_per_s, seconds in parts:
            self._seed += 1
            times += arrivals(rate_per_s, seconds, start_s=starts[-1], seed=self._seed)
            starts.append(starts[-1] + seconds)
        return await drive(self._clients, times, self._make), starts


def _ended(one: Sent, check: Check, open_requests: Countdown, reply: Reply | None) -> None:
    one.done_s = open_requests.now_s()
    if reply is not None:
        one.status = reply.status
        one.right = reply.status == 200 and check(reply)
        one.hinted = reply.retry_after_s is not None
        if reply.status != 200 or not one.right:
            one.words = reply.body[:200].decode(errors="replace")
    open_requests.ended()


class Countdown:
    """Waits until as many ended as began."""

    def __init__(self) -> None:
        self.count = 0
        self._loop = asyncio.get_running_loop()
        self._zero = asyncio.Event()

    def now_s(self) -> float:
        """The loop's clock."""
        return self._loop.time()

    def ended(self) -> None:
        """One more has ended."""
        self.count -= 1
        if self.count == 0:
            self._zero.set()

    async def reached(self) -> None:
        """Return when none is open."""
        while self.count:
            self._zero.clear()
            await self._zero.wait()


def quantile_ms(values_s: Sequence[float], q: float) -> float | None:
    """Quantile in ms, None of nothing."""
    ordered = sorted(values_s)
    return round(ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1_000, 2) if ordered else None


def generator_late_ms(sent: Sequence[Sent]) -> float | None:
    """How late the generator was (p99). Much more than a millisecond: it lacked a core, and the run says little."""
    return quantile_ms([one.sent_s - one.planned_s for one in sent], 0.99)


def outcomes(sent: Sequence[Sent]) -> dict[str, Any]:
    """Counts of everything: right, wrong, each other status, no answer."""
    statuses = Counter(one.status for one in sent if one.status not in (0, 200))
    return {
        "sent": len(sent),
        "right": sum(one.right for one in sent),
        "wrong": sum(one.status == 200 and not one.right for one in sent),
        "refused": {str(status): count for status, count in sorted(statuses.items())},
        "no_answer": sum(one.status == 0 for one in sent),
        "example": next((one.words for one in sent if one.words), ""),
    }
