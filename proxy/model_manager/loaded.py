"""One version as it stands in this process: its state, and the groups of instances that run it."""

from __future__ import annotations

from proxy.core.policies import ExecutionPolicy
from proxy.instances.group import InstanceGroup
from proxy.model_manager.lifecycle import LoadState, may_move
from proxy.model_manager.version_policy import Wanted


class Loaded:
    """One version in this process. `successor` is a group starting beside `group` after a change."""

    __slots__ = ("execution", "group", "instances", "message", "state", "successor", "version")

    def __init__(self, wanted: Wanted) -> None:
        self.version = wanted.version
        self.execution = wanted.execution
        self.instances = wanted.instances
        self.state = LoadState.VERIFYING
        self.message = ""
        self.group: InstanceGroup | None = None
        self.successor: InstanceGroup | None = None

    @property
    def is_leaving(self) -> bool:
        """True once it is not wanted any more: nothing is started for it again."""
        return self.state in (LoadState.DRAINING, LoadState.UNLOADED)

    @property
    def groups(self) -> tuple[InstanceGroup, ...]:
        """The groups that there are, the one that answers first."""
        return tuple(group for group in (self.group, self.successor) if group is not None)

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

    def move(self, state: LoadState, message: str = "") -> None:
        """Change state along the table; a move it lacks is a fault of ours."""
        if state is not self.state and not may_move(self.state, state):
            raise RuntimeError(f"illegal move of {self.version.key}: {self.state} to {state}")
        self.state = state
        self.message = message


def is_complete(group: InstanceGroup, wanted: int) -> bool:
    """True if every wanted instance answers, or those that do are all that will ever start."""
    ready = len(group.ready_instances())
    return ready > 0 and (ready >= wanted or group.failed)
