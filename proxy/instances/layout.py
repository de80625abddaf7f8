"""A batch's inputs side by side in the request area, and an execution's outputs out of the response area. Pure.

Rules: nothing that an instance says is believed before it has been held against the signature, the batch and the
area; outputs are copied, so that the next execution cannot change an answer.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from math import prod

from proxy.core.batches import Batch, BatchOutputs
from proxy.core.tensors import DATATYPES, Data, Tensor, check_elements, row_offsets
from proxy.frames.messages import Entry

ALIGNMENT_BYTES = 64


class GarbageAnswer(Exception):
    """An instance's answer contradicts the signature, the batch or the area: the instance cannot be trusted."""


def lay_out(batch: Batch) -> tuple[tuple[Entry, ...], int]:
    """Return the place of each joined input and the bytes needed. Raises ValueError if bytes and shapes differ.

    Where the batch is padded, rows are added: the last one again, since it is known to be one that the model takes
    (zeros may not be: an index, a divisor), and no longer than the others are.
    """
    entries = []
    at = 0
    added = added_rows(batch) if batch.padded_rows else 0
    requests = batch.requests
    first = requests[0]
    for index, spec in enumerate(batch.version.signature.inputs):
        datatype = DATATYPES[spec.datatype]
        shape = first.inputs[index].shape
        if batch.version.batchable:
            shape = (batch.rows, *shape[1:])
        size_bytes = sum([len(request.inputs[index].data) for request in requests])
        if not datatype.is_variable_size and size_bytes != prod(shape) * datatype.size_bytes:
            raise ValueError(
                f"Input {spec.name!r}: {size_bytes} bytes are not a {spec.datatype} tensor of {list(shape)}."
            )
        if added:
            shape = (batch.rows + added, *shape[1:])
            size_bytes += added * len(_last_row(requests[-1].inputs[index]))
        entries.append(Entry(datatype.code, at, size_bytes, shape))
        at += -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return tuple(entries), at


def fill(memory: mmap.mmap, batch: Batch, entries: Sequence[Entry]) -> None:
    """Copy every request's inputs to their place. The area must be large enough."""
    for index, entry in enumerate(entries):
        at = entry.offset
        for request in batch.requests:
            data = request.inputs[index].data
            end = at + len(data)
            memory[at:end] = data
            at = end
        if batch.padded_rows:
            _fill_up(memory, at, entry.offset + entry.size_bytes, _last_row(batch.requests[-1].inputs[index]))


def added_rows(batch: Batch) -> int:
    """How many rows are executed beside the batch's own."""
    return max(batch.padded_rows - batch.rows, 0) if batch.version.batchable else 0


def _last_row(tensor: Tensor) -> Data:
    """The bytes of a tensor's last row."""
    rows = tensor.shape[0]
    if DATATYPES[tensor.datatype].is_variable_size:
        return tensor.data[row_offsets(tensor.data, rows, prod(tensor.shape[1:]))[-2] :]
    return tensor.data[len(tensor.data) - len(tensor.data) // rows :]


def _fill_up(memory: mmap.mmap, at: int, end: int, row: Data) -> None:
    while at < end:
        memory[at : at + len(row)] = row
        at += len(row)


def take_outputs(batch: Batch, memory: mmap.mmap, size_bytes: int, entries: Sequence[Entry]) -> BatchOutputs:
    """Check and copy the outputs that an instance says it wrote, without added rows'. Raises GarbageAnswer."""
    version = batch.version
    executed = batch.rows + added_rows(batch) if batch.padded_rows else batch.rows
    specs = version.signature.outputs
    if len(entries) != len(specs):
        raise GarbageAnswer(f"{len(entries)} outputs where {len(specs)} are declared")
    tensors = []
    for spec, entry in zip(specs, entries, strict=True):
        datatype = DATATYPES[spec.datatype]
        if entry.code != datatype.code or not spec.accepts_shape(entry.shape):
            raise GarbageAnswer(f"output {spec.name!r} is not what the signature declares")
        if version.batchable and entry.shape[:1] != (executed,):
            raise GarbageAnswer(f"output {spec.name!r} has not one row for each of the batch's {executed}")
        end = entry.offset + entry.size_bytes
        is_sized = datatype.is_variable_size or entry.size_bytes == prod(entry.shape) * datatype.size_bytes
        if not is_sized or end > size_bytes:
            raise GarbageAnswer(f"output {spec.name!r} does not fit its area")
        shape = entry.shape
        if executed != batch.rows:
            shape = (batch.rows, *shape[1:])
            if not datatype.is_variable_size:
                end = entry.offset + prod(shape) * datatype.size_bytes
        data = memory[entry.offset : end]
        if datatype.is_variable_size:
            data = _checked_strings(spec.name, data, entry.shape, batch.rows if executed != batch.rows else 0)
        tensors.append(Tensor(spec.name, spec.datatype, shape, data))
    return BatchOutputs(tuple(tensors), batch.rows, batched=version.batchable)


def _checked_strings(name: str, data: bytes, shape: tuple[int, ...], kept_rows: int) -> bytes:
    """The strings, of the first `kept_rows` rows where that is not 0. Raises GarbageAnswer."""
    try:
        if kept_rows:
            return data[: row_offsets(data, shape[0], prod(shape[1:]))[kept_rows]]
        check_elements(data, prod(shape))
    except ValueError as error:
        raise GarbageAnswer(f"output {name!r}: {error}") from None
    return data
