"""Decides which idle instance runs a batch. Pure.

An idle instance has nothing outstanding, so least outstanding ties by definition; ties go round, as in nginx's
least_conn. Round robin is the instance whose turn is longest ago. Least response time compares peak EWMAs.
Source: Finagle PeakEwma.scala and Ema.scala (load = cost × (pending + 1), decay on read, a rise forgets the past).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp

from proxy.core.policies import Placement
from proxy.core.units import NS_PER_S
from proxy.scheduler.ports import InstancePort

# Time constant of the response time average. Larger: longer memory of a slow spell. Finagle's default.
DECAY_NS = 10 * NS_PER_S


class PeakEwma:
    """A response time that follows rises at once and falls slowly, and decays while unused."""

    __slots__ = ("_at_ns", "_cost_ns")

    def __init__(self) -> None:
        self._cost_ns = 0.0
        self._at_ns = 0

    def observe(self, response_ns: float, now_ns: int) -> None:
        """Take in one response time."""
        if response_ns > self._cost_ns:
            self._cost_ns = float(response_ns)
        else:
            weight = exp(-max(now_ns - self._at_ns, 0) / DECAY_NS)
            self._cost_ns = response_ns * (1 - weight) + self._cost_ns * weight
        self._at_ns = now_ns

    def cost_ns(self, now_ns: int) -> float:
        """The average as of now; reading changes nothing."""
        return self._cost_ns * exp(-max(now_ns - self._at_ns, 0) / DECAY_NS)


class InstanceRecord:
    """What placement remembers of one instance: response times, its last turn and since when it is idle (0: never)."""

    __slots__ = ("idle_ns", "last_turn", "response")

    def __init__(self) -> None:
        self.response = PeakEwma()
        self.last_turn = 0
        self.idle_ns = 0


_UNKNOWN = InstanceRecord()


def place(
    idle: Sequence[InstancePort], placement: Placement, records: Mapping[str, InstanceRecord], now_ns: int
) -> InstancePort:
    """One of `idle` (never empty): the one that `placement` prefers; among equals the one whose turn is longest ago.

    An instance that has never answered costs nothing, so it is tried at once.
    """
    if len(idle) == 1:
        return idle[0]

    def rank(instance: InstancePort) -> tuple[float, int]:
        record = records.get(instance.instance_id, _UNKNOWN)
        if placement is Placement.ROUND_ROBIN:
            return 0.0, record.last_turn
        if placement is Placement.LEAST_OUTSTANDING:
            return float(instance.outstanding), record.last_turn
        return record.response.cost_ns(now_ns) * (instance.outstanding + 1), record.last_turn

    return min(idle, key=rank)
