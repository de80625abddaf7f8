"""Who gives a place up when the queue is full: the newest request of the key that has most of it for its weight.

Place: asked only when a bound is met; kept up to date while a level is crowded, forgotten when it has emptied.
Rules: each question costs O(log keys) amortised: the heap holds for each key no less than it has, and is put right at
its top. A newcomer takes a place only from a key that has, after that, no fewer places for its weight than it has.
Source: longest queue drop: Suter, Lakshman, Stiliadis, Choudhury: Design Considerations for Supporting TCP with
Per-flow Queueing, INFOCOM 1998; McKenney: Stochastic Fairness Queueing, INFOCOM 1990.
"""

from __future__ import annotations

import heapq

from proxy.scheduler.entries import Entry
from proxy.scheduler.flows import Flow, Level

# Items kept for each flow before the heap is made anew. Larger: rarer, more memory.
ITEMS_PER_FLOW = 4


class LongestQueue:
    """The flows of one level by the places that they hold, per weight."""

    __slots__ = ("_heap", "_level", "_sequence")

    def __init__(self, level: Level) -> None:
        self._level = level
        self._sequence = 0
        self._list_all()

    def grew(self, flow: Flow) -> None:
        """`flow` has one more request."""
        if flow.live > flow.places * flow.weight:
            self._push(flow)
            if len(self._heap) > ITEMS_PER_FLOW * (len(self._level.flows) + 1):
                self._list_all()

    def first(self) -> Flow | None:
        """The flow that has most."""
        heap = self._heap
        while heap:
            places, _, flow = heap[0]
            if not flow.live or -places != flow.places:
                heapq.heappop(heap)
                if not flow.live:
                    flow.places = 0.0
            elif flow.live < flow.places * flow.weight:
                heapq.heappop(heap)
                self._push(flow)
            else:
                return flow
        return None

    def _push(self, flow: Flow) -> None:
        flow.places = flow.live / flow.weight
        self._sequence += 1
        heapq.heappush(self._heap, (-flow.places, self._sequence, flow))

    def _list_all(self) -> None:
        self._heap: list[tuple[float, int, Flow]] = []
        for flow in self._level.flows.values():
            flow.places = 0.0
            if flow.live:
                self._push(flow)


def may_displace(newcomer_live: int, newcomer_weight: int, heaviest: Flow) -> bool:
    """True if, after the exchange, the newcomer's key has no more for its weight than the other. Pure."""
    return (newcomer_live + 1) * heaviest.weight <= (heaviest.live - 1) * newcomer_weight


def newest(flow: Flow) -> Entry:
    """The request of `flow` that came last; `flow` has one."""
    entries = flow.entries
    while entries[-1].line is None:
        entries.pop()
    return entries[-1]
