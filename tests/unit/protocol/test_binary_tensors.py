"""The binary tensor extension: JSON with raw tensors behind it, raw requests, raw outputs."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from v2_models import DIGITS, PAIR, VOICE, one, tensor, version

from proxy.core.batches import BatchOutputs
from proxy.core.errors import ExecutionFailed, ProxyError, Reason
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.tensors import DATATYPES, Tensor, TensorSpec, join_elements
from proxy.protocol import v2_answer, v2_binary_response, v2_request
from proxy.protocol.media import BodyForm

IMAGE3 = version(TensorSpec("image", "UINT8", (-1, 3, -1, 4)))
TWO_FREE = version(TensorSpec("x", "FP32", (-1, -1, -1)))


def raw_input(name: str, datatype: str, shape: tuple[int, ...], size: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}, **more}


def framed(head: Any, *raws: bytes) -> tuple[bytes, BodyForm]:
    text = json.dumps(head).encode()
    return b"".join((text, *raws)), BodyForm(json_bytes=len(text))


def parse(of: Any, head: Any, *raws: bytes):
    body, form = framed(head, *raws)
    return v2_request.parse(bytearray(body), of, form=form)


def refused(of: Any, head: Any, *raws: bytes) -> str:
    with pytest.raises(ProxyError) as caught:
        parse(of, head, *raws)
    assert caught.value.status in (400, 413)
    return caught.value.message


@pytest.mark.parametrize("datatype", list(DATATYPES))
@pytest.mark.parametrize("padding", range(9))
def test_r19_every_datatype_at_every_alignment_is_a_slice_of_the_body(datatype: str, padding: int) -> None:
    size = DATATYPES[datatype].size_bytes
    raw = bytes([1, 0] * size) if datatype == "BOOL" else bytes(range(1, 2 * size + 1))
    raw = join_elements([b"", b"\xffab"]) if datatype == "BYTES" else raw[: 2 * size]
    body, form = framed({"id": "p" * padding, "inputs": [raw_input("x", datatype, (1, 2), len(raw))]}, raw)
    parsed = v2_request.parse(bytearray(body), one(datatype), form=form)
    (given,) = parsed.inputs
    assert isinstance(given.data, memoryview)
    assert (bytes(given.data), given.shape, given.datatype, parsed.rows) == (raw, (1, 2), datatype, 1)


def test_raw_parts_follow_the_order_of_the_body_not_of_the_signature() -> None:
    left, right = struct.pack("<4f", 1, 2, 3, 4), struct.pack("<6q", 5, 6, 7, 8, 9, 10)
    head = {"inputs": [raw_input("right", "INT64", (2, 3), 48), raw_input("left", "FP32", (2, 2), 16)]}
    parsed = parse(PAIR, head, right, left)
    assert [(t.name, bytes(t.data)) for t in parsed.inputs] == [("left", left), ("right", right)]
    assert parsed.rows == 2


def test_json_and_raw_inputs_may_be_mixed() -> None:
    right = struct.pack("<3q", 5, 6, 7)
    head = {"inputs": [tensor("left", (1, 2), "FP32", [1, 2]), raw_input("right", "INT64", (1, 3), 24)]}
    parsed = parse(PAIR, head, right)
    assert [bytes(t.data) for t in parsed.inputs] == [struct.pack("<2f", 1, 2), right]


def test_r18_payload_bits_of_nan_are_kept() -> None:
    raw = struct.pack("<2I", 0x7FA00001, 0xFFC12345)
    assert bytes(parse(one("FP32"), {"inputs": [raw_input("x", "FP32", (1, 2), 8)]}, raw).inputs[0].data) == raw


@pytest.mark.parametrize(
    ("size", "raw", "words"),
    [
        (7, bytes(8), "1 bytes follow the last tensor"),
        (9, bytes(8), "9 bytes, but only 8 are left"),
        (8, bytes(7), "8 bytes, but only 7 are left"),
        (8, bytes(9), "1 bytes follow the last tensor"),
        (0, b"", "is 8 bytes, got 0"),
        (4, bytes(4), "is 8 bytes, got 4"),
        (16, bytes(16), "is 8 bytes, got 16"),
        (-1, bytes(8), "must lie between 0"),
        (2**63, bytes(8), "must lie between 0"),
        (True, bytes(8), "expected a whole number of bytes"),
        ("8", bytes(8), "expected a whole number of bytes"),
        (8.0, bytes(8), "expected a whole number of bytes"),
    ],
)
def test_r15_sizes_that_do_not_add_up_are_refused(size: Any, raw: bytes, words: str) -> None:
    assert words in refused(one("FP32"), {"inputs": [raw_input("x", "FP32", (1, 2), size)]}, raw)


def test_r16_data_and_a_size_exclude_each_other_and_one_must_be_there() -> None:
    both = raw_input("x", "FP32", (1, 2), 8, data=[1, 2])
    assert "`data` is given, too" in refused(one("FP32"), {"inputs": [both]}, bytes(8))
    neither = {"name": "x", "datatype": "FP32", "shape": (1, 2)}
    assert "inputs[0].data: missing" in refused(one("FP32"), {"inputs": [neither]}, bytes(8))


@pytest.mark.parametrize("byte", [2, 255])
def test_a_bool_byte_is_zero_or_one(byte: int) -> None:
    assert "a BOOL byte is 0 or 1" in refused(
        one("BOOL"), {"inputs": [raw_input("x", "BOOL", (1, 2), 2)]}, bytes([1, byte])
    )


def test_bf16_and_bytes_are_refused_by_name() -> None:
    for datatype in ("BF16", "BYTES"):
        words = refused(one("FP16"), {"inputs": [raw_input("x", datatype, (1, 2), 4)]}, bytes(4))
        assert words.startswith("inputs[0].datatype: ")


def test_a_shape_is_checked_before_a_raw_tensors_size() -> None:
    assert "inputs[0].shape" in refused(one("FP32"), {"inputs": [raw_input("x", "FP32", (2**40, 2), 8)]}, bytes(8))


def test_a_header_length_beyond_the_body_is_refused() -> None:
    with pytest.raises(ProxyError, match="bytes of JSON, but the body has 2"):
        v2_request.parse(b"{}", DIGITS, form=BodyForm(json_bytes=3))


def test_a_header_length_that_cuts_the_json_is_refused() -> None:
    body, form = framed({"inputs": [raw_input("x", "FP32", (1, 2), 8)]}, bytes(8))
    for json_bytes in (1, form.json_bytes - 1, form.json_bytes + 1):  # type: ignore[operator]
        with pytest.raises(ProxyError, match="not valid JSON"):
            v2_request.parse(body, one("FP32"), form=BodyForm(json_bytes=json_bytes))


# Raw requests: the body is the one input.


@pytest.mark.parametrize(
    ("of", "size", "shape"),
    [
        (DIGITS, 256, (1, 64)),
        (IMAGE3, 24, (1, 3, 2, 4)),
        (IMAGE3, 12, (1, 3, 1, 4)),
        (version(TensorSpec("x", "FP32", (3, -1)), batchable=False), 24, (3, 2)),
        (version(TensorSpec("x", "FP32", (2, 2)), batchable=False), 16, (2, 2)),
        (version(TensorSpec("x", "FP32", ()), batchable=False), 4, ()),
    ],
)
def test_a_raw_request_is_one_row_and_asks_for_raw_outputs(of: Any, size: int, shape: tuple[int, ...]) -> None:
    parsed = v2_request.parse(bytes(range(1, 1 + size % 250)).ljust(size, b"\1"), of, form=BodyForm(json_bytes=0))
    assert (parsed.inputs[0].shape, parsed.rows, parsed.outputs) == (shape, 1, None)
    assert parsed.binary_outputs == {"y"}


@pytest.mark.parametrize(
    ("of", "size", "words"),
    [
        (DIGITS, 0, "is 256 bytes; got 0"),
        (DIGITS, 255, "is 256 bytes; got 255"),
        (DIGITS, 512, "is 256 bytes; got 512"),
        (IMAGE3, 13, "is 12 bytes or a multiple; got 13"),
        (IMAGE3, 0, "got 0"),
        (TWO_FREE, 16, "cannot say the shape"),
        (PAIR, 16, "this one has 2"),
        (VOICE, 16, "this one has 2"),
    ],
)
def test_a_raw_request_of_another_size_is_refused(of: Any, size: int, words: str) -> None:
    with pytest.raises(ProxyError) as caught:
        v2_request.parse(bytes(size), of, form=BodyForm(json_bytes=0))
    assert words in caught.value.message


# Which outputs come back raw.

BOTH_OUTPUTS = version(
    TensorSpec("x", "FP32", (-1, 2)), outputs=(TensorSpec("a", "FP32", (-1, 2)), TensorSpec("b", "INT8", (-1,)))
)


@pytest.mark.parametrize(
    ("default", "outputs", "names", "binary"),
    [
        (None, None, None, set()),
        (True, None, None, {"a", "b"}),
        (False, None, None, set()),
        (True, [], None, {"a", "b"}),
        (None, [{"name": "b"}], ("b",), set()),
        (True, [{"name": "b"}], ("b",), {"b"}),
        (True, [{"name": "b", "parameters": {"binary_data": False}}, {"name": "a"}], ("b", "a"), {"a"}),
        (None, [{"name": "a", "parameters": {"binary_data": True}}, {"name": "b"}], ("a", "b"), {"a"}),
    ],
)
def test_an_outputs_own_wish_wins_over_the_requests(default: Any, outputs: Any, names: Any, binary: set[str]) -> None:
    head: dict[str, Any] = {"inputs": [tensor("x", (1, 2), "FP32", [1, 2])]}
    if default is not None:
        head["parameters"] = {"binary_data_output": default}
    if outputs is not None:
        head["outputs"] = outputs
    in_json = v2_request.parse(json.dumps(head).encode(), BOTH_OUTPUTS)
    assert (in_json.outputs, in_json.binary_outputs) == (names, binary)
    head["inputs"] = [raw_input("x", "FP32", (1, 2), 8)]
    in_parts = parse(BOTH_OUTPUTS, head, bytes(8))
    assert (in_parts.outputs, in_parts.binary_outputs) == (names, binary)


def batch() -> BatchOutputs:
    a = struct.pack("<6f", 1, 2, float("nan"), float("inf"), 5, 6)
    return BatchOutputs((Tensor("a", "FP32", (3, 2), a), Tensor("b", "INT8", (3,), bytes([7, 8, 9]))), 3, batched=True)


def asked(binary: set[str], outputs: tuple[str, ...] | None = None, rows: int = 1) -> InferenceRequest:
    return InferenceRequest(
        BOTH_OUTPUTS, (), rows, 0, 0, request_id="r", outputs=outputs, binary_outputs=frozenset(binary)
    )


def test_each_request_of_a_batch_gets_its_own_rows_raw() -> None:
    outputs = batch()
    for first in range(3):
        result = InferenceResult(BOTH_OUTPUTS, outputs, first, 1)
        body, json_bytes = v2_binary_response.encode(result, asked({"a", "b"}))
        assert json.loads(body[:json_bytes]) == {
            "model_name": "digits",
            "model_version": "3",
            "id": "r",
            "outputs": [
                {"name": "a", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}},
                {"name": "b", "datatype": "INT8", "shape": [1], "parameters": {"binary_data_size": 1}},
            ],
        }
        assert body[json_bytes:] == outputs.tensors[0].data[first * 8 : first * 8 + 8] + bytes([7 + first])


def test_json_and_raw_outputs_are_mixed_in_the_asked_order() -> None:
    result = InferenceResult(BOTH_OUTPUTS, batch(), 1, 2)
    body, json_bytes = v2_binary_response.encode(result, asked({"a"}, ("b", "a"), rows=2))
    head = json.loads(body[:json_bytes])
    assert head["outputs"][0] == {"name": "b", "datatype": "INT8", "shape": [2], "data": [8, 9]}
    assert head["outputs"][1]["parameters"] == {"binary_data_size": 16}
    assert np.frombuffer(body[json_bytes:], "f4")[1] == float("inf")


def test_r18_only_json_refuses_what_is_not_finite() -> None:
    result = InferenceResult(BOTH_OUTPUTS, batch(), 1, 1)
    assert v2_answer.write(result, asked({"a", "b"})).status == 200
    with pytest.raises(ExecutionFailed) as caught:
        v2_answer.write(result, asked({"b"}))
    assert caught.value.reason is Reason.OUTPUT_NOT_FINITE


def test_outputs_of_a_version_without_a_batch_dimension_come_whole() -> None:
    whole = BatchOutputs((Tensor("a", "FP32", (2,), bytes(8)), Tensor("b", "INT8", (), b"\5")), 1, batched=False)
    body, json_bytes = v2_binary_response.encode(InferenceResult(BOTH_OUTPUTS, whole, 0, 1), asked({"a", "b"}))
    assert [o["shape"] for o in json.loads(body[:json_bytes])["outputs"]] == [[2], []]
    assert body[json_bytes:] == bytes(8) + b"\5"


def test_the_answers_headers_say_where_the_raw_bytes_begin() -> None:
    answer = v2_answer.write(InferenceResult(BOTH_OUTPUTS, batch(), 0, 1, cache_hit=True), asked({"a"}, ("a",)))
    headers = dict(answer.headers)
    assert headers[b"content-type"] == b"application/octet-stream"
    assert headers[b"x-dlproxy-cache"] == b"hit"
    assert answer.body[int(headers[b"inference-header-content-length"]) :] == struct.pack("<2f", 1, 2)


def test_long_outputs_are_encoded_in_pieces_to_the_same_text() -> None:
    source = np.random.default_rng(1).normal(size=(3, 70_000)).astype("f4")
    long = BatchOutputs((Tensor("a", "FP32", source.shape, source.tobytes()),), 3, batched=True)
    tall = source.reshape(-1, 7)
    high = BatchOutputs((Tensor("a", "FP32", tall.shape, tall.tobytes()),), len(tall), batched=True)
    for outputs, rows in ((long, 3), (high, len(tall))):
        body = v2_answer.write(InferenceResult(BOTH_OUTPUTS, outputs, 0, rows), asked(set(), rows=rows)).body
        assert np.array(json.loads(body)["outputs"][0]["data"], "f4").tobytes() == source.tobytes()
