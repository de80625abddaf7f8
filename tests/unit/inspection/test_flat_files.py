"""Hostile files that are no archives (ATTACKS.md U1, U3, U4, U13 to U15), and good safetensors and ONNX."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import tracemalloc
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models_admin.inspection import Refused
from models_admin.inspection.safetensors_header import MAX_HEADER_BYTES
from tests.unit.inspection.conftest import Look, Refuse


def safetensors(header: Any, data: bytes = b"\0" * 8, length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def tensor(begin: int = 0, end: int = 8, dtype: Any = "F32", shape: Any = (2,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": [begin, end]}


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch /tmp/dlproxy-owned",)


@pytest.mark.parametrize("protocol", range(6))
def test_u01_a_pickle_is_refused_by_content_and_never_opened(refuse: Refuse, protocol: int) -> None:
    refusal = refuse(pickle.dumps(Evil(), protocol=protocol))
    assert protocol < 2 or (refusal.code == "pickle" and "torch.export.save" in str(refusal))


def test_u03_the_legacy_tar_layout_is_refused(refuse: Refuse) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("storages")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"\x80\x02N."))
    assert refuse(buffer.getvalue()).code == "legacy_tar"


def test_u04_a_legacy_torch_pickle_with_any_gadget_is_refused(refuse: Refuse) -> None:
    magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
    assert refuse(magic + b"\x80\x02cimaplib\nIMAP4\n)R.").code == "pickle"


def test_good_safetensors_is_accepted(look: Look) -> None:
    header = {"__metadata__": {"made": "here"}, "a": tensor(0, 8), "b": tensor(8, 12, "F16", (2,))}
    inspection = look(safetensors(header, b"\0" * 12))
    assert inspection.format == "safetensors"
    assert not inspection.carries_code


@pytest.mark.parametrize("length", [0, 1, 2**63, 2**64 - 1, 10**6, MAX_HEADER_BYTES + 1])
def test_u13_false_header_lengths_are_refused_without_allocation(refuse: Refuse, length: int) -> None:
    tracemalloc.start()
    refusal = refuse(safetensors({"a": tensor()}, length=length))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refusal.code == "safetensors"
    assert peak_bytes < 2**20


def test_u13_a_header_of_spaces_is_refused(refuse: Refuse) -> None:
    assert refuse(safetensors(b"{" + b" " * 100_000, b"")).code == "safetensors"


@pytest.mark.parametrize(
    "offsets",
    [
        [(0, 8), (4, 12)],
        [(0, 8), (12, 20)],
        [(4, 12)],
        [(0, 8), (8, 24)],
        [(-8, 0)],
        [(8, 0)],
        [(0, 8), (0, 8)],
        [(2**63, 2**63 + 8)],
    ],
)
def test_u14_offsets_that_overlap_gap_or_leave_the_file_are_refused(
    refuse: Refuse, offsets: list[tuple[int, int]]
) -> None:
    header = {f"t{i}": tensor(begin, end) for i, (begin, end) in enumerate(offsets)}
    assert refuse(safetensors(header, b"\0" * 16)).code == "safetensors"


@pytest.mark.parametrize(
    "entry",
    [
        tensor(shape=(3,)),
        tensor(shape=(2**32, 2**32)),
        tensor(shape=(2**60, 0), end=0),
        tensor(dtype="F31"),
        tensor(dtype=["F32"]),
        tensor(shape=(-2,)),
        tensor(shape=(True, 2)),
        tensor(shape="2"),
        tensor(shape=(1,) * 17 + (2,)),
        {"dtype": "F32", "shape": [2]},
        {**tensor(), "extra": 1},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4, 8]},
        [],
        None,
    ],
)
def test_u15_shapes_and_types_that_do_not_fit_are_refused(refuse: Refuse, entry: Any) -> None:
    assert refuse(safetensors({"a": entry})).code == "safetensors"


def test_u15_headers_that_are_not_plain_json_objects_are_refused(refuse: Refuse) -> None:
    good = json.dumps(tensor()).encode()
    for header in (
        b'{"a": ' + good + b', "a": ' + good + b"}",
        b"{}",
        b'{"__metadata__": {}}',
        b'{"__metadata__": {"a": 1}, "a": ' + good + b"}",
        b'{"a": NaN}',
        b'{"a": \xff}',
        b'{"a":' * 5_000,
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ):
        assert refuse(safetensors(header)).code == "safetensors"


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def part(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def onnx_model(graph: bytes = part(2, b"net"), opset: bytes = part(8, b"\x10\x11")) -> bytes:
    return b"\x08\x08" + part(2, b"here") + part(7, graph) + opset


def test_good_onnx_is_accepted(look: Look) -> None:
    inspection = look(onnx_model(part(5, part(9, b"\0" * 64) + part(8, b"w"))))
    assert inspection.format == "onnx"
    assert not inspection.carries_code


def test_onnx_whose_tensors_lie_in_other_files_is_refused_wherever_they_hide(refuse: Refuse) -> None:
    by_path = part(13, part(1, b"location") + part(2, b"/etc/passwd"))
    by_flag = varint(14 << 3) + b"\x01"
    for tensor_bytes in (by_path, by_flag):
        initializer = part(5, tensor_bytes)
        in_attribute = part(1, part(5, part(5, tensor_bytes)))
        in_subgraph = part(1, part(5, part(6, initializer)))
        in_sparse = part(15, part(1, tensor_bytes))
        for graph in (initializer, in_attribute, in_subgraph, in_sparse):
            assert refuse(onnx_model(graph)).code == "onnx_external_data"
        function = onnx_model() + part(25, part(7, part(5, part(5, tensor_bytes))))
        assert refuse(function).code == "onnx_external_data"


def test_onnx_that_is_cut_off_or_has_more_is_refused(refuse: Refuse) -> None:
    whole = onnx_model(part(5, part(9, b"\0" * 64)))
    for length in range(3, len(whole)):
        refuse(whole[:length])
    assert refuse(whole + b"\xff").code == "onnx"
    assert refuse(b"\x08\x08" + part(8, b"\x10\x11")).code == "onnx"


def test_onnx_nested_beyond_reason_is_refused(refuse: Refuse) -> None:
    graph = b""
    for _ in range(60):
        graph = part(1, part(5, part(6, graph)))
    assert refuse(onnx_model(graph)).code == "onnx"


@pytest.mark.parametrize(
    "content",
    [
        b"\x89HDF\r\n\x1a\n" + b"\0" * 100,
        b"\x1f\x8b\x08" + b"\0" * 100,
        b"GGUF" + b"\0" * 100,
        b"\x7fELF" + b"\0" * 100,
        b"\x1c\0\0\0TFL3" + b"\0" * 100,
        b"<svg onload='x()'/>" + b" " * 100,
        b"hello, world, this is text",
        b"\0" * 1_000,
        b"P",
        b"PK",
        b"\x08",
        b"",
    ],
)
def test_other_content_is_refused_in_words(refuse: Refuse, content: bytes) -> None:
    assert str(refuse(content)).endswith((".", "again."))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(
    start=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x04", b"\x08\x08", b"\x10\0\0\0\0\0\0\0{"]),
    rest=st.binary(max_size=300),
)
def test_no_content_whatever_raises_anything_but_a_refusal(look: Look, start: bytes, rest: bytes) -> None:
    try:
        look(start + rest)
    except Refused:
        return


@pytest.mark.parametrize(
    "start", [b"PK", b"<\0", b" <", b"\x80\x02", b"\x80\x05", b"MZ", b"\x1f\x8b", b"\x08\x07"], ids=lambda s: s.hex()
)
def test_a_safetensors_header_may_be_as_long_as_another_formats_first_bytes_say(look: Look, start: bytes) -> None:
    length = int.from_bytes(start, "little")
    header = json.dumps({"a": tensor()}).encode()
    if len(header) > length:
        header = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    data = b"\0" if b"U8" in header else b"\0" * 8
    assert look(safetensors(header.ljust(length), data)).format == "safetensors"


def test_u13_a_header_of_very_many_tensors_is_refused_before_it_is_parsed(refuse: Refuse) -> None:
    header = b"{" + b",".join(b'"%d":{}' % i for i in range(200_001)) + b"}"
    assert "tensors" in str(refuse(safetensors(header)))


@pytest.mark.parametrize("high_bits", [1, 7])
def test_an_onnx_field_number_that_readers_would_cut_short_is_refused(refuse: Refuse, high_bits: int) -> None:
    # external_data (field 13) in five bytes: seen by readers that keep 32 bits of the tag, by no others.
    tag = 13 << 3 | 2 | high_bits << 32
    raw = bytes((tag >> shift) & 0x7F | (0x80 if shift < 28 else 0) for shift in range(0, 35, 7))
    assert refuse(onnx_model(part(5, raw + b"\x00"))).code == "onnx"
