"""A strict reader of safetensors headers: what is not exactly the format is refused before any library sees the file.

Source: https://github.com/huggingface/safetensors, "Format". Stricter than the library: no gaps, no overlaps, no
duplicate keys, no tensors of unknown type, at most 100 000 tensors.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

from proxy.core.words import of_error, say

MAX_HEADER_BYTES = 16 * 1_048_576
MAX_TENSORS = 100_000
MAX_RANK = 8
_SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


class BrokenHeader(ValueError):
    """The file is not a well-formed safetensors file; the words say where."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of the file; `begin` and `end` count bytes after the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(file: BinaryIO, file_bytes: int) -> tuple[StoredTensor, ...]:
    """Return the tensors in the order of their bytes. Raises BrokenHeader; allocates at most `MAX_HEADER_BYTES`."""
    prefix = file.read(8)
    if len(prefix) != 8:
        raise BrokenHeader(say("the file is shorter than 8 bytes"))
    length = int.from_bytes(prefix, "little")
    if not 2 <= length <= min(MAX_HEADER_BYTES, file_bytes - 8):
        raise BrokenHeader(
            say("the header's length is %(length)s, which the file cannot hold or exceeds the limit", length=length)
        )
    text = file.read(length)
    if len(text) != length or not text.startswith(b"{"):
        raise BrokenHeader(say("the header is cut or does not begin with a brace"))
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise BrokenHeader(say("the header is not JSON: %(error)s", error=of_error(error))) from error
    return _tensors(header, file_bytes - 8 - length)


def _tensors(header: dict[str, Any], data_bytes: int) -> tuple[StoredTensor, ...]:
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise BrokenHeader(say("__metadata__ must map strings to strings"))
    if not 1 <= len(header) <= MAX_TENSORS:
        raise BrokenHeader(
            say("the file holds %(count)s tensors; 1 to %(most)s are allowed", count=len(header), most=MAX_TENSORS)
        )
    tensors = sorted((_tensor(name, value) for name, value in header.items()), key=lambda t: (t.begin, t.end))
    at = 0
    for tensor in tensors:
        if tensor.begin != at:
            raise BrokenHeader(say("tensor %(name)s overlaps its neighbour or leaves a gap", name=repr(tensor.name)))
        at = tensor.end
    if at != data_bytes:
        raise BrokenHeader(
            say("the tensors end at byte %(at)s, but %(bytes)s bytes follow the header", at=at, bytes=data_bytes)
        )
    return tuple(tensors)


def _tensor(name: str, value: object) -> StoredTensor:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise BrokenHeader(say("tensor %(name)s must have exactly dtype, shape and data_offsets", name=repr(name)))
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _SIZES:
        raise BrokenHeader(say("tensor %(name)s has the unknown dtype %(dtype)s", name=repr(name), dtype=repr(dtype)))
    if not _are_sizes(shape) or len(shape) > MAX_RANK:
        raise BrokenHeader(say("tensor %(name)s has an impossible shape", name=repr(name)))
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise BrokenHeader(say("tensor %(name)s has impossible data_offsets", name=repr(name)))
    if prod(shape) * _SIZES[dtype] != offsets[1] - offsets[0]:
        raise BrokenHeader(
            say("tensor %(name)s: shape and dtype ask for other bytes than data_offsets give", name=repr(name))
        )
    return StoredTensor(name, dtype, tuple(shape), offsets[0], offsets[1])


def _are_sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**48 for item in value)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise BrokenHeader(say("a key appears twice in the header"))
    return result
