"""Requests joined for one execution, and the outputs of that execution. Size counts rows."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from proxy.core.tensors import DATATYPES, Tensor, row_offsets

if TYPE_CHECKING:
    from proxy.core.requests import InferenceRequest
    from proxy.core.snapshot import VersionSnapshot


class Batch:
    """Requests of one version whose inputs agree in every dimension but the first.

    A batch of a version that is not batchable holds exactly one request. `padded_rows` is how many rows are executed
    (0: as many as there are); those added are made by the instance and their outputs dropped there.
    """

    __slots__ = ("batch_id", "padded_rows", "requests", "rows", "version")

    def __init__(
        self,
        batch_id: int,
        version: VersionSnapshot,
        requests: list[InferenceRequest],
        rows: int,
        padded_rows: int = 0,
    ) -> None:
        self.batch_id = batch_id
        self.version = version
        self.requests = requests
        self.rows = rows
        self.padded_rows = padded_rows


class Run:
    """Where a batch is executed and with how many: each of its requests has it, without holding the others alive.

    `finished_ns`: when its outcome was there (0: not yet).
    """

    __slots__ = ("batch_id", "finished_ns", "instance_id", "requests", "rows")

    def __init__(self, batch_id: int, instance_id: str, requests: int, rows: int = 0) -> None:
        self.batch_id = batch_id
        self.instance_id = instance_id
        self.requests = requests
        self.rows = rows
        self.finished_ns = 0


class BatchOutputs:
    """All outputs of one execution, owned (already copied out of shared memory).

    For a batchable version each tensor's first dimension is the batch's rows, so a request's share is a
    contiguous slice of `data` (`rows_of`). `encoded` is a slot in which the protocol room may keep the one encoding of
    the whole batch, so that it is made once and split by row.
    """

    __slots__ = ("_offsets", "batched", "encoded", "rows", "size_bytes", "tensors")

    def __init__(self, tensors: tuple[Tensor, ...], rows: int, *, batched: bool) -> None:
        self.tensors = tensors
        self.rows = rows
        self.batched = batched
        self.size_bytes = sum([len(tensor.data) for tensor in tensors])  # of all tensors together; read for each answer
        self.encoded: object = None
        self._offsets: dict[str, list[int]] | None = None

    def share(self, first_row: int, rows: int) -> BatchOutputs:
        """Copy of rows `first_row .. first_row + rows`, for keeping beyond the batch (the cache)."""
        if not self.batched or rows == self.rows:
            return BatchOutputs(self.tensors, self.rows, batched=self.batched)
        shares = []
        for tensor in self.tensors:
            data = bytes(self.rows_of(tensor, first_row, rows))
            shares.append(Tensor(tensor.name, tensor.datatype, (rows, *tensor.shape[1:]), data))
        return BatchOutputs(tuple(shares), rows, batched=True)

    def rows_of(self, tensor: Tensor, first_row: int, rows: int) -> memoryview:
        """Rows `first_row .. first_row + rows` of one of the tensors of a batchable version, as a view of its data.

        A BYTES tensor is walked once for the batch. Raises ValueError if its lengths contradict its shape.
        """
        if rows == self.rows:
            return memoryview(tensor.data)
        if DATATYPES[tensor.datatype].size_bytes:
            row_bytes = len(tensor.data) // self.rows
            return memoryview(tensor.data)[first_row * row_bytes : (first_row + rows) * row_bytes]
        if self._offsets is None:
            self._offsets = {}
        offsets = self._offsets.get(tensor.name)
        if offsets is None:
            offsets = self._offsets[tensor.name] = row_offsets(tensor.data, self.rows, prod(tensor.shape[1:]))
        return memoryview(tensor.data)[offsets[first_row] : offsets[first_row + rows]]


class BatchResult:
    """A finished execution. `service_ns` is the whole of it as the parent sees it, the other times lie inside.

    `input_ns`: the inputs' way into the backend's hands (joined in shared memory, wrapped there). `compute_ns`: the
    model, as the instance measured it. `output_ns`: the outputs' way out. What is left is the message there and back.
    Times that an instance claims are cut to what the parent saw.
    """

    __slots__ = ("compute_ns", "input_ns", "output_ns", "outputs", "service_ns")

    def __init__(
        self, outputs: BatchOutputs, compute_ns: int, service_ns: int, input_ns: int = 0, output_ns: int = 0
    ) -> None:
        self.outputs = outputs
        self.compute_ns = compute_ns
        self.service_ns = service_ns
        self.input_ns = min(input_ns, service_ns)
        self.output_ns = min(output_ns, service_ns - self.input_ns)


class BatchFault:
    """An execution that gave no outputs.

    `lost` True: the instance process died, hung or broke the channel (safe to retry once elsewhere).
    `lost` False: the model raised; `message` is the model's own, shortened. `out_of_memory`: there was not enough
    memory for an execution of that many rows, whether the process survived it or not. `no_room`: it was not executed,
    since the memory that instances share with this process is used up: the request may come again later.
    `from_outside`: somebody killed the process, so that nothing says that its work was to blame. `is_explained` is the
    answer of who was told: one request is known to have ended the process, and what it runs works for others.
    """

    __slots__ = ("from_outside", "is_explained", "lost", "message", "no_room", "out_of_memory", "timed_out")

    def __init__(
        self,
        message: str,
        *,
        lost: bool,
        timed_out: bool = False,
        out_of_memory: bool = False,
        no_room: bool = False,
        from_outside: bool = False,
    ) -> None:
        self.message = message
        self.lost = lost
        self.from_outside = from_outside
        self.is_explained = False
        self.timed_out = timed_out
        self.out_of_memory = out_of_memory or no_room
        self.no_room = no_room
