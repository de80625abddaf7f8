"""Values as JSON gives them → little-endian bytes of one datatype, and bytes → numbers.

Rules: a number that a smaller float cannot hold exactly is rounded once, to nearest, ties to even; one that would
become infinite is out of range. Text becomes the UTF-8 of a BYTES element.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from proxy.core.tensors import DATATYPES, Tensor, join_elements

Packer = Callable[..., bytes]
OUT_OF_RANGE = (struct.error, OverflowError)

_LOW_BITS = 0xFFFF  # of a float32, those that a bfloat16 has not
_HALF = 0x8000
_INFINITY = 0x7F80


def packer(datatype: str, elements: int) -> Packer:
    """Packs exactly `elements` values given one by one. The packer raises one of OUT_OF_RANGE."""
    row = DATATYPES[datatype]
    if row.struct_char:
        return struct.Struct(f"<{elements}{row.struct_char}").pack
    return _pack_text if row.is_variable_size else _pack_bf16


def element_type(datatype: str) -> type:
    """The JSON type of a datatype's elements."""
    if datatype == "BYTES":
        return str
    if datatype == "BOOL":
        return bool
    return float if "FP" in datatype or datatype == "BF16" else int


def bf16_bits(values: Sequence[float]) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """The nearest bfloat16 of each finite double, as bits; beyond the largest one: infinity.

    By way of float32, whose rounding may put a value on the middle between two bfloat16; there the double decides.
    """
    exact = np.array(values, np.float64)
    with np.errstate(over="ignore"):
        near = exact.astype(np.float32)
    bits = near.view(np.uint32)
    upper = (bits >> 16).astype(np.uint16)
    low = bits & _LOW_BITS
    size, near_size = np.abs(exact), np.abs(near.astype(np.float64))
    is_even_tie = (size == near_size) & (upper & 1 == 0)
    rounds_up = (low > _HALF) | ((low == _HALF) & (size >= near_size) & ~is_even_tie)
    rounded: np.ndarray[Any, np.dtype[np.uint16]] = upper + rounds_up.astype(np.uint16)
    return rounded


def bf16_as_float32(data: bytes | bytearray | memoryview) -> np.ndarray[Any, np.dtype[np.float32]]:
    """bfloat16 values as the float32 that equal them."""
    return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)


def numbers(tensor: Tensor) -> np.ndarray[Any, Any]:
    """The tensor's numbers in one row; BF16 as the float32 that equal them."""
    if tensor.datatype == "BF16":
        return bf16_as_float32(tensor.data)
    return np.frombuffer(tensor.data, DATATYPES[tensor.datatype].numpy)


def _pack_bf16(*values: float) -> bytes:
    bits = bf16_bits(values)
    if ((bits & _INFINITY) == _INFINITY).any():
        raise OverflowError("a value is beyond the largest bfloat16")
    return bits.astype("<u2").tobytes()


def _pack_text(*values: str) -> bytes:
    return join_elements([value.encode() for value in values])
