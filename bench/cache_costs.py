"""What a look-up, an insertion and a bypassed look-up cost, with and without the watch that draws the curve.

    python -m bench.cache_costs

Processor time a call, the smallest of many rounds that take turns in one process; 2,000 keys by a Pareto law, a second
of `statistics` between rounds, so that the sample is as thin as at this rate. The figures are this machine's.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b

from proxy.cache.bypass import CacheState
from proxy.cache.cache import ResultCache
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_MS
from proxy.system import SystemClock

KEYS = 2_000
CALLS = 50_000
ROUNDS = 15


def per_call_ns(call: Callable[[bytes], object], keys: Sequence[bytes]) -> float:
    """Processor time of `call` for each of `keys`, the loop's own included."""
    began_ns = time.process_time_ns()
    for key in keys:
        call(key)
    return (time.process_time_ns() - began_ns) / len(keys)


def main() -> None:
    """Measure and print."""
    chance = random.Random(1)
    keys = [blake2b(str(number).encode(), digest_size=24).digest() for number in range(KEYS)]
    asked = [keys[min(int(chance.paretovariate(0.7)), KEYS - 1)] for _ in range(CALLS)]
    answer = BatchOutputs((Tensor("y", "FP32", (1, 10), bytes(40)),), 1, batched=True)
    cache = ResultCache(SystemClock())
    cache.configure("m", CachePolicy())
    store, watch = cache._stores["m"], cache._watches["m"]

    def look_up(key: bytes) -> None:
        cache.get("m", key, 1)

    def insert(key: bytes) -> None:
        cache.put("m", key, answer, 1, saved_ns=NS_PER_MS)

    def unwatched() -> None:
        store.sampled_below = store.timed_below = b""

    def watched() -> None:
        watch._open(CacheState.ON)

    def bypassed() -> None:
        watch._open(CacheState.BYPASSED)

    cases: dict[str, tuple[Callable[[], None], Callable[[bytes], None], Sequence[bytes]]] = {
        "hit, not watched": (unwatched, look_up, asked),
        "hit": (watched, look_up, asked),
        "insertion, not watched": (unwatched, insert, keys),
        "insertion": (watched, insert, keys),
        "bypassed look-up": (bypassed, look_up, asked),
    }
    per_call_ns(insert, keys)
    best = dict.fromkeys(cases, float("inf"))
    seconds_ns = []
    gc.disable()
    for _ in range(ROUNDS):
        for name, (prepare, call, with_keys) in cases.items():
            prepare()
            best[name] = min(best[name], per_call_ns(call, with_keys))
        watched()
        began_ns = time.process_time_ns()
        cache.statistics()
        seconds_ns.append(time.process_time_ns() - began_ns)
    for name, value_ns in best.items():
        print(f"{name:24} {value_ns:8.0f} ns")
    print(f"watching costs a hit     {best['hit'] / best['hit, not watched']:8.2f} times")
    print(
        f"each second's decisions  {min(seconds_ns) / 1_000:8.0f} µs, with the curve {max(seconds_ns) / 1_000:.0f} µs"
    )
    print(f"share of keys sampled    {watch._curve.rate:8.3f}")


if __name__ == "__main__":
    main()
