"""The protocol's datatypes as numpy's in this process, and BYTES elements as what backends take.

numpy has no bfloat16 (two bytes without a meaning stand for it) and no strings of free length (objects, each a
`bytes`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from proxy.core.tensors import DATATYPES, TensorSpec, join_elements, split_elements
from proxy.core.words import say
from proxy.worker.backends.base import Array, BadOutput

BF16 = np.dtype("V2")
OBJECT = np.dtype(object)
BY_NAME: dict[str, np.dtype[Any]] = {
    name: np.dtype(row.numpy) if row.numpy else BF16 if row.size_bytes else OBJECT for name, row in DATATYPES.items()
}
BY_CODE: dict[int, np.dtype[Any]] = {DATATYPES[name].code: dtype for name, dtype in BY_NAME.items()}
NAMES: dict[np.dtype[Any], str] = {dtype: name for name, dtype in BY_NAME.items()}


def as_floats(array: Array) -> Array:
    """BF16 as the float32 that equal it; any other array as it is."""
    if array.dtype != BF16:
        return array
    return (np.ascontiguousarray(array).view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def unpack_elements(data: bytes, shape: tuple[int, ...]) -> Array:
    """BYTES data as an array of `bytes`. Raises ValueError if it is not as many elements."""
    return as_array(split_elements(data), shape)


def as_array(elements: list[Any], shape: tuple[int, ...]) -> Array:
    """Objects in an array of that shape; numpy's own constructor would look into them."""
    array = np.empty(len(elements), object)
    array[:] = elements
    return array.reshape(shape)


def pack_elements(array: Array) -> bytes:
    """BYTES data of an array of `bytes`."""
    return join_elements(array.ravel())


def packed_bytes(array: Array) -> int:
    """Bytes that an array takes outside of this process."""
    if array.dtype != OBJECT:
        return array.nbytes
    return DATATYPES["BYTES"].min_size_bytes * array.size + sum(map(len, array.ravel()))


def as_texts(array: Array, name: str) -> Array:
    """The elements as `str`. Raises ValueError, in words for the client, where one is not UTF-8."""
    try:
        return as_array([element.decode() for element in array.ravel()], array.shape)
    except UnicodeDecodeError:
        raise ValueError(f"The input {name!r} holds bytes that are not UTF-8; this model takes text.") from None


def from_texts(value: Any, spec: TensorSpec | None) -> Array:
    """Strings, in lists as deep as their shape, as an array of `bytes`; a flat list takes the shape that is declared.

    Raises BadOutput.
    """
    shape: list[int] = []
    level = value
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0] if level else None
    flat = list(_flat(value, shape, 0))
    array = as_array(flat, tuple(shape))
    if spec is not None and len(shape) == 1 and len(spec.shape) != 1:
        fixed = spec.shape[1:] if spec.shape else ()
        try:
            return array.reshape((-1, *fixed) if spec.shape else ())
        except ValueError:
            raise BadOutput(
                say(
                    "Output %(name)s is %(count)s strings, not of shape %(shape)s.",
                    name=repr(spec.name),
                    count=len(flat),
                    shape=list(spec.shape),
                )
            ) from None
    return array


def _flat(value: Any, shape: list[int], depth: int) -> Any:
    if depth == len(shape):
        if not isinstance(value, str | bytes):
            raise BadOutput(
                say("One of the model's outputs holds a %(type)s among strings.", type=type(value).__name__)
            )
        yield value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
        return
    if not isinstance(value, list) or len(value) != shape[depth]:
        raise BadOutput(say("One of the model's outputs is a ragged list of strings."))
    for inner in value:
        yield from _flat(inner, shape, depth + 1)
