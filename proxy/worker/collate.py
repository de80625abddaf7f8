"""Tensors in the shared areas as arrays: views on the way in (BYTES: copies), one copy on the way out."""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import numpy as np

from proxy.core.tensors import DATATYPES, Signature, TensorSpec
from proxy.core.words import say
from proxy.frames.messages import Entry
from proxy.worker.backends.base import Array, BadOutput
from proxy.worker.dtypes import BY_CODE, NAMES, OBJECT, pack_elements, packed_bytes, unpack_elements

ALIGNMENT_BYTES = 64
"""Start of each tensor; a cache line, and what vector instructions like best."""


def read_inputs(area: mmap.mmap, entries: Sequence[Entry]) -> list[Array]:
    """Wrap the request area's tensors without copying. Raises ValueError if one does not fit its place."""
    return [_view(area, entry) for entry in entries]


def _view(area: mmap.mmap, entry: Entry) -> Array:
    dtype = BY_CODE[entry.code]
    if dtype == OBJECT:
        return unpack_elements(area[entry.offset : entry.offset + entry.size_bytes], entry.shape)
    count = entry.size_bytes // dtype.itemsize
    if count == 0:
        return np.empty(entry.shape, dtype)
    return np.frombuffer(area, dtype, count, entry.offset).reshape(entry.shape)


def check_outputs(outputs: Sequence[Array], signature: Signature, rows: int | None) -> None:
    """Hold outputs against the signature; `rows` is what their first dimension must be, None if not batchable.

    Raises BadOutput: the batch is answered with an error, never with bytes that mean something else.
    """
    if len(outputs) != len(signature.outputs):
        raise BadOutput(
            say(
                "The model returned %(count)s outputs; its signature declares %(declared)s.",
                count=len(outputs),
                declared=len(signature.outputs),
            )
        )
    for array, spec in zip(outputs, signature.outputs, strict=True):
        _check_output(array, spec, rows)


def _check_output(array: Array, spec: TensorSpec, rows: int | None) -> None:
    datatype = NAMES.get(array.dtype)
    if datatype != spec.datatype:
        raise BadOutput(
            say(
                "Output %(name)s is %(datatype)s; its signature declares %(declared)s.",
                name=repr(spec.name),
                datatype=datatype or array.dtype,
                declared=spec.datatype,
            )
        )
    if not spec.accepts_shape(array.shape):
        raise BadOutput(
            say(
                "Output %(name)s has shape %(shape)s; its signature declares %(declared)s.",
                name=repr(spec.name),
                shape=list(array.shape),
                declared=list(spec.shape),
            )
        )
    if array.dtype == OBJECT and not all(type(element) is bytes for element in array.ravel()):
        raise BadOutput(say("Output %(name)s holds something that is not a string.", name=repr(spec.name)))
    if rows is not None and array.shape[:1] != (rows,):
        raise BadOutput(
            say(
                "Output %(name)s of shape %(shape)s is not %(rows)s rows, as the batch has.",
                name=repr(spec.name),
                shape=list(array.shape),
                rows=rows,
            )
        )


def place_outputs(outputs: Sequence[Array]) -> tuple[tuple[Entry, ...], int]:
    """Return where each output goes in the response area, and the bytes needed. Pure."""
    entries = []
    at = 0
    for array in outputs:
        size_bytes = packed_bytes(array)
        entries.append(Entry(DATATYPES[NAMES[array.dtype]].code, at, size_bytes, array.shape))
        at += -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return tuple(entries), at


def write_outputs(area: mmap.mmap, outputs: Sequence[Array], entries: Sequence[Entry]) -> None:
    """Copy outputs to their places. The area must be large enough."""
    for array, entry in zip(outputs, entries, strict=True):
        if array.dtype == OBJECT:
            area[entry.offset : entry.offset + entry.size_bytes] = pack_elements(array)
        elif array.flags.c_contiguous and entry.size_bytes:
            area[entry.offset : entry.offset + entry.size_bytes] = array  # type: ignore[call-overload]  # as it lies there
        elif entry.size_bytes:
            np.frombuffer(area, array.dtype, array.size, entry.offset).reshape(array.shape)[...] = array
