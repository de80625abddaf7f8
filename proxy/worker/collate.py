"""Tensors in the shared areas as arrays: views on the way in, one copy on the way out."""

from __future__ import annotations

import mmap
from collections.abc import Sequence

import numpy as np

from proxy.core.tensors import DATATYPES, DATATYPES_BY_CODE, Signature, TensorSpec
from proxy.frames.messages import Entry
from proxy.worker.backends.base import Array, BadOutput

ALIGNMENT_BYTES = 64
"""Start of each tensor; a cache line, and what vector instructions like best."""

_DTYPES = {code: np.dtype(row.numpy) for code, row in DATATYPES_BY_CODE.items() if row.numpy}
_NAMES = {np.dtype(row.numpy): name for name, row in DATATYPES.items() if row.numpy}


def read_inputs(area: mmap.mmap, entries: Sequence[Entry]) -> list[Array]:
    """Wrap the request area's tensors without copying. Raises ValueError if one does not fit its place."""
    return [_view(area, entry) for entry in entries]


def _view(area: mmap.mmap, entry: Entry) -> Array:
    dtype = _DTYPES[entry.code]
    count = entry.size_bytes // dtype.itemsize
    if count == 0:
        return np.empty(entry.shape, dtype)
    return np.frombuffer(area, dtype, count, entry.offset).reshape(entry.shape)


def check_outputs(outputs: Sequence[Array], signature: Signature, rows: int | None) -> None:
    """Hold outputs against the signature; `rows` is what their first dimension must be, None if not batchable.

    Raises BadOutput: the batch is answered with an error, never with bytes that mean something else.
    """
    if len(outputs) != len(signature.outputs):
        raise BadOutput(f"The model returned {len(outputs)} outputs; its signature declares {len(signature.outputs)}.")
    for array, spec in zip(outputs, signature.outputs, strict=True):
        _check_output(array, spec, rows)


def _check_output(array: Array, spec: TensorSpec, rows: int | None) -> None:
    datatype = _NAMES.get(array.dtype)
    if datatype != spec.datatype:
        raise BadOutput(f"Output {spec.name!r} is {datatype or array.dtype}; its signature declares {spec.datatype}.")
    if not spec.accepts_shape(array.shape):
        raise BadOutput(
            f"Output {spec.name!r} has shape {list(array.shape)}; its signature declares {list(spec.shape)}."
        )
    if rows is not None and array.shape[:1] != (rows,):
        raise BadOutput(f"Output {spec.name!r} of shape {list(array.shape)} is not {rows} rows, as the batch has.")


def place_outputs(outputs: Sequence[Array]) -> tuple[tuple[Entry, ...], int]:
    """Return where each output goes in the response area, and the bytes needed. Pure."""
    entries = []
    at = 0
    for array in outputs:
        entries.append(Entry(DATATYPES[_NAMES[array.dtype]].code, at, array.nbytes, array.shape))
        at += -(-array.nbytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return tuple(entries), at


def write_outputs(area: mmap.mmap, outputs: Sequence[Array], entries: Sequence[Entry]) -> None:
    """Copy outputs to their places. The area must be large enough."""
    for array, entry in zip(outputs, entries, strict=True):
        if entry.size_bytes:
            np.frombuffer(area, array.dtype, array.size, entry.offset).reshape(array.shape)[...] = array
