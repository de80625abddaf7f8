"""Decides which instance runs a batch, or that none of the idle ones should. Pure: chance is passed in.

An idle instance has nothing outstanding, so least outstanding ties by definition; ties go round, as in nginx's
least_conn. Round robin is the instance whose turn is longest ago. Least response time and power of two choices compare
`cost × (outstanding + 1)`, the cost being a peak EWMA of how an instance's executions compare with what the lane's line
predicts for their rows, so that full batches do not make an instance look slow.
Rules: least response time passes over an idle instance that is much slower than a busy one, while the busy ones will
have run all that waits before the slow one would be done; then there is always an execution whose end asks again.
Source: Finagle PeakEwma.scala and Ema.scala (load = cost × (pending + 1), decay on read, a rise forgets the past);
Mitzenmacher: The Power of Two Choices in Randomized Load Balancing, IEEE TPDS 12(10), 2001.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp

from proxy.core.policies import Placement
from proxy.core.units import NS_PER_S
from proxy.scheduler.ports import Chance, InstancePort

# Time constant of the response time average. Larger: longer memory of a slow spell. Finagle's default.
DECAY_NS = 10 * NS_PER_S
# Costs within this ratio of the least count as equal, and go round. Larger: noise moves less, and so does slowness.
EQUAL_RATIO = 1.5
# An idle instance is passed over if its load is this many times a busy one's. Larger: slow ones work more.
PASS_OVER_RATIO = 1.25
# Records kept of instances that are gone, before they are forgotten. Larger: rarer sweeps.
RECORD_SLACK = 16


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
    """What is remembered of one instance: how it compares, its last turn and since when it is idle (0: never)."""

    __slots__ = ("idle_ns", "last_turn", "response")

    def __init__(self) -> None:
        self.response = PeakEwma()
        self.last_turn = 0
        self.idle_ns = 0


_UNKNOWN = InstanceRecord()


class Records(dict[str, InstanceRecord]):
    """What is remembered of a lane's instances, by their ids."""

    def of(self, instance: InstancePort, ready: Sequence[InstancePort]) -> InstanceRecord:
        """The record of `instance`, made at its first turn; those of instances long gone are swept."""
        record = self.get(instance.instance_id)
        if record is None:
            if len(self) > 2 * len(ready) + RECORD_SLACK:
                present = {i.instance_id for i in ready}
                for key in [key for key in self if key not in present]:
                    del self[key]
            record = self[instance.instance_id] = InstanceRecord()
        return record

    def for_trial(self, ready: Sequence[InstancePort], idle: Sequence[InstancePort]) -> InstancePort | None:
        """Which of `idle` (never empty) may run what may end it: one that has answered others; None: that one is busy.

        Any where none of `ready` has. One that dies without ever having answered says little about what it ran.
        """
        proven = [one for one in ready if (record := self.get(one.instance_id)) is not None and record.idle_ns]
        if not proven:
            return idle[0]
        return next((one for one in proven if one in idle), None)


def place(
    ready: Sequence[InstancePort],
    idle: Sequence[InstancePort],
    placement: Placement,
    records: Mapping[str, InstanceRecord],
    batches_waiting: float,
    now_ns: int,
    chance: Chance,
) -> InstancePort | None:
    """One of `idle` (never empty) for the next of `batches_waiting`, or None: wait for a busy one of `ready`.

    An instance that has never answered costs nothing, so it is tried at once.
    """
    if placement is Placement.LEAST_RESPONSE_TIME and len(ready) > 1:
        return _least_response_time(ready, idle, records, batches_waiting, now_ns)
    if len(idle) == 1:
        return idle[0]
    if placement is Placement.RANDOM:
        return idle[int(chance.random() * len(idle))]
    if placement is Placement.POWER_OF_TWO_CHOICES:
        first, second = _two_of(idle, chance)
        one, other = load(first, records, now_ns), load(second, records, now_ns)
        if one > EQUAL_RATIO * other or (other <= EQUAL_RATIO * one and _turn(first, records) > _turn(second, records)):
            return second
        return first
    if placement is Placement.LEAST_OUTSTANDING:
        return min(idle, key=lambda instance: (instance.outstanding, _turn(instance, records)))
    return min(idle, key=lambda instance: _turn(instance, records))


def _two_of(idle: Sequence[InstancePort], chance: Chance) -> tuple[InstancePort, InstancePort]:
    first = int(chance.random() * len(idle))
    second = int(chance.random() * (len(idle) - 1))
    return idle[first], idle[second + (second >= first)]


def load(instance: InstancePort, records: Mapping[str, InstanceRecord], now_ns: int) -> float:
    """Finagle's load: cost × (outstanding + 1)."""
    return records.get(instance.instance_id, _UNKNOWN).response.cost_ns(now_ns) * (instance.outstanding + 1)


def _least_response_time(
    ready: Sequence[InstancePort],
    idle: Sequence[InstancePort],
    records: Mapping[str, InstanceRecord],
    batches_waiting: float,
    now_ns: int,
) -> InstancePort | None:
    loads = [(load(instance, records, now_ns), instance) for instance in idle]
    least = min(cost for cost, _ in loads)
    if len(ready) > len(idle):
        busy = [load(instance, records, now_ns) for instance in ready if not instance.idle]
        better = [cost for cost in busy if cost * PASS_OVER_RATIO < least]
        if better and batches_waiting * max(better) <= least * len(better):
            return None
    equal = [instance for cost, instance in loads if cost <= least * EQUAL_RATIO]
    return min(equal, key=lambda instance: _turn(instance, records))


def _turn(instance: InstancePort, records: Mapping[str, InstanceRecord]) -> int:
    return records.get(instance.instance_id, _UNKNOWN).last_turn
