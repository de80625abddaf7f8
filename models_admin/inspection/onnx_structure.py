"""ONNX by the structure of its protobuf message, without parsing tensors into memory.

Rules: the file is one ModelProto from first to last byte; a graph and an operator set are there; no tensor's data lies
in another file (a path of the uploader's choice would be opened); nesting and the number of fields are bounded.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (field numbers below).
"""

from __future__ import annotations

from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from typing import BinaryIO

from models_admin.inspection.outcome import Inspection, Refused

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MAX_FIELDS = 2_000_000
MAX_DEPTH = 40
MAX_FIELD_NUMBER = 2**29 - 1
"""Protobuf's own limit. Readers that keep 32 bits of a tag would take a higher number for another field."""
IR_VERSION, GRAPH, OPSETS, FUNCTIONS = 1, 7, 8, 25
MODEL_FIELDS = {1: VARINT, 2: LENGTH, 3: LENGTH, 4: LENGTH, 5: VARINT, 6: LENGTH, 7: LENGTH, 8: LENGTH, 14: LENGTH,
                20: LENGTH, 25: LENGTH, 26: LENGTH}  # fmt: skip
NODE, INITIALIZER, SPARSE_INITIALIZER = 1, 5, 15
NODE_ATTRIBUTES = 5
FUNCTION_NODE, FUNCTION_ATTRIBUTE = 7, 11
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
ATTRIBUTE_SPARSE, ATTRIBUTE_SPARSES = 22, 23
SPARSE_VALUES, SPARSE_INDICES = 1, 2
TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION = 13, 14

# message kind → {field number: kind of the message in it}; what is not listed is skipped over.
CHILDREN: dict[str, dict[int, str]] = {
    "model": {GRAPH: "graph", FUNCTIONS: "function"},
    "graph": {NODE: "node", INITIALIZER: "tensor", SPARSE_INITIALIZER: "sparse"},
    "function": {FUNCTION_NODE: "node", FUNCTION_ATTRIBUTE: "attribute"},
    "node": {NODE_ATTRIBUTES: "attribute"},
    "attribute": {
        ATTRIBUTE_TENSOR: "tensor",
        ATTRIBUTE_TENSORS: "tensor",
        ATTRIBUTE_GRAPH: "graph",
        ATTRIBUTE_GRAPHS: "graph",
        ATTRIBUTE_SPARSE: "sparse",
        ATTRIBUTE_SPARSES: "sparse",
    },
    "sparse": {SPARSE_VALUES: "tensor", SPARSE_INDICES: "tensor"},
}


def looks_like_onnx(start: bytes) -> bool:
    """True if the file could be a ModelProto: it begins with ir_version (field 1, varint, 1 to 127)."""
    return len(start) > 2 and start[0] == IR_VERSION << 3 | VARINT and 0 < start[1] < 0x80


def inspect_onnx(file: BinaryIO, file_bytes: int) -> Inspection:
    """Walk the message; raises Refused at the first broken rule."""
    with mmap(file.fileno(), file_bytes, access=ACCESS_READ) as data:
        walker = Walker(data)
        seen: set[int] = set()
        for number, wire, _start, _end in walker.fields(0, file_bytes):
            if MODEL_FIELDS.get(number) != wire:
                raise _refused("it has a field that ONNX does not know")
            seen.add(number)
        if not {IR_VERSION, GRAPH, OPSETS} <= seen:
            raise _refused("its graph or operator set is missing")
        walker.check("model", 0, file_bytes)
    return Inspection("onnx", "ONNX model", has_signature=True)


class Walker:
    """Goes through a protobuf message in place: bounded in fields and depth, nothing copied."""

    def __init__(self, data: mmap) -> None:
        self.data = data
        self.left = MAX_FIELDS

    def fields(self, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """(number, wire type, start, end) of each field of the message at [position, end)."""
        while position < end:
            self.left -= 1
            if self.left < 0:
                raise _refused("it has more fields than any model needs")
            tag, position = self.varint(position, end)
            number, wire = tag >> 3, tag & 7
            start = position
            if wire == VARINT:
                _, position = self.varint(position, end)
            elif wire == LENGTH:
                length, start = self.varint(position, end)
                position = start + length
            elif wire in (FIXED32, FIXED64):
                position += 4 if wire == FIXED32 else 8
            else:
                raise _refused("its structure is damaged")
            if position > end or not 0 < number <= MAX_FIELD_NUMBER:
                raise _refused("it is cut off or its structure is damaged")
            yield number, wire, start, position

    def varint(self, position: int, end: int) -> tuple[int, int]:
        """The number at `position`, and where the next thing begins."""
        value = 0
        for shift in range(0, 70, 7):
            if position >= end:
                raise _refused("it is cut off")
            byte = self.data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value, position
        raise _refused("its structure is damaged")

    def check(self, kind: str, start: int, end: int, depth: int = 0) -> None:
        """Descend into every message that may hold a tensor."""
        if depth > MAX_DEPTH:
            raise _refused("its graphs are nested too deeply")
        if kind == "tensor":
            self.check_tensor(start, end)
            return
        children = CHILDREN[kind]
        for number, wire, first, last in self.fields(start, end):
            if number in children:
                if wire != LENGTH:
                    raise _refused("its structure is damaged")
                self.check(children[number], first, last, depth + 1)

    def check_tensor(self, start: int, end: int) -> None:
        """Refuse a tensor whose data lies elsewhere."""
        for number, wire, first, last in self.fields(start, end):
            elsewhere = number == TENSOR_DATA_LOCATION and wire == VARINT and self.varint(first, last)[0] != 0
            if number == TENSOR_EXTERNAL_DATA or elsewhere:
                raise Refused(
                    "This ONNX file keeps tensors in other files. Save it as one file: "
                    "onnx.save_model(model, path, save_as_external_data=False).",
                    "onnx_external_data",
                )


def _refused(what: str) -> Refused:
    return Refused(f"The ONNX file is not valid: {what}. Check it with onnx.checker and export it again.", "onnx")
