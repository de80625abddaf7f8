"""BYTES, BF16 and FP16 through JSON, and BYTES as raw data: what they become, and what is refused in which words."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from v2_models import body, one, request, tensor, version

from proxy.core.batches import BatchOutputs
from proxy.core.errors import ExecutionFailed, InvalidRequest, Reason, TooLarge
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.tensors import Tensor, TensorSpec, join_elements, split_elements
from proxy.protocol import v2_answer, v2_json, v2_request, v2_response
from proxy.protocol.limits import Limits
from proxy.protocol.media import PLAIN, BodyForm
from proxy.protocol.packing import bf16_as_float32

CAREFUL = Limits(fast_body_bytes=0)
BOTH_WAYS = pytest.mark.parametrize("limits", [Limits(), CAREFUL], ids=["fast", "careful"])
R = Reason
AWKWARD = ["", "a,b", '"', "\\", 'x","y', "[", "]", "é", "😀", "\x00", "null", " \n", "-0", '\\"', "a" * 300]


def strings(data: Any, shape: Any = (1, 2), limits: Limits = Limits(), **more: Any) -> list[bytes]:  # noqa: B008
    item = tensor(shape=shape, datatype="BYTES", data=data, **more)
    parsed = v2_json.parse(body(item), one("BYTES", (-1,) * len(shape)), limits)
    assert parsed.inputs[0].size_bytes == len(parsed.inputs[0].data)
    return split_elements(parsed.inputs[0].data)


def refused(sent: bytes, of: Any, limits: Limits, form: BodyForm = PLAIN) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        v2_request.parse(sent, of, limits, form)
    return caught.value


@BOTH_WAYS
def test_strings_become_utf8_whatever_stands_in_them(limits: Limits) -> None:
    expected = [text.encode() for text in AWKWARD]
    assert strings(AWKWARD, (1, len(AWKWARD)), limits) == expected
    assert strings([[text] for text in AWKWARD], (len(AWKWARD), 1), limits) == expected


@BOTH_WAYS
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (["a", 1], "inputs[0].data[1]: expected string, got integer"),
        (["a", None], "inputs[0].data[1]: expected string, got null"),
        ([1, 2], "inputs[0].data[0]: expected string, got integer"),
        (["a"], "expected 2 values for shape [1, 2], got 1"),
        ([], "expected 2 values for shape [1, 2], got 0"),
        (["a", "b", "c"], "expected 2 values for shape [1, 2], got 3"),
        ("ab", "inputs[0].data: expected an array, got string"),
        ({"b64": "YQ=="}, "inputs[0].data: expected an array, got object"),
        ([["a"], ["b"]], "expected 1 values at this level"),
    ],
)
def test_r10_what_is_not_strings_is_named(data: Any, words: str, limits: Limits) -> None:
    error = refused(body(tensor(shape=[1, 2], datatype="BYTES", data=data)), one("BYTES"), limits)
    assert error.reason is R.INVALID_DATA
    if "got 3" in words and not limits.fast_body_bytes:
        words = words.replace("got 3", "got 3 or more")
    assert words in error.message


@BOTH_WAYS
@pytest.mark.parametrize(
    "text",
    [b'"\\ud800","b"', b'"\xff","b"', b'"a\nb","c"', b'"a"x,"b"', b'"a","b', b'"a",,"b"', b'"a" "b"', b'"a","b",'],
)
def test_r01_text_that_is_no_json_is_refused(text: bytes, limits: Limits) -> None:
    sent = b'{"inputs":[{"name":"x","datatype":"BYTES","shape":[1,2],"data":[%b]}]}' % text
    assert refused(sent, one("BYTES"), limits).reason is R.INVALID_JSON


@BOTH_WAYS
def test_r10_strings_for_a_numeric_model_are_refused(limits: Limits) -> None:
    error = refused(body(tensor(shape=[1, 2], datatype="BYTES", data=["a", "b"])), one("FP32"), limits)
    assert error.reason is R.INVALID_DATATYPE
    assert '"x" is FP32, got "BYTES"' in error.message
    error = refused(body(tensor(shape=[1, 2], datatype="FP32", data=[1, 2])), one("BYTES"), limits)
    assert '"x" is BYTES, got "FP32"' in error.message


def test_long_strings_are_read_in_pieces_to_the_same_bytes() -> None:
    texts = [f'{n}, "quoted" \\ é' * (n % 5) for n in range(20_000)]
    assert strings(texts, (20_000, 1)) == [text.encode() for text in texts]
    assert strings([[a, b] for a, b in zip(texts[::2], texts[1::2], strict=True)], (10_000, 2)) == [
        text.encode() for text in texts
    ]


@pytest.mark.parametrize("shape", [[1, 2], [40_000, 1]])
def test_r06_long_strings_are_not_read_beyond_their_shape(shape: list[int]) -> None:
    sent = body(tensor(shape=shape, datatype="BYTES", data=["ab,cd"] * 30_000))
    assert "or more" in (message := refused(sent, one("BYTES", (-1, -1)), Limits()).message) or "got 30000" in message
    nested = body(tensor(shape=[1, 2], datatype="BYTES", data=[["ab,cd"] * 30_000]))
    assert "got 30000" in refused(nested, one("BYTES", (-1, -1)), Limits()).message


def test_r11_strings_count_with_their_lengths() -> None:
    limits = Limits(max_tensor_bytes=40, fast_body_bytes=0)
    assert strings(["12345678901234", "123456789012345678"[:18]], limits=limits)
    with pytest.raises(TooLarge, match="exceed 40 bytes together"):
        strings(["12345678901234", "1234567890123456789"], limits=limits)


def raw_body(data: bytes, shape: list[int], datatype: str = "BYTES", size: int | None = None) -> tuple[bytes, BodyForm]:
    parameters = {"binary_data_size": len(data) if size is None else size}
    item = {"name": "x", "datatype": datatype, "shape": shape, "parameters": parameters}
    head = json.dumps({"inputs": [item]}).encode()
    return head + data, BodyForm(json_bytes=len(head))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x01\x00\x00\x00a", "2 BYTES elements take at least 8 bytes, got 5"),
        (join_elements([b"a", b"b", b"c"]), "5 bytes follow the last of 2 BYTES elements"),
        (b"\xff\xff\xff\xff" + b"\0" * 4, "reaches behind the tensor's 8 bytes"),
        (join_elements([b"a", b"bc"])[:-1], "reaches behind the tensor's 10 bytes"),
        (b"", "at least 8 bytes, got 0"),
    ],
)
def test_r15_raw_strings_whose_lengths_do_not_add_up_are_refused(data: bytes, words: str) -> None:
    sent, form = raw_body(data, [1, 2])
    error = refused(sent, one("BYTES"), Limits(), form)
    assert error.message.startswith("inputs[0].parameters.binary_data_size: shape [1, 2], but ")
    assert words in error.message


def test_r06_raw_strings_of_a_huge_shape_are_refused_before_anything_is_walked() -> None:
    sent, form = raw_body(b"\0" * 8, [2**62, 2])
    assert "asks for more values" in refused(sent, one("BYTES"), Limits(), form).message


def test_a_raw_body_is_one_string_without_a_length() -> None:
    whole = BodyForm(json_bytes=0)
    for shape in ((-1, 1), (-1, -1), (1,), (-1,)):
        parsed = v2_request.parse(b"any bytes \xff", one("BYTES", shape), Limits(), whole)
        assert split_elements(parsed.inputs[0].data) == [b"any bytes \xff"]
        assert parsed.inputs[0].shape == (1,) * len(shape)
    assert "is one element" in refused(b"ab", one("BYTES", (-1, 2)), Limits(), whole).message


def test_raw_strings_are_read_beside_the_loop_when_there_may_be_many() -> None:
    many, form = bytes(1_048_577), BodyForm(json_bytes=10)
    assert v2_request.is_heavy(many, form, one("BYTES"))
    assert not v2_request.is_heavy(many, form, one("FP32"))
    assert not v2_request.is_heavy(many[:1_000], form, one("BYTES"))


@BOTH_WAYS
@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (1.0, 0x3F80),
        (-0.0, 0x8000),
        (1 + 2**-8, 0x3F80),  # between two: to the even one
        (1 + 3 * 2**-8, 0x3F82),
        (1 + 2**-8 + 2**-40, 0x3F81),  # float32 would put it on the middle
        (1 + 3 * 2**-8 - 2**-40, 0x3F81),
        (-(1 + 2**-8 + 2**-40), 0xBF81),
        (2.0**-133, 0x0001),
        (2.0**-134, 0x0000),
        (2.0**-134 * 1.01, 0x0001),
        (3.3895313892515355e38, 0x7F7F),
        (3.396e38, 0x7F7F),
        (1e-300, 0x0000),
        (7, 0x40E0),
    ],
)
def test_r19_numbers_are_rounded_once_to_the_nearest_bf16(value: float, bits: int, limits: Limits) -> None:
    parsed = v2_json.parse(body(tensor(shape=[1, 2], datatype="BF16", data=[value, 0])), one("BF16"), limits)
    assert struct.unpack("<2H", parsed.inputs[0].data) == (bits, 0)


@BOTH_WAYS
@pytest.mark.parametrize(
    ("datatype", "value"), [("BF16", 3.3961775292304957e38), ("BF16", -1e39), ("FP16", 65520), ("FP16", -1e6)]
)
def test_r03_numbers_beyond_the_largest_half_are_refused(datatype: str, value: float, limits: Limits) -> None:
    sent = body(tensor(shape=[1, 2], datatype=datatype, data=[0, value]))
    assert (
        f"inputs[0].data[1]: {value:.9g} is outside {datatype}'s range" in refused(sent, one(datatype), limits).message
    )


@BOTH_WAYS
def test_halves_are_read_from_json_as_numpy_rounds_them(limits: Limits) -> None:
    values = np.random.default_rng(3).normal(0, 1_000, 50)
    sent = body(tensor(shape=[25, 2], datatype="FP16", data=values.tolist()))
    assert v2_json.parse(sent, one("FP16"), limits).inputs[0].data == values.astype("<f2").tobytes()


def test_every_bf16_comes_back_from_json_as_it_was() -> None:
    bits = np.arange(2**16, dtype="<u2")
    bits = bits[np.isfinite(bf16_as_float32(bits.tobytes()))]
    batch = BatchOutputs((Tensor("y", "BF16", bits.shape, bits.tobytes()),), len(bits), batched=True)
    of = one("BF16")
    written = json.loads(v2_response.encode(InferenceResult(of, batch, 0, len(bits)), request(of)))["outputs"][0]
    assert written["datatype"] == "BF16"
    sent = body(tensor(shape=[len(bits) // 2, 2], datatype="BF16", data=written["data"]))
    assert v2_json.parse(sent, of).inputs[0].data == bits.tobytes()


TEXTS = version(TensorSpec("x", "FP32", (-1, 1)), outputs=(TensorSpec("s", "BYTES", (-1, 2)),))


def answered(batch: BatchOutputs, first: int, rows: int, binary: bool = False) -> bytes:
    asked = InferenceRequest(TEXTS, (), rows, 0, 0, binary_outputs=frozenset(("s",) if binary else ()))
    return v2_answer.write(InferenceResult(TEXTS, batch, first, rows), asked).body


def texts(*elements: bytes) -> BatchOutputs:
    rows = len(elements) // 2
    return BatchOutputs((Tensor("s", "BYTES", (rows, 2), join_elements(elements)),), rows, batched=True)


def test_each_request_of_a_batch_gets_its_own_strings() -> None:
    elements = [text.encode() for text in [*AWKWARD, "last"]]
    batch = texts(*elements)
    for first, rows in ((0, 1), (3, 2), (7, 1), (0, 8)):
        share = elements[2 * first : 2 * (first + rows)]
        (output,) = json.loads(answered(batch, first, rows))["outputs"]
        assert (output["datatype"], output["shape"]) == ("BYTES", [rows, 2])
        assert [text.encode() for text in output["data"]] == share
        assert answered(batch, first, rows, binary=True).endswith(join_elements(share))


def test_bytes_that_are_no_text_fail_their_own_request_only_and_say_binary() -> None:
    batch = texts(b"a", b"null", b"\xff", b"b", b"c", b"d")
    for first in (0, 2):
        assert json.loads(answered(batch, first, 1))["outputs"][0]["shape"] == [1, 2]
    for first, rows in ((1, 1), (1, 2), (0, 2)):
        with pytest.raises(ExecutionFailed, match="Ask for binary data") as caught:
            answered(batch, first, rows)
        assert caught.value.reason is R.OUTPUT_NOT_TEXT
    assert answered(batch, 1, 1, binary=True).endswith(join_elements([b"\xff", b"b"]))
    with pytest.raises(ExecutionFailed):
        answered(texts(b"a", b"\xff"), 0, 1)


def test_strings_of_a_version_without_rows_are_given_whole() -> None:
    whole = BatchOutputs((Tensor("s", "BYTES", (2,), join_elements([b"a", b"b"])),), 1, batched=False)
    assert json.loads(answered(whole, 0, 1))["outputs"] == [
        {"name": "s", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}
    ]


def test_many_strings_in_a_row_are_written_in_pieces_to_the_same_text() -> None:
    elements = [b"%d" % n for n in range(150_000)]
    batch = BatchOutputs((Tensor("s", "BYTES", (2, 75_000), join_elements(elements)),), 2, batched=True)
    assert json.loads(answered(batch, 1, 1))["outputs"][0]["data"] == [e.decode() for e in elements[75_000:]]
    empty = BatchOutputs((Tensor("s", "BYTES", (2, 0), b""),), 2, batched=True)
    assert json.loads(answered(empty, 1, 1))["outputs"][0]["data"] == []
