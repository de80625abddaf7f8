"""What is told of an accepted file without running it: tensors where they are written down, else the members."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from models_admin.inspection import Refused
from models_admin.inspection.contents import MEMBERS, TENSORS, contents_of
from tests.unit.inspection.test_flat_files import onnx_model, part, varint


def on_disk(folder: Path, content: bytes) -> Path:
    path = folder / "artifact"
    path.write_bytes(content)
    return path


def test_a_safetensors_file_tells_its_tensors(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}
    header = json.dumps({"__metadata__": {"a": "b"}, "fc.weight": entry}).encode()
    path = on_disk(tmp_path, struct.pack("<Q", len(header)) + header + bytes(8))
    found = contents_of(path, "safetensors")
    assert (found.kind, found.parts) == (TENSORS, {"fc.weight": {"datatype": "F32", "shape": [2, 1]}})


def test_an_onnx_file_tells_its_initializers_packed_and_unpacked(tmp_path: Path) -> None:
    def number(field: int, value: int) -> bytes:
        return varint(field << 3) + varint(value)

    packed = part(1, varint(300) + varint(4)) + number(2, 1) + part(8, b"w") + part(9, bytes(16))
    single = number(1, 3) + number(1, 5) + number(2, 99) + part(8, b"b\xff")
    found = contents_of(on_disk(tmp_path, onnx_model(part(5, packed) + part(5, single))), "onnx")
    assert found.parts == {
        "w": {"datatype": "F32", "shape": [300, 4]},
        "b\ufffd": {"datatype": "type 99", "shape": [3, 5]},
    }


def test_a_torch_archive_tells_its_members_and_opens_no_pickle(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in (("digits/data.pkl", b"cos\nsystem\n"), ("digits/code/a.py", b"pass")):
            archive.writestr(name, content)
    found = contents_of(on_disk(tmp_path, buffer.getvalue()), "torchscript")
    assert found.kind == MEMBERS
    assert found.parts["code/a.py"] == {"bytes": 4, "crc32": f"{zlib.crc32(b'pass'):08x}"}
    assert list(found.parts) == ["data.pkl", "code/a.py"]


def test_a_file_that_is_damaged_or_gone_is_an_error_in_words(tmp_path: Path) -> None:
    for damaged in (b"\xff" * 40, b"abc", b""):
        with pytest.raises(Refused):
            contents_of(on_disk(tmp_path, damaged), "safetensors")
    with pytest.raises(OSError, match="artifact"):
        contents_of(tmp_path / "no-artifact", "onnx")
