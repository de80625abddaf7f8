"""One version as it stands in this process: its state, and the groups of instances that run it."""

from __future__ import annotations

from types import MappingProxyType

from proxy.core.policies import ExecutionPolicy
from proxy.core.reports import VersionReport
from proxy.core.units import NS_PER_S
from proxy.instances.group import InstanceGroup
from proxy.instances.state import InstanceState
from proxy.model_manager.lifecycle import COMING, STAGES, Event, LoadState, after
from proxy.model_manager.version_policy import Actual, Wanted

_EVENTS = {InstanceState.WARMING: Event.WARMS_UP, InstanceState.VERIFYING: Event.VERIFIES}


class Loaded:
    """One version in this process. `successor` is a group starting beside `group` after a change.

    `has_lane`: requests may be sent to it, and wait if no instance is ready. `start` numbers its starts, so that one
    that was overtaken while its bytes were read knows it. `load_ns` is what the newest first instance took to be ready.
    """

    __slots__ = (
        "execution",
        "group",
        "has_lane",
        "instances",
        "last_used_ns",
        "load_ns",
        "message",
        "requests",
        "start",
        "started_ns",
        "state",
        "successor",
        "version",
    )

    def __init__(self, wanted: Wanted, now_ns: int) -> None:
        self.version = wanted.version
        self.execution = wanted.execution
        self.instances = wanted.instances
        self.state = LoadState.CHECKING if wanted.instances else LoadState.ASLEEP
        self.message = ""
        self.group: InstanceGroup | None = None
        self.successor: InstanceGroup | None = None
        self.has_lane = False
        self.start = 0
        self.started_ns = now_ns
        self.last_used_ns = now_ns
        self.load_ns: int | None = None
        self.requests = 0

    @property
    def is_leaving(self) -> bool:
        """True once it is not wanted any more: nothing is started for it again."""
        return self.state in (LoadState.DRAINING, LoadState.UNLOADED)

    @property
    def is_waking(self) -> bool:
        """True while requests wait for its first instance."""
        return self.has_lane and self.state in COMING

    @property
    def groups(self) -> tuple[InstanceGroup, ...]:
        """The groups that there are, the one that answers first."""
        return tuple(group for group in (self.group, self.successor) if group is not None)

    def take(self, wanted: Wanted) -> None:
        """Be what is wanted from the next start on."""
        self.version, self.execution, self.instances = wanted.version, wanted.execution, wanted.instances

    def set_limits(self, execution: ExecutionPolicy) -> None:
        """Watch the instances by other limits of time."""
        self.execution = execution
        for group in self.groups:
            group.update_policy(execution)

    def resize(self, instances: int) -> None:
        """Want another number of instances."""
        self.instances = instances
        for group in self.groups:
            group.set_wanted(instances)

    def move(self, event: Event, message: str = "") -> None:
        """Follow the table. Raises IllegalMove."""
        self.state = after(self.state, event)
        self.message = message

    def follow_stage(self) -> None:
        """Say how far the instance has come that will be ready first."""
        stage = _EVENTS.get(self.group.stage, Event.LOADS) if self.group is not None else Event.LOADS
        if self.state in STAGES.values() and self.state is not STAGES[stage]:
            self.move(stage)

    def release(self) -> tuple[InstanceGroup, ...]:
        """Part with all groups, for whoever stops them."""
        groups, self.group, self.successor = self.groups, None, None
        return groups

    def actual(self) -> Actual:
        """What decisions read of it."""
        return Actual(self.version, self.execution, self.instances, self.state)

    def report(self, *, is_default: bool) -> VersionReport:
        """One row of the page."""
        group = self.group
        return VersionReport(
            model=self.version.model,
            version=self.version.number,
            state=self.state.value,
            is_default=is_default,
            instances_ready=len(group.ready_instances()) if group else 0,
            instances_wanted=self.instances,
            restarts=group.restarts if group else 0,
            message=self.message or (group.message if group else ""),
            sandbox=group.sandbox if group else MappingProxyType({}),
            load_s=None if self.load_ns is None else self.load_ns / NS_PER_S,
        )


def is_complete(group: InstanceGroup, wanted: int) -> bool:
    """True if every wanted instance answers, or those that do are all that will ever start."""
    ready = len(group.ready_instances())
    return ready > 0 and (ready >= wanted or group.failed)
