"""The header of a safetensors file, read strictly.

Rules: the header's length is believed only after it was compared with the file and a cap; names are unique; each
tensor's bytes equal shape times element size; tensors cover the data area exactly, without gap or overlap.

Source: https://github.com/huggingface/safetensors (format section of README.md).
"""

from __future__ import annotations

import json
import struct
from math import prod
from typing import Any, BinaryIO

from models_admin.inspection.outcome import Inspection, Refused

LENGTH = struct.Struct("<Q")
MAX_HEADER_BYTES = 25_000_000
"""Cap of the header; the reference reader allows 100,000,000, which no real model comes near."""
MAX_TENSORS = 100_000
MAX_OBJECTS = 2 * MAX_TENSORS
"""Braces in a header that is parsed at all: some may stand in the names and the metadata of a good one."""
MAX_DIMS = 16
MAX_DIMENSION = 2**48
ELEMENT_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip


def looks_like_safetensors(start: bytes, file_bytes: int) -> bool:
    """True if the file begins with a length that it has room for, and an object follows."""
    if start[LENGTH.size : LENGTH.size + 1] != b"{":
        return False
    (header_bytes,) = LENGTH.unpack(start[: LENGTH.size])
    return 2 <= int(header_bytes) <= min(MAX_HEADER_BYTES, file_bytes - LENGTH.size)


def inspect_safetensors(file: BinaryIO, file_bytes: int) -> Inspection:
    """Check the whole header; raises Refused at the first broken rule."""
    header = read_header(file, file_bytes)
    return Inspection("safetensors", f"safetensors file with {len(header)} tensors", has_signature=False)


def read_header(file: BinaryIO, file_bytes: int) -> dict[str, Any]:
    """Each tensor's {dtype, shape, data_offsets} by name, all checked; raises Refused at the first broken rule."""
    if file_bytes < LENGTH.size:
        raise _refused("it ends before its header")
    file.seek(0)
    (header_bytes,) = LENGTH.unpack(file.read(LENGTH.size))
    if not 2 <= header_bytes <= min(MAX_HEADER_BYTES, file_bytes - LENGTH.size):
        raise _refused(f"its header claims {header_bytes} bytes, which the file does not have or a header may not have")
    header = _parse(file.read(header_bytes))
    header.pop("__metadata__", None)
    if not 0 < len(header) <= MAX_TENSORS:
        raise _refused(f"it has {len(header)} tensors; 1 to {MAX_TENSORS} are allowed")
    spans = sorted(_span(name, entry) for name, entry in header.items())
    _check_cover(spans, file_bytes - LENGTH.size - header_bytes)
    return header


def _parse(raw: bytes) -> dict[str, Any]:
    # The reference reader wants the brace first and allows only spaces as padding at the end.
    if not raw.startswith(b"{") or not raw.rstrip(b" ").endswith(b"}"):
        raise _refused("its header is not a JSON object")
    if raw.count(b"{") > MAX_OBJECTS:
        raise _refused(f"it has more than {MAX_TENSORS} tensors")
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _refused("its header is not valid JSON") from None
    if not isinstance(header, dict):
        raise _refused("its header is not a JSON object")
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _refused("its __metadata__ is not an object of strings")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _refused("a name occurs twice in its header")
    return result


def _no_constant(_name: str) -> None:
    raise _refused("its header holds a number that is not finite")


def _span(name: str, entry: Any) -> tuple[int, int, str]:
    shown = f"{name[:80]!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _refused(f"tensor {shown} needs exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ELEMENT_BYTES:
        raise _refused(f"tensor {shown} has the unknown dtype {dtype!r:.40}")
    if not _whole_numbers(shape) or len(shape) > MAX_DIMS or any(size > MAX_DIMENSION for size in shape):
        raise _refused(f"tensor {shown} has an impossible shape")
    if not _whole_numbers(offsets) or len(offsets) != 2:
        raise _refused(f"tensor {shown} has impossible data_offsets")
    begin, end = offsets
    if end - begin != prod(shape) * ELEMENT_BYTES[dtype]:
        raise _refused(f"tensor {shown} has {end - begin} bytes, but its shape and dtype need another number")
    return begin, end, name


def _whole_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in values
    )


def _check_cover(spans: list[tuple[int, int, str]], data_bytes: int) -> None:
    position = 0
    for begin, end, name in spans:
        if begin != position:
            what = "overlaps another" if begin < position else "leaves a gap before it"
            raise _refused(f"tensor {name[:80]!r} {what}")
        position = end
    if position != data_bytes:
        raise _refused(f"its tensors cover {position} of {data_bytes} bytes of data")


def _refused(what: str) -> Refused:
    return Refused(
        f"The safetensors file is not valid: {what}. Save it again with safetensors.torch.save_file.", "safetensors"
    )
