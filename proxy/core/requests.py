"""A request on its way through the rooms, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.core.batches import BatchOutputs, BatchResult, Run
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import Tensor

NONE_BINARY: frozenset[str] = frozenset()


class InferenceRequest:
    """One client call of `rows` inferences. Mutable only in its timestamps (`*_ns`, monotonic).

    `arrival_ns`: its head was read. `queued_ns`: it joined the queue, body read and cache asked. `idle_ns`: since when
    the instance that runs it was idle (0: not known), maybe before it came. `dispatched_ns`: its batch was sent. `run`:
    the batch that it was last in (None: in none, or in several as parts).

    `inputs` stand in the signature's order. `outputs` None means all, else names in the client's order.
    `attempts` counts executions begun with it. `binary_outputs` are answered as raw bytes, the others as JSON.
    `top_classes` are the outputs wanted as that many of their highest values (None: no output). `priority` 0: none was
    named. `weight` and `tenant`: its principal's. `request_id` is the body's, `header_id` the header's (request_ids).
    """

    __slots__ = (
        "arrival_ns",
        "attempts",
        "binary_outputs",
        "deadline_ns",
        "dispatched_ns",
        "header_id",
        "idle_ns",
        "inputs",
        "outputs",
        "principal_id",
        "priority",
        "queued_ns",
        "request_id",
        "rows",
        "run",
        "tenant",
        "top_classes",
        "version",
        "weight",
    )

    def __init__(
        self,
        version: VersionSnapshot,
        inputs: tuple[Tensor, ...],
        rows: int,
        arrival_ns: int,
        deadline_ns: int,
        *,
        request_id: str | None = None,
        outputs: tuple[str, ...] | None = None,
        priority: int = 0,
        principal_id: str = "",
        weight: int = 1,
        tenant: str = "",
        binary_outputs: frozenset[str] = NONE_BINARY,
        top_classes: Mapping[str, int] | None = None,
        header_id: str | None = None,
    ) -> None:
        self.version = version
        self.inputs = inputs
        self.rows = rows
        self.arrival_ns = arrival_ns
        self.deadline_ns = deadline_ns
        self.request_id = request_id
        self.outputs = outputs
        self.priority = priority
        self.principal_id = principal_id
        self.weight = weight
        self.tenant = tenant
        self.binary_outputs = binary_outputs
        self.top_classes = top_classes
        self.header_id = header_id
        self.attempts = 0
        self.queued_ns = 0
        self.dispatched_ns = 0
        self.idle_ns = 0
        self.run: Run | None = None


class InferenceResult:
    """Rows `first_row .. first_row + rows` of a batch's outputs.

    For cache hits `queue_ns` and `compute_ns` are 0 and there is no `execution`.
    """

    __slots__ = ("cache_hit", "compute_ns", "execution", "first_row", "outputs", "queue_ns", "rows", "version")

    def __init__(
        self,
        version: VersionSnapshot,
        outputs: BatchOutputs,
        first_row: int,
        rows: int,
        *,
        queue_ns: int = 0,
        compute_ns: int = 0,
        cache_hit: bool = False,
        execution: BatchResult | None = None,
    ) -> None:
        self.version = version
        self.outputs = outputs
        self.first_row = first_row
        self.rows = rows
        self.queue_ns = queue_ns
        self.compute_ns = compute_ns
        self.cache_hit = cache_hit
        self.execution = execution


class Answer:
    """What goes on the wire: status, extra headers, body. Content-Length is the listener's to add."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.status = status
        self.body = body
        self.headers = headers
