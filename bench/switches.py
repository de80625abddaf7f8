"""Row 6 of bench/faults: a model's default version changes again and again under load."""

from __future__ import annotations

import asyncio
import bisect
import time
from collections.abc import Sequence
from typing import Any

from bench.fault_rows import Caller, Result
from bench.open_loop import Sent, outcomes, quantile_ms


async def switches(caller: Caller, count: int, rate_per_s: float, *, pause_s: float = 0.25) -> Result:
    """`count` promotions to and fro between two loaded versions, each acknowledged by the API's answer."""
    one, loop = caller.one, asyncio.get_running_loop()
    path = f"/api/v1/models/{one.model}/versions/{{}}/promote"

    async def act() -> dict[str, Any]:
        await asyncio.sleep(8)  # what is called "before"
        began_s = loop.time()
        acknowledged: list[tuple[float, int]] = []
        took_s = []
        for index in range(count):
            number = 2 - index % 2
            asked_s = time.monotonic()
            status, answer = await asyncio.to_thread(one.site.api, "POST", path.format(number), one.admin_key, {})
            if status != 200:
                raise RuntimeError(f"promotion {index} failed: {status} {answer}")
            one.version = number
            took_s.append(time.monotonic() - asked_s)
            acknowledged.append((loop.time(), number))
            await asyncio.sleep(pause_s)
        return {"began_s": began_s, "acknowledged": acknowledged, "took_s": took_s}

    caller.versions.clear()
    found, sent = await caller.while_loaded(rate_per_s, act)
    began_s = found["began_s"]
    before = [each.latency_s for each in sent if each.right and each.planned_s < began_s]
    during = [each.latency_s for each in sent if each.right and each.planned_s >= began_s]
    p99_before, p99_during = quantile_ms(before, 0.99) or 0.0, quantile_ms(during, 0.99) or 0.0
    return {
        "switches": count,
        "rate_per_s": rate_per_s,
        "acknowledged_p50_ms": quantile_ms(found["took_s"], 0.5),
        "acknowledged_p99_ms": quantile_ms(found["took_s"], 0.99),
        "old_after_acknowledgement": stale(caller, found["acknowledged"]),
        "p99_before_ms": p99_before,
        "p99_during_ms": p99_during,
        "p99_ratio": round(p99_during / p99_before, 2) if p99_before else None,
        "failed": failed(sent),
        **outcomes(sent),
    }


def stale(caller: Caller, acknowledged: Sequence[tuple[float, int]]) -> int:
    """Answers of another version than the last acknowledged one, to requests sent between two acknowledgements.

    A request that was answered after the next promotion was asked for may have either version.
    """
    times = [at_s for at_s, _ in acknowledged]
    found = 0
    for planned_s, answered_s, version in caller.versions:
        index = bisect.bisect(times, planned_s) - 1
        if index < 0:
            continue
        next_s = times[index + 1] if index + 1 < len(times) else float("inf")
        if answered_s < next_s - 0.1 and version != acknowledged[index][1]:
            found += 1
    return found


def failed(sent: Sequence[Sent]) -> int:
    """Requests without a right answer."""
    return sum(not one.right for one in sent)
