"""A request of more rows than one execution holds: cut into parts that are executed as requests, and joined again.

Rules: parts are as large as an execution may be, in the order of the rows, and so is what is joined; the first part
that fails fails the whole request, once, and the other parts are taken back; parts fill the queue, the request needs
one free place. Pure but for the two callbacks that it is given.
Why not let it run alone: what one execution may hold is what memory was measured for (docs/decisions/0022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from proxy.core.batches import BatchOutputs
from proxy.core.errors import ProxyError
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.tensors import DATATYPES, Tensor, row_offsets
from proxy.scheduler import refusals
from proxy.scheduler.entries import Entry, OnDone


def cut(request: InferenceRequest, max_rows: int) -> list[InferenceRequest]:
    """The parts of `request`, each of at most `max_rows`: views of its bytes."""
    firsts = range(0, request.rows, max_rows)
    sizes = [min(max_rows, request.rows - first) for first in firsts]
    tensors = [_cut_tensor(tensor, request.rows, firsts, sizes) for tensor in request.inputs]
    parts = []
    for index, rows in enumerate(sizes):
        part = InferenceRequest(
            request.version,
            tuple([pieces[index] for pieces in tensors]),
            rows,
            request.arrival_ns,
            request.deadline_ns,
            request_id=request.request_id,
            outputs=request.outputs,
            priority=request.priority,
            principal_id=request.principal_id,
            weight=request.weight,
            binary_outputs=request.binary_outputs,
        )
        part.queued_ns = request.queued_ns
        parts.append(part)
    return parts


def join(results: list[InferenceResult]) -> InferenceResult:
    """One result of all rows, in order. Its queue time is the first part's, its compute time the sum, its
    execution the last part's.

    Raises ExecutionFailed where the parts' outputs differ in more than their rows: they make no tensor.
    """
    shares = [result.outputs.share(result.first_row, result.rows) for result in results]
    rows = sum(result.rows for result in results)
    tensors = []
    for pieces in zip(*(share.tensors for share in shares), strict=True):
        first = pieces[0]
        if any(piece.shape[1:] != first.shape[1:] for piece in pieces):
            raise refusals.not_joined(results[0].version, first.name, results[0].rows)
        data = b"".join([piece.data for piece in pieces])
        tensors.append(Tensor(first.name, first.datatype, (rows, *first.shape[1:]), data))
    outputs = BatchOutputs(tuple(tensors), rows, batched=True)
    compute_ns = sum(result.compute_ns for result in results)
    return InferenceResult(
        results[0].version,
        outputs,
        0,
        rows,
        queue_ns=results[0].queue_ns,
        compute_ns=compute_ns,
        execution=results[-1].execution,
    )


TakeBack = Callable[["Split", InferenceResult | ProxyError], None]


class Split:
    """One request on its way in parts. `on_done` is called once, with the joined result or the first error."""

    __slots__ = ("_left", "_on_done", "_results", "_take_back", "entries", "request")

    def __init__(self, request: InferenceRequest, on_done: OnDone, take_back: TakeBack) -> None:
        self.request = request
        self.entries: list[Entry] = []
        self._on_done: OnDone | None = on_done
        self._take_back = take_back
        self._results: list[InferenceResult | None] = []
        self._left = 0

    def part(self, request: InferenceRequest) -> Entry:
        """The entry of the next part."""
        index = self._left
        self._left += 1
        self._results.append(None)
        entry = Entry(request, request.rows, lambda part, outcome: self._done(index, part, outcome))
        entry.part = True
        self.entries.append(entry)
        return entry

    def _done(self, index: int, part: InferenceRequest, outcome: InferenceResult | ProxyError) -> None:
        whole = self.request
        whole.attempts = max(whole.attempts, part.attempts)
        if self._on_done is None:
            return
        if isinstance(outcome, ProxyError):
            self.end(outcome)
            return
        self._results[index] = outcome
        self._left -= 1
        if index == 0:
            whole.dispatched_ns, whole.idle_ns, whole.run = part.dispatched_ns, part.idle_ns, None
        if not self._left:
            self._join()

    def _join(self) -> None:
        """Answer with the parts' results as one. Whatever happens, there is an answer."""
        joined: InferenceResult | ProxyError = refusals.not_kept()
        try:
            joined = join([result for result in self._results if result is not None])
        except ProxyError as error:
            joined = error
        finally:
            self.end(joined)

    def end(self, outcome: InferenceResult | ProxyError) -> None:
        """Answer the whole request, if it was not yet, and take back what is left of it."""
        on_done, self._on_done = self._on_done, None
        if on_done is None:
            return
        self._take_back(self, outcome)
        self._results.clear()
        self.entries.clear()  # each of them knows this object
        on_done(self.request, outcome)


def _cut_tensor(tensor: Tensor, rows: int, firsts: range, sizes: list[int]) -> list[Tensor]:
    trailing = tensor.shape[1:]
    data = memoryview(tensor.data).cast("B")
    offsets: Sequence[int]
    if DATATYPES[tensor.datatype].size_bytes:
        row_bytes = len(data) // rows
        offsets = [row * row_bytes for row in range(rows + 1)]
    else:
        offsets = row_offsets(tensor.data, rows, prod(trailing))
    return [
        Tensor(tensor.name, tensor.datatype, (size, *trailing), data[offsets[first] : offsets[first + size]])
        for first, size in zip(firsts, sizes, strict=True)
    ]
