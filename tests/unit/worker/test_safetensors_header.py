"""The strict reader of safetensors headers (U13, U14, U15)."""

from __future__ import annotations

import io
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.worker.backends.safetensors_header import MAX_HEADER_BYTES, BrokenHeader, read_header


def read(data):
    return read_header(io.BytesIO(data), len(data))


def packed(header, data=b"", *, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(begin, end, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def test_a_good_file_is_read_in_the_order_of_its_bytes():
    header = {"__metadata__": {"format": "pt"}, "b": tensor(4, 12, (2,)), "a": tensor(0, 4)}
    tensors = read(packed(header, bytes(12)))
    assert [(t.name, t.shape, t.begin, t.end) for t in tensors] == [("a", (1,), 0, 4), ("b", (2,), 4, 12)]


@pytest.mark.parametrize("length", [0, 1, 2**63, 2**64 - 1, MAX_HEADER_BYTES + 1, 10_000])
def test_u13_a_header_length_that_the_file_cannot_hold_is_refused(length):
    with pytest.raises(BrokenHeader):
        read(packed({"a": tensor(0, 4)}, bytes(4), length=length))


@pytest.mark.parametrize(
    "header",
    [
        {"a": tensor(0, 4), "b": tensor(0, 4)},
        {"a": tensor(0, 4), "b": tensor(2, 6)},
        {"a": tensor(0, 4), "b": tensor(5, 9)},
        {"a": tensor(4, 8)},
        {"a": tensor(0, 400, (100,))},
        {"a": tensor(-4, 0)},
        {"a": tensor(4, 0)},
        {"a": tensor(0, 4)},
        {"a": {**tensor(0, 8, (2,)), "data_offsets": [0, 8, 9]}},
        {"a": {**tensor(0, 8, (2,)), "data_offsets": [0.0, 8.0]}},
        {"a": {**tensor(0, 8, (2,)), "data_offsets": [False, 8]}},
    ],
)
def test_u14_offsets_that_overlap_leave_gaps_or_leave_the_file_are_refused(header):
    with pytest.raises(BrokenHeader):
        read(packed(header, bytes(8)))


@pytest.mark.parametrize(
    "entry",
    [
        tensor(0, 4, (2,)),
        tensor(0, 4, (2**32, 2**32)),
        tensor(0, 4, (-1, -1)),
        tensor(0, 4, (1,), "F33"),
        tensor(0, 4, (1,) * 9),
        {**tensor(0, 4), "dtype": ["F32"]},
        {**tensor(0, 4), "shape": "1"},
        {**tensor(0, 4), "extra": 1},
        {"dtype": "F32", "shape": [1]},
        [],
        None,
    ],
)
def test_u15_shapes_types_and_fields_that_do_not_add_up_are_refused(entry):
    with pytest.raises(BrokenHeader):
        read(packed({"a": entry}, bytes(4)))


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"{}",
        b" {}",
        b"{" * 100_000,
        b'{"a": ' * 50_000,
        b'{"a": NaN}',
        b'{"\xff": 1}',
        b'{"__metadata__": {"a": 1}}',
        b'{"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}, "a": {}}',
    ],
)
def test_headers_that_are_not_one_plain_object_are_refused(text):
    with pytest.raises(BrokenHeader):
        read(packed(text, bytes(4)))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_or_read_but_never_raise_anything_else(data):
    try:
        read(data)
    except BrokenHeader:
        return


@given(st.data())
def test_a_good_file_cut_anywhere_is_refused(data):
    good = packed({"a": tensor(0, 4), "b": tensor(4, 12, (2,))}, bytes(12))
    with pytest.raises(BrokenHeader):
        read(good[: data.draw(st.integers(0, len(good) - 1))])
