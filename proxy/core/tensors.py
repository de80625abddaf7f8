"""Tensors as they travel: name, datatype, shape, raw little-endian row-major bytes.

Source: Open Inference Protocol, required REST API, "Tensor Data Types".
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True, slots=True)
class Datatype:
    """One row of the Open Inference Protocol's datatype table.

    `code` is the number on the frames between parent and instance, `numpy` numpy's name for it,
    `struct_char` the `struct`/`array` type code (empty where JSON cannot carry the type).
    """

    name: str
    code: int
    size_bytes: int
    numpy: str
    struct_char: str


DATATYPES: dict[str, Datatype] = {
    d.name: d
    for d in (
        Datatype("BOOL", 1, 1, "bool", "?"),
        Datatype("UINT8", 2, 1, "uint8", "B"),
        Datatype("UINT16", 3, 2, "uint16", "H"),
        Datatype("UINT32", 4, 4, "uint32", "I"),
        Datatype("UINT64", 5, 8, "uint64", "Q"),
        Datatype("INT8", 6, 1, "int8", "b"),
        Datatype("INT16", 7, 2, "int16", "h"),
        Datatype("INT32", 8, 4, "int32", "i"),
        Datatype("INT64", 9, 8, "int64", "q"),
        Datatype("FP16", 10, 2, "float16", ""),
        Datatype("FP32", 11, 4, "float32", "f"),
        Datatype("FP64", 12, 8, "float64", "d"),
    )
}
DATATYPES_BY_CODE: dict[int, Datatype] = {d.code: d for d in DATATYPES.values()}
VARIABLE = -1


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Declared input or output; -1 marks a variable size.

    For a batchable version the first dimension is the batch dimension, -1.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]

    def accepts_shape(self, shape: tuple[int, ...]) -> bool:
        """True if `shape` has this rank and equals every fixed dimension."""
        return len(shape) == len(self.shape) and all(
            want in (VARIABLE, got) for want, got in zip(self.shape, shape, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs of a version, in the model's own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(slots=True)
class Tensor:
    """One concrete tensor; `data` holds prod(shape) elements, little-endian, row-major."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes | bytearray | memoryview

    @property
    def size_bytes(self) -> int:
        """Bytes that shape and datatype ask for (what `len(data)` must equal)."""
        return prod(self.shape) * DATATYPES[self.datatype].size_bytes
