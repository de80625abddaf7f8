"""What is packed is what was sent, by whichever way the body is read; what is written reads back."""

from __future__ import annotations

import json
import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.batches import BatchOutputs
from proxy.core.errors import ProxyError
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import DATATYPES, Signature, Tensor, TensorSpec, join_elements
from proxy.protocol import v2_json, v2_request, v2_response
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
