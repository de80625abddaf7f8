"""What people order of single instances: restart, drain; and what they ask of them: their log, how others ended.

Place: the runtime calls it on the event loop for the gateway. Rules: an instance is named by the number behind the `#`
of its id, which is unique in this process; an order never takes away what was accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from proxy.core.instance_reports import OrderOutcome
from proxy.instances.group import InstanceGroup
from proxy.instances.instance import Instance


class InstanceOrders:
    """Finds the instance among the groups and tells its group."""

    def __init__(self, groups: Callable[[], Iterable[InstanceGroup]]) -> None:
        self._groups = groups

    def restart(self, number: int, why: str) -> OrderOutcome:
        """Replace one instance by another. `why` is kept with its end."""
        found = self._find(number)
        return OrderOutcome.GONE if found is None else found[0].replace(found[1], why)

    def drain(self, number: int, why: str) -> OrderOutcome:
        """Let one instance finish and end. `why` is kept with its end."""
        found = self._find(number)
        return OrderOutcome.GONE if found is None else found[0].drain(found[1], why)

    def printed(self, number: int) -> tuple[str, bytes] | None:
        """Id and raw output of a living instance."""
        found = self._find(number)
        return None if found is None else (found[1].instance_id, found[1].printed())

    def _find(self, number: int) -> tuple[InstanceGroup, Instance] | None:
        for group in self._groups():
            for instance in group.all_instances():
                if number_of(instance.instance_id) == number:
                    return group, instance
        return None


def number_of(instance_id: str) -> int:
    """The number behind the `#` of an instance's id."""
    return int(instance_id.rpartition("#")[2])
