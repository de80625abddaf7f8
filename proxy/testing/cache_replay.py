"""Replays a trace through an eviction policy, or through one that knows the future: the judge of docs/caching.md."""

from __future__ import annotations

import time
from dataclasses import dataclass
from heapq import heappop, heappush

from proxy.cache.eviction import EvictionOrder, Held
from proxy.cache.eviction_orders import eviction_order
from proxy.core.policies import Eviction
from proxy.testing.cache_traces import Trace


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a cache did for a trace: shares of the requests, their bytes and their model time that hits saved.

    `spent_ns` is processor time for one request, of hit or insertion with its evictions.
    """

    hit_ratio: float
    byte_hit_ratio: float
    saved_ratio: float
    saved_ns: int
    spent_ns: float


def footprint_bytes(trace: Trace) -> int:
    """What all of the trace's answers take together."""
    return sum({item.key: item.size_bytes for item in trace}.values())


def replay(trace: Trace, eviction: Eviction, max_bytes: int) -> Replayed:
    """The trace through a cache of `max_bytes` that is empty at first and keeps every answer that fits."""
    order: EvictionOrder[Held] = eviction_order(eviction, max_bytes)
    held: dict[bytes, Held] = {}
    used_bytes = hits = hit_bytes = saved_ns = 0
    touch = order.touch
    began_ns = time.thread_time_ns()
    for item in trace:
        entry = held.get(item.key)
        if entry is not None:
            touch(entry)
            hits += 1
            hit_bytes += item.size_bytes
            saved_ns += item.saved_ns
        elif item.size_bytes <= max_bytes:
            entry = held[item.key] = Held(item.key, item.size_bytes, item.saved_ns)
            order.insert(entry)
            used_bytes += item.size_bytes
            while used_bytes > max_bytes:
                leaving = order.evict()
                del held[leaving.key]
                used_bytes -= leaving.size_bytes
    spent_ns = time.thread_time_ns() - began_ns
    return _replayed(trace, hits, hit_bytes, saved_ns, spent_ns)


def optimum(trace: Trace, max_bytes: int) -> Replayed:
    """The most hits that any policy could have: the answer that is wanted again last leaves (Belady).

    For traces whose answers are all of one size; with others it would be no bound.
    """
    (size_bytes,) = {item.size_bytes for item in trace}
    next_at = _next_uses(trace)
    until: dict[bytes, int] = {}
    latest: list[tuple[int, bytes]] = []  # by minus the next use; an entry that was used meanwhile stands there twice
    hits = saved_ns = 0
    for at, item in enumerate(trace):
        if item.key in until:
            hits += 1
            saved_ns += item.saved_ns
        until[item.key] = next_at[at]
        heappush(latest, (-next_at[at], item.key))
        while len(until) * size_bytes > max_bytes:
            negative, key = heappop(latest)
            if until.get(key) == -negative:
                del until[key]
    return _replayed(trace, hits, hits * size_bytes, saved_ns, 0)


def _next_uses(trace: Trace) -> list[int]:
    """When each request's answer is wanted again; behind the end of the trace: never."""
    next_at, seen = [0] * len(trace), dict[bytes, int]()
    for at in range(len(trace) - 1, -1, -1):
        key = trace[at].key
        next_at[at] = seen.get(key, len(trace) + at)
        seen[key] = at
    return next_at


def _replayed(trace: Trace, hits: int, hit_bytes: int, saved_ns: int, spent_ns: int) -> Replayed:
    return Replayed(
        hit_ratio=hits / len(trace),
        byte_hit_ratio=hit_bytes / sum(item.size_bytes for item in trace),
        saved_ratio=saved_ns / sum(item.saved_ns for item in trace),
        saved_ns=saved_ns,
        spent_ns=spent_ns / len(trace),
    )
