"""Instances and groups without processes: they run a batch when told to, or by themselves on a ManualClock.

Rules: as the real ones: idle again before `on_done`, `on_done` exactly once and never inside `execute`, a lost
instance's batch faults before `on_change`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

from proxy.core.batches import Batch, BatchFault, BatchOutputs, BatchResult
from proxy.core.policies import ExecutionPolicy
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import Signature, Tensor, TensorSpec
from proxy.core.units import NS_PER_S
from proxy.instances.state import InstanceState
from proxy.testing.clock import ManualClock

OnDone = Callable[[Batch, BatchResult | BatchFault], None]
Respond = Callable[[Batch], BatchResult | BatchFault]
ServiceTime = int | Callable[[Batch], int] | None


def echo(batch: Batch) -> BatchResult:
    """Answer with the bytes that came in: output `y` is input `x`."""
    data = b"".join(bytes(request.inputs[0].data) for request in batch.requests)
    first = batch.requests[0].inputs[0]
    shape = (batch.rows, *first.shape[1:]) if batch.version.batchable else first.shape
    outputs = BatchOutputs((Tensor("y", first.datatype, shape, data),), batch.rows, batched=batch.version.batchable)
    return BatchResult(outputs, compute_ns=1_000, service_ns=2_000)


class FakeInstance:
    """One instance. `service_ns` None: it finishes when `finish` is called; else after that time on the clock.

    A function of the batch gives each execution its own time.
    """

    def __init__(
        self,
        instance_id: str,
        version: VersionSnapshot,
        clock: ManualClock,
        *,
        respond: Respond = echo,
        service_ns: ServiceTime = None,
    ) -> None:
        self.instance_id = instance_id
        self.version = version
        self.outstanding = 0
        self.executions = 0
        self.service_ewma_ns = 0.0
        self.busy_ns = 0
        self.is_ready = True
        self.respond = respond
        self.service_ns = service_ns
        self.batches: list[Batch] = []
        self._clock = clock
        self._current: tuple[Batch, OnDone] | None = None

    @property
    def idle(self) -> bool:
        """True if ready and nothing in flight."""
        return self.is_ready and self.outstanding == 0

    @property
    def current(self) -> Batch | None:
        """The batch that runs now."""
        return self._current[0] if self._current else None

    def execute(self, batch: Batch, on_done: OnDone) -> None:
        """Begin; AssertionError if something runs already."""
        if not self.idle:
            msg = f"{self.instance_id} is not idle"
            raise AssertionError(msg)
        self.outstanding = 1
        self.executions += 1
        self.batches.append(batch)
        self._current = (batch, on_done)
        service_ns = self.service_ns(batch) if callable(self.service_ns) else self.service_ns
        if service_ns is not None:
            self._clock.call_later(service_ns / NS_PER_S, lambda: self._finish_if_still(batch))

    def finish(self, outcome: BatchResult | BatchFault | None = None) -> None:
        """End the running execution with `outcome`, or with what `respond` says."""
        current = self._current
        if current is None:
            msg = f"{self.instance_id} runs nothing"
            raise AssertionError(msg)
        batch, on_done = current
        self._current = None
        self.outstanding = 0
        result = outcome or self.respond(batch)
        if isinstance(result, BatchResult) and self.service_ns is not None:
            result.service_ns = self.service_ns(batch) if callable(self.service_ns) else self.service_ns
        if isinstance(result, BatchFault) and result.lost:
            self.is_ready = False
        on_done(batch, result)

    def _finish_if_still(self, batch: Batch) -> None:
        if self._current is not None and self._current[0] is batch:
            self.finish()


class FakeGroup:
    """A group whose instances are added and lost by hand. `on_change` is called as the real one does."""

    def __init__(
        self,
        version: VersionSnapshot,
        clock: ManualClock,
        instances: int = 1,
        *,
        respond: Respond = echo,
        service_ns: ServiceTime = None,
        on_change: Callable[[FakeGroup], None] | None = None,
    ) -> None:
        self.version = version
        self.wanted = instances
        self.failed = False
        self.restarts = 0
        self.stage = InstanceState.STARTING
        self.message = ""
        self.on_change = on_change
        self.policy = ExecutionPolicy()
        self._clock = clock
        self._respond = respond
        self._service_ns = service_ns
        self._numbers = count(1)
        self._instances: list[FakeInstance] = []
        for _ in range(instances):
            self._instances.append(self._new())

    def _new(self) -> FakeInstance:
        return FakeInstance(
            f"{self.version.key}#{next(self._numbers)}",
            self.version,
            self._clock,
            respond=self._respond,
            service_ns=self._service_ns,
        )

    def ready_instances(self) -> Sequence[FakeInstance]:
        """Those that are ready, in the order in which they came."""
        return [instance for instance in self._instances if instance.is_ready]

    def all_instances(self) -> Sequence[FakeInstance]:
        """Everyone that has not been lost."""
        return tuple(self._instances)

    def update_policy(self, policy: ExecutionPolicy) -> None:
        """Take other limits of time."""
        self.policy = policy

    def add(self) -> FakeInstance:
        """Another instance becomes ready."""
        instance = self._new()
        self._instances.append(instance)
        self._changed()
        return instance

    def lose(self, instance: FakeInstance, *, timed_out: bool = False, from_outside: bool = False) -> None:
        """`instance` dies: its batch faults, then the change is told."""
        instance.is_ready = False
        self._instances.remove(instance)
        if instance.current is not None:
            fault = BatchFault("the process ended", lost=True, timed_out=timed_out, from_outside=from_outside)
            instance.finish(fault)
        self._changed()

    def fail(self) -> None:
        """Starting instances is given up."""
        self.failed = True
        self._changed()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change(self)


def fake_version(
    model: str = "echo",
    number: int = 1,
    *,
    batchable: bool = True,
    trailing: tuple[int, ...] = (2,),
) -> VersionSnapshot:
    """A version with one FP32 input `x` and one output `y` of the same shape."""
    shape = (-1, *trailing) if batchable else trailing
    signature = Signature((TensorSpec("x", "FP32", shape),), (TensorSpec("y", "FP32", shape),))
    return VersionSnapshot(model, number, f"digest-{model}-{number}", "", "torchscript", signature, batchable=batchable)
