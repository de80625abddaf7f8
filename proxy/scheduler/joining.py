"""A request that waits for another's execution lends it its place, if that is the better one. No clock, no I/O.

Place: single flight lets identical requests share one execution (proxy.cache.coalescing). The first of them waits in
the queue; a later one of a higher priority, or of a key that has little of a busy queue, must not wait behind a crowd
that it does not belong to.
Rules: only an execution that waits as one is moved; it moves to the follower's level and key, is counted there, and
keeps its deadline and the moment from which it ages. It is never moved to a worse place.
"""

from __future__ import annotations

from proxy.core.requests import InferenceRequest
from proxy.scheduler.entries import Entry
from proxy.scheduler.flows import CREDIT, Flow, Level
from proxy.scheduler.lane import Lane

# Requests ahead in its own key's line that are counted. Larger: finds a better place in longer lines, and costs more.
MOST_COUNTED = 256


def is_better(lane: Lane, entry: Entry, follower: InferenceRequest, now_ns: int) -> bool:
    """True if a newcomer like `follower` would go before `entry`, which waits."""
    line = entry.line
    if line is None:
        return False
    number, key = lane.place_of(follower)
    flow = line.flow
    level: Level = flow.level
    if number != level.number:
        ageing_ns = lane.queue.ageing_ns
        if not ageing_ns:
            return number < level.number
        return now_ns + number * ageing_ns < entry.request.queued_ns + level.number * ageing_ns
    return key != flow.key and _is_ahead(_start(level, key, follower.weight), flow, entry)


def _start(level: Level, key: str, weight: int) -> float:
    """The virtual time at which a newcomer of `key` would go."""
    flow = level.flows.get(key)
    if flow is None:
        return level.virtual - CREDIT
    if not flow.live:
        return max(flow.tag, level.virtual - CREDIT)
    return flow.tag + flow.rows / (flow.weight or weight)


def _is_ahead(start: float, flow: Flow, entry: Entry) -> bool:
    """True if `start` lies before that of `entry` in its flow."""
    at = flow.tag
    for count, other in enumerate(flow.entries):
        if at > start:
            return True
        if other is entry or count >= MOST_COUNTED:
            return False
        if other.line is not None:
            at += other.rows / flow.weight
    return False
