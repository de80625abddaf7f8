"""What the scheduler asks of instances, groups and the meter: satisfied by the real ones and by the shipped fakes.

Rules: an instance is idle again before `on_done` is called; `on_done` comes exactly once and never inside `execute`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from proxy.core.batches import Batch, BatchFault, BatchResult
from proxy.core.snapshot import VersionSnapshot

ExecutionDone = Callable[[Batch, BatchResult | BatchFault], None]


class InstancePort(Protocol):
    """One worker process that runs one execution at a time."""

    @property
    def instance_id(self) -> str:
        """Unique in the life of this process."""
        ...

    @property
    def outstanding(self) -> int:
        """Executions in flight."""
        ...

    @property
    def idle(self) -> bool:
        """True if it is ready and nothing is in flight."""
        ...

    def execute(self, batch: Batch, on_done: ExecutionDone) -> None:
        """Begin one execution."""
        ...


class GroupPort(Protocol):
    """The instances of one version."""

    @property
    def version(self) -> VersionSnapshot:
        """What every instance of this group runs."""
        ...

    @property
    def wanted(self) -> int:
        """How many instances there are to be."""
        ...

    @property
    def failed(self) -> bool:
        """True if starting instances was given up."""
        ...

    def ready_instances(self) -> Sequence[InstancePort]:
        """Those that are loaded and not draining, busy or not, in a stable order."""
        ...


class MeterPort(Protocol):
    """Who counts executions."""

    def on_execution(
        self, version_key: str, rows: int, requests: int, service_ns: int, input_ns: int, output_ns: int
    ) -> None:
        """Called once for each execution that gave outputs; `input_ns` and `output_ns` are parts of `service_ns`."""
        ...


class Chance(Protocol):
    """Where draws come from: random.Random, seeded where runs must repeat."""

    def random(self) -> float:
        """At least 0, less than 1."""
        ...


class TimerHandle(Protocol):
    """What `call_later` gives back."""

    def cancel(self) -> None:
        """Make sure that the function is not called."""
        ...
