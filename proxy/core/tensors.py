"""Tensors as they travel: name, datatype, shape, raw little-endian row-major bytes.

BYTES has no fixed size: each element is its length as a 4-byte little-endian number and then its bytes, one behind
the other. The functions at the end walk those lengths; each is linear in the elements and takes no memory by a number
that stands in the data.

Source: Open Inference Protocol, required REST API, "Tensor Data Types"; Triton's binary tensor data extension.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from struct import Struct, error

Data = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Datatype:
    """One row of the Open Inference Protocol's datatype table, or Triton's BF16.

    `code` is the number on the frames between parent and instance, `size_bytes` one element's (0: each its own),
    `numpy` numpy's name for it and `struct_char` the `struct` type code (empty where there is none: BF16, BYTES).
    """

    name: str
    code: int
    size_bytes: int
    numpy: str
    struct_char: str

    @property
    def is_variable_size(self) -> bool:
        """True if each element has a length of its own."""
        return not self.size_bytes

    @property
    def min_size_bytes(self) -> int:
        """The least that one element takes."""
        return self.size_bytes or PREFIX_BYTES


PREFIX_BYTES = 4
# Elements of one length in a row before the next are compared all at once. Smaller: tried more often in vain.
BLOCK_ELEMENTS = 64
_PREFIX = Struct("<I")
_BEHIND = "a BYTES element reaches behind the tensor's {} bytes"
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
        Datatype("FP16", 10, 2, "float16", "e"),
        Datatype("FP32", 11, 4, "float32", "f"),
        Datatype("FP64", 12, 8, "float64", "d"),
        Datatype("BF16", 13, 2, "", ""),
        Datatype("BYTES", 14, 0, "", ""),
    )
}
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
        if len(shape) != len(self.shape):
            return False
        for want, got in zip(self.shape, shape, strict=True):  # noqa: SIM110  twice an execution; a generator costs more
            if want not in (got, VARIABLE):
                return False
        return True


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
    data: Data

    @property
    def size_bytes(self) -> int:
        """Bytes that shape and datatype ask for (what `len(data)` must equal); of BYTES what they are."""
        element_bytes = DATATYPES[self.datatype].size_bytes
        return prod(self.shape) * element_bytes if element_bytes else len(self.data)


def check_elements(data: Data, elements: int) -> None:
    """Raise ValueError, in words for the client, unless `data` is exactly `elements` BYTES elements."""
    end = len(data)
    if elements * PREFIX_BYTES > end:
        raise ValueError(f"{elements} BYTES elements take at least {elements * PREFIX_BYTES} bytes, got {end}")
    at = _walk(data, 0, elements)
    if at > end:
        raise ValueError(_BEHIND.format(end))
    if at < end:
        raise ValueError(f"{end - at} bytes follow the last of {elements} BYTES elements")


def row_offsets(data: Data, rows: int, row_elements: int) -> list[int]:
    """Where each of `rows` rows of `row_elements` BYTES elements begins, and at last where the last one ends.

    Raises ValueError if the data is not exactly these elements.
    """
    if rows * row_elements * PREFIX_BYTES > len(data):
        raise ValueError(f"{rows * row_elements} BYTES elements do not fit in {len(data)} bytes")
    at = 0
    offsets = [0]
    for _ in range(rows):
        at = _walk(data, at, row_elements)
        offsets.append(at)
    if at != len(data):
        raise ValueError(f"{rows * row_elements} BYTES elements end at {at}, not at {len(data)}")
    return offsets


def split_elements(data: Data) -> list[bytes]:
    """The elements of BYTES data. Raises ValueError where a length reaches behind the end."""
    return take_elements(data, 0, len(data))[0]


def take_elements(data: Data, at: int, most: int) -> tuple[list[bytes], int]:
    """Up to `most` elements from the one at `at`, and where the next begins. Raises ValueError as `split_elements`."""
    elements: list[bytes] = []
    end, length_at = len(data), _PREFIX.unpack_from
    try:
        while at < end and len(elements) < most:
            start = at + PREFIX_BYTES
            at = start + length_at(data, at)[0]
            elements.append(bytes(data[start:at]))
    except error:
        raise ValueError(_BEHIND.format(end)) from None
    if at > end:
        raise ValueError(_BEHIND.format(end))
    return elements, at


def join_elements(elements: Iterable[bytes]) -> bytes:
    """BYTES data of these elements, each shorter than 4 GiB."""
    length = _PREFIX.pack
    return b"".join([part for element in elements for part in (length(len(element)), element)])


def _walk(data: Data, at: int, elements: int) -> int:
    """Where the element that stands `elements` behind the one at `at` begins; may lie behind the end by one element.

    One step an element (70 ns), but for many of one length: those are compared all at once (19 → 1 ms a MiB of empty
    strings, each of which would be a step).
    """
    length_at = _PREFIX.unpack_from
    try:
        while elements:
            first, block = at, min(elements, BLOCK_ELEMENTS)
            for _ in range(block):
                at += PREFIX_BYTES + length_at(data, at)[0]
            elements -= block
            step, rest = divmod(at - first, block)
            if elements and not rest:
                alike = _alike(data, at, step, elements)
                at += alike * step
                elements -= alike
    except error:
        raise ValueError(_BEHIND.format(len(data))) from None
    return at


def _alike(data: Data, at: int, step: int, most: int) -> int:
    """How many of the next elements, at least, have this step to the next: found in ever larger blocks."""
    prefix = _PREFIX.pack(step - PREFIX_BYTES)
    found, count = 0, BLOCK_ELEMENTS
    while True:
        count = min(count, most - found, (len(data) - at) // step)
        end = at + count * step
        columns = (bytes(data[at + i : end : step]) == prefix[i : i + 1] * count for i in range(PREFIX_BYTES))
        if count <= 0 or not all(columns):
            return found
        found, at, count = found + count, end, 2 * count
