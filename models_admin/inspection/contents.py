"""What lies in an accepted file, by name: tensors with datatype and shape, or an archive's members with their checksum.

Rules: the file is not run and no weight is read. What is not written down in plain is not guessed: TorchScript and
torch.export name their tensors inside a pickle, which stays shut, so of those the members of the archive are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO

from models_admin.inspection.onnx_structure import GRAPH, INITIALIZER, LENGTH, VARINT, Walker
from models_admin.inspection.safetensors_header import read_header
from models_admin.inspection.zip_directory import read_directory

TENSORS, MEMBERS = "tensors", "members"
TENSOR_DIMS, TENSOR_DATA_TYPE, TENSOR_NAME = 1, 2, 8
MAX_NAME_CHARACTERS = 300
# TensorProto.DataType of onnx.proto, as safetensors would name it.
ONNX_DATATYPES = {
    1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 8: "STRING", 9: "BOOL", 10: "F16", 11: "F64",
    12: "U32", 13: "U64", 16: "BF16",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Contents:
    """`kind` is TENSORS ({"datatype", "shape"} by name) or MEMBERS ({"bytes", "crc32"} by name)."""

    kind: str
    parts: dict[str, dict[str, Any]]


def contents_of(path: Path, format_name: str) -> Contents:
    """What lies in a file that was accepted as `format_name`. OSError, or Refused if it is not what it was."""
    file_bytes = path.stat().st_size
    with path.open("rb") as file:
        if format_name == "safetensors":
            return Contents(TENSORS, _named(_safetensors(file, file_bytes)))
        if format_name == "onnx":
            return Contents(TENSORS, _named(_onnx(file, file_bytes)))
        return Contents(MEMBERS, _named(_members(file, file_bytes)))


def _named(parts: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    return {name[:MAX_NAME_CHARACTERS]: part for name, part in parts}


def _safetensors(file: BinaryIO, file_bytes: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, entry in read_header(file, file_bytes).items():
        yield name, {"datatype": entry["dtype"], "shape": entry["shape"]}


def _members(file: BinaryIO, file_bytes: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for member in read_directory(file, file_bytes):  # the first folder is the name of the file that was saved
        yield member.name.partition("/")[2], {"bytes": member.size_bytes, "crc32": f"{member.crc32:08x}"}


def _onnx(file: BinaryIO, file_bytes: int) -> Iterator[tuple[str, dict[str, Any]]]:
    with mmap(file.fileno(), file_bytes, access=ACCESS_READ) as data:
        walker = Walker(data)
        for number, _, start, end in walker.fields(0, file_bytes):
            if number == GRAPH:
                for inner, _, first, last in walker.fields(start, end):
                    if inner == INITIALIZER:
                        yield _onnx_tensor(walker, first, last)


def _onnx_tensor(walker: Walker, start: int, end: int) -> tuple[str, dict[str, Any]]:
    name, datatype = "", "?"
    shape: list[int] = []
    for number, wire, first, last in walker.fields(start, end):
        if number == TENSOR_NAME and wire == LENGTH:
            name = walker.data[first:last].decode("utf-8", "replace")
        elif number == TENSOR_DATA_TYPE and wire == VARINT:
            code = walker.varint(first, last)[0]
            datatype = ONNX_DATATYPES.get(code, f"type {code}")
        elif number == TENSOR_DIMS:
            position = first
            while position < last:  # one number, or several packed
                size, position = walker.varint(position, last)
                shape.append(size)
    return name, {"datatype": datatype, "shape": shape}
