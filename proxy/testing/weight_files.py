"""Files of weights for uploads, written by the format's specification and not by the library that reads them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from math import prod

ELEMENT_BYTES = {"F32": 4, "U8": 1}


def safetensors_file(shapes: Mapping[str, Sequence[int]], data: bytes = b"", *, datatype: str = "F32") -> bytes:
    """A file of tensors by name, one after the other; `data` are the bytes of all of them, zeros if none are given."""
    header, end = {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + ELEMENT_BYTES[datatype] * prod(shape)
        header[name] = {"dtype": datatype, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + (data or bytes(end))
