"""A batch's inputs side by side in the request area, and an execution's outputs out of the response area. Pure.

Rules: nothing that an instance says is believed before it has been held against the signature, the batch and the
area; outputs are copied, so that the next execution cannot change an answer.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from math import prod

from proxy.core.batches import Batch, BatchOutputs
from proxy.core.tensors import DATATYPES, Tensor, check_elements
from proxy.frames.messages import Entry

ALIGNMENT_BYTES = 64


class GarbageAnswer(Exception):
    """An instance's answer contradicts the signature, the batch or the area: the instance cannot be trusted."""


def lay_out(batch: Batch) -> tuple[tuple[Entry, ...], int]:
    """Return the place of each joined input and the bytes needed. Raises ValueError if bytes and shapes differ."""
    entries = []
    at = 0
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


def take_outputs(batch: Batch, memory: mmap.mmap, size_bytes: int, entries: Sequence[Entry]) -> BatchOutputs:
    """Check and copy the outputs that an instance says it wrote. Raises GarbageAnswer."""
    version = batch.version
    specs = version.signature.outputs
    if len(entries) != len(specs):
        raise GarbageAnswer(f"{len(entries)} outputs where {len(specs)} are declared")
    tensors = []
    for spec, entry in zip(specs, entries, strict=True):
        datatype = DATATYPES[spec.datatype]
        if entry.code != datatype.code or not spec.accepts_shape(entry.shape):
            raise GarbageAnswer(f"output {spec.name!r} is not what the signature declares")
        if version.batchable and entry.shape[:1] != (batch.rows,):
            raise GarbageAnswer(f"output {spec.name!r} has not one row for each of the batch's {batch.rows}")
        end = entry.offset + entry.size_bytes
        is_sized = datatype.is_variable_size or entry.size_bytes == prod(entry.shape) * datatype.size_bytes
        if not is_sized or end > size_bytes:
            raise GarbageAnswer(f"output {spec.name!r} does not fit its area")
        data = memory[entry.offset : end]
        if datatype.is_variable_size:
            _check_strings(spec.name, data, prod(entry.shape))
        tensors.append(Tensor(spec.name, spec.datatype, entry.shape, data))
    return BatchOutputs(tuple(tensors), batch.rows, batched=version.batchable)


def _check_strings(name: str, data: bytes, elements: int) -> None:
    try:
        check_elements(data, elements)
    except ValueError as error:
        raise GarbageAnswer(f"output {name!r}: {error}") from None
