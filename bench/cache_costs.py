"""What a look-up, an insertion and a bypassed look-up cost: with and without the watch that draws the curve, and with
and without the ghost caches that compare the orders of eviction.

    python -m bench.cache_costs

Processor time a call, the smallest of many rounds that take turns in one process; 2,000 keys by a Pareto law, a second
of `statistics` between rounds, so that the samples are as thin as at this rate. The figures are this machine's; those
in times are of calls that took turns. Last, what one use costs that the ghost caches follow, all orders together.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from statistics import median

from proxy.cache.bypass import CacheState
from proxy.cache.cache import ResultCache
from proxy.cache.ghost_caches import MOST_BETWEEN_TICKS, USES_PER_S, GhostCaches
from proxy.cache.sampled_stack import Followed
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.system import SystemClock

KEYS = 2_000
CALLS = 20_000
ROUNDS = 60


def per_call_ns(call: Callable[[bytes], object], keys: Sequence[bytes]) -> float:
    """Processor time of `call` for each of `keys`, the loop's own included."""
    began_ns = time.process_time_ns()
    for key in keys:
        call(key)
    return (time.process_time_ns() - began_ns) / len(keys)


def followed_use_ns(keys: Sequence[bytes], asked: Sequence[bytes]) -> float:
    """Processor time of a use that all ghost caches follow, where a cache holds a tenth of what is asked for."""
    answers = {}
    for key in keys:
        answers[key] = known = Followed(0, 1_000)
        known.service_ns, known.is_kept = NS_PER_MS, True
    ghosts = GhostCaches()
    ghosts.tick(0, 0, len(keys) * 1_000 // 10, 1.0)
    most = round(MOST_BETWEEN_TICKS)
    spent_ns = []
    for begin in range(0, len(asked) - most, most):
        spent_ns.append(per_call_ns(lambda key: ghosts.use(key, answers[key]), asked[begin : begin + most]))
        ghosts.tick(0, begin + most, len(keys) * 1_000 // 10, 1.0)
    return median(spent_ns)


def main() -> None:
    """Measure and print."""
    chance = random.Random(1)
    keys = [blake2b(str(number).encode(), digest_size=24).digest() for number in range(KEYS)]
    asked = [keys[min(int(chance.paretovariate(0.7)), KEYS - 1)] for _ in range(CALLS)]
    answer = BatchOutputs((Tensor("y", "FP32", (1, 10), bytes(40)),), 1, batched=True)
    cache = ResultCache(SystemClock())
    cache.configure("m", CachePolicy())
    store, watch = cache._stores["m"], cache._watches["m"]
    ghosts, no_ghosts = watch._ghosts, GhostCaches()

    def look_up(key: bytes) -> None:
        cache.get("m", key, 1)

    def insert(key: bytes) -> None:
        cache.put("m", key, answer, 1, saved_ns=NS_PER_MS)

    def unwatched() -> None:
        store.sampled_below = store.timed_below = b""

    def without_ghosts() -> None:
        watched()
        watch._ghosts = no_ghosts

    def watched() -> None:
        watch._ghosts = ghosts
        watch._open(CacheState.ON)

    def bypassed() -> None:
        watch._open(CacheState.BYPASSED)

    cases: dict[str, tuple[Callable[[], None], Callable[[bytes], None], Sequence[bytes]]] = {
        "hit, not watched": (unwatched, look_up, asked),
        "hit, no ghost caches": (without_ghosts, look_up, asked),
        "hit": (watched, look_up, asked),
        "insertion, not watched": (unwatched, insert, keys),
        "insertion, no ghost caches": (without_ghosts, insert, keys),
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
    show(best)
    decided_us = min(seconds_ns) / 1_000, max(seconds_ns) / 1_000
    print(f"each second's decisions    {decided_us[0]:8.0f} µs, with the curve {decided_us[1]:.0f} µs")
    print(f"share of keys sampled      {watch._curve.rate:8.3f}, by ghost caches {ghosts._rate:.3f}")
    use_ns = followed_use_ns(keys, asked)
    print(
        f"a use that ghosts follow   {use_ns / 1_000:8.1f} µs, {USES_PER_S * use_ns / NS_PER_S:.2%} of a core at most"
    )


def show(best: Mapping[str, float]) -> None:
    """Print what each call costs, and what watching and ghost caches add."""
    for name, value_ns in best.items():
        print(f"{name:26} {value_ns:8.0f} ns")
    print(f"watching costs a hit       {best['hit'] / best['hit, not watched']:8.2f} times")
    for name in ("hit", "insertion"):
        print(f"with ghost caches, {name:9} {best[name] / best[f'{name}, no ghost caches']:6.2f} times")


if __name__ == "__main__":
    main()
