"""What is packed is what was sent, by whichever way the body is read; what is written reads back."""

from __future__ import annotations

import json
import math
import struct
from hashlib import blake2b
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.key import request_key
from proxy.core.batches import BatchOutputs
from proxy.core.errors import ProxyError
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import DATATYPES, Signature, Tensor, TensorSpec, join_elements
from proxy.protocol import v2_binary_response, v2_json, v2_request, v2_response
from proxy.protocol.limits import Limits
from proxy.protocol.media import BodyForm

CAREFUL = Limits(fast_body_bytes=0)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def version(datatype: str, columns: int) -> VersionSnapshot:
    spec = TensorSpec("x", datatype, (-1, columns))
    return VersionSnapshot(
        "m", 1, "d", "p", "torchscript", Signature((spec,), (TensorSpec("y", datatype, (-1, columns)),))
    )


def nest(values: list, columns: int) -> list:
    return [values[i : i + columns] for i in range(0, len(values), columns)]


@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_both_ways_and_both_forms_pack_the_same_bytes(rows: int, columns: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(FLOATS, min_size=rows * columns, max_size=rows * columns))
    of = version("FP32", columns)
    packed = struct.pack(f"<{len(values)}f", *values)
    for form in (values, nest(values, columns)):
        item = {"name": "x", "shape": [rows, columns], "datatype": "FP32", "data": form}
        body = json.dumps({"inputs": [item]}).encode()
        for limits in (Limits(), CAREFUL):
            parsed = v2_json.parse(body, of, limits)
            assert bytes(parsed.inputs[0].data) == packed
            assert parsed.rows == rows


@given(st.integers(1, 6), st.integers(1, 4), st.data())
def test_a_batchs_rows_read_back_bit_for_bit(rows: int, columns: int, data: st.DataObject) -> None:
    values = np.array(data.draw(st.lists(FLOATS, min_size=rows * columns, max_size=rows * columns)), "f4")
    of = version("FP32", columns)
    batch = BatchOutputs((Tensor("y", "FP32", (rows, columns), values.tobytes()),), rows, batched=True)
    for row in range(rows):
        body = v2_response.encode(InferenceResult(of, batch, row, 1), InferenceRequest(of, (), 1, 0, 0))
        back = np.array(json.loads(body)["outputs"][0]["data"], "f4")
        assert back.tobytes() == values[row * columns : (row + 1) * columns].tobytes()


def _values(datatype: str) -> st.SearchStrategy[Any]:
    row = DATATYPES[datatype]
    if datatype == "BOOL":
        return st.booleans()
    if datatype == "BYTES":
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    if datatype == "BF16":
        return st.integers(0, 2**16 - 1).map(_bf16).filter(math.isfinite)
    if row.numpy.startswith("float"):
        return st.floats(width=8 * row.size_bytes, allow_nan=False, allow_infinity=False)
    limits = np.iinfo(row.numpy)
    return st.integers(int(limits.min), int(limits.max))


def _bf16(bits: int) -> float:
    return struct.unpack("<f", struct.pack("<HH", 0, bits))[0]


@pytest.mark.parametrize("datatype", list(DATATYPES))
@given(st.integers(1, 4), st.integers(1, 3), st.booleans(), st.data())
def test_json_and_raw_carry_the_same_values_there_and_back(
    datatype: str, rows: int, columns: int, is_careful: bool, data: st.DataObject
) -> None:
    values = data.draw(st.lists(_values(datatype), min_size=rows * columns, max_size=rows * columns))
    of = version(datatype, columns)
    item: dict[str, Any] = {"name": "x", "shape": [rows, columns], "datatype": datatype}
    limits = CAREFUL if is_careful else Limits()
    packed = bytes(
        v2_json.parse(json.dumps({"inputs": [{**item, "data": values}]}).encode(), of, limits).inputs[0].data
    )
    head = json.dumps({"inputs": [{**item, "parameters": {"binary_data_size": len(packed)}}]}).encode()
    raw = v2_request.parse(head + packed, of, limits, BodyForm(json_bytes=len(head)))
    assert (bytes(raw.inputs[0].data), raw.rows) == (packed, rows)
    batch = BatchOutputs((Tensor("y", datatype, (rows, columns), packed),), rows, batched=True)
    back, shares = [], []
    for row in range(rows):
        result = InferenceResult(of, batch, row, 1)
        back += json.loads(v2_response.encode(result, InferenceRequest(of, (), 1, 0, 0)))["outputs"][0]["data"]
        binary = InferenceRequest(of, (), 1, 0, 0, binary_outputs=frozenset("y"))
        body, json_bytes = v2_binary_response.encode(result, binary)
        shares.append(body[json_bytes:])
    assert b"".join(shares) == packed
    again = json.dumps({"inputs": [{**item, "data": back}]}).encode()
    assert bytes(v2_json.parse(again, of, limits).inputs[0].data) == packed
    if datatype not in ("FP16", "FP32", "BF16"):
        assert back == values


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=4), st.lists(st.binary(max_size=4), min_size=1, max_size=4))
def test_strings_have_one_key_only_if_they_are_equal(one: list[bytes], other: list[bytes]) -> None:
    def key(elements: list[bytes]) -> bytes:
        return request_key(blake2b(b"v"), (Tensor("x", "BYTES", (1, len(elements)), join_elements(elements)),), None)

    assert (key(one) == key(other)) == (one == other)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("name", "shape", "datatype", "data", "parameters", "id", "inputs", "outputs", "x", "y", "FP32")


@given(JSON, st.sampled_from(["body", "inputs", "input", "shape", "data", "parameters", "outputs", "id", "name"]))
def test_no_json_is_ever_a_fault(value: object, place: str) -> None:
    item = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
    whole = {"inputs": [item]}
    if place == "body":
        sent: object = value
    elif place == "input":
        sent = {"inputs": [value]}
    elif place in item:
        sent = {"inputs": [{**item, place: value}]}
    else:
        sent = {**whole, place: value}
    for limits in (Limits(), CAREFUL):
        try:
            v2_json.parse(json.dumps(sent).encode(), version("FP32", 2), limits)
        except ProxyError as error:
            assert 400 <= error.status < 500
            assert len(error.message) < 500


@given(st.binary(max_size=60), st.integers(0, 90), st.integers(0, 90))
def test_no_bytes_are_ever_a_fault(noise: bytes, start: int, end: int) -> None:
    good = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}],"id":"a"}'
    for body in (noise, good[:start] + noise + good[end:]):
        try:
            v2_json.parse(body, version("FP32", 2), Limits())
        except ProxyError as error:
            assert 400 <= error.status < 500


@given(
    st.binary(max_size=64),
    st.integers(-20, 20),
    st.integers(-8, 8),
    st.sampled_from(["FP32", "INT64", "BOOL", "FP16", "BYTES", "BF16", ""]),
    st.lists(st.integers(-1, 5), max_size=3),
)
def test_any_framing_of_raw_tensors_is_read_exactly_or_refused(
    raw: bytes, shift: int, more: int, datatype: str, shape: list[int]
) -> None:
    item = {"name": "x", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(raw) + more}}
    text = json.dumps({"inputs": [item]}).encode()
    form = BodyForm(json_bytes=max(0, len(text) + shift))
    of = version(datatype if datatype in DATATYPES else "FP32", 2)
    try:
        parsed = v2_request.parse(text + raw, of, form=form)
    except ProxyError as error:
        assert error.status in (400, 413)
    else:
        whole = raw if form.json_bytes else text + raw
        is_raw_element = datatype == "BYTES" and not form.json_bytes
        assert bytes(parsed.inputs[0].data) == (join_elements([whole]) if is_raw_element else whole)
        assert parsed.inputs[0].size_bytes == len(parsed.inputs[0].data)
