"""What the model manager asks of the scheduler and of whoever makes groups; satisfied by the real ones and by fakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from proxy.core.errors import ProxyError
from proxy.core.policies import ExecutionPolicy, ModelPolicy
from proxy.core.snapshot import VersionSnapshot
from proxy.instances.group import InstanceGroup


class LaneGroup(Protocol):
    """What a lane is given to send batches to."""

    @property
    def version(self) -> VersionSnapshot:
        """What its instances run."""
        ...

    @property
    def wanted(self) -> int:
        """How many instances there are to be."""
        ...

    @property
    def failed(self) -> bool:
        """True if starting instances was given up."""
        ...

    def ready_instances(self) -> Sequence[Any]:
        """Those that are loaded and not draining."""
        ...


class Lanes(Protocol):
    """What the manager needs of the scheduler."""

    def attach(self, version_key: str, group: LaneGroup, policy: ModelPolicy) -> None:
        """Make the version's lane, or give an existing one another group, keeping its queue."""

    def update_policy(self, version_key: str, policy: ModelPolicy) -> None:
        """Change a lane's policy live."""

    def detach(self, version_key: str, error: ProxyError) -> None:
        """End the lane; what still waits ends with `error`."""

    def wake(self, version_key: str) -> None:
        """An instance became idle or ready."""

    def is_idle(self, version_key: str) -> bool:
        """True if nothing waits and nothing runs."""


GroupFactory = Callable[[VersionSnapshot, ExecutionPolicy, Callable[[InstanceGroup], None]], InstanceGroup]


class NoInstances:
    """The group of a version that is woken: it has no instance yet, and requests wait for the first one."""

    failed = False
    wanted = 1

    def __init__(self, version: VersionSnapshot) -> None:
        self.version = version

    def ready_instances(self) -> Sequence[Any]:
        """None yet."""
        return ()
