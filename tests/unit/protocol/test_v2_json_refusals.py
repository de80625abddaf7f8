"""Bodies that are refused: the reason, and words that name the field. Rows of the attack list by id."""

from __future__ import annotations

import json
from typing import Any

import pytest
from v2_models import DIGITS, IMAGE, PAIR, VOICE, body, one, tensor

from proxy.core.errors import InvalidRequest, ProxyError, Reason, TooLarge
from proxy.protocol import v2_json
from proxy.protocol.limits import Limits

LIMITS = Limits()
R = Reason


def refused(data: bytes, of: Any = DIGITS, limits: Limits = LIMITS) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        v2_json.parse(data, of, limits)
    return caught.value


def text_body(data: bytes, shape: bytes = b"[1,64]", datatype: bytes = b'"FP32"') -> bytes:
    return b'{"inputs":[{"name":"x","shape":%b,"datatype":%b,"data":%b}]}' % (shape, datatype, data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "body: empty"),
        (b" \n ", "body: empty"),
        (b"null", "body: expected object, got null"),
        (b"[]", "body: expected object, got array"),
        (b'"x"', "body: expected object, got string"),
        (b"7", "body: expected object, got integer"),
        (b"not json", "body: not valid JSON"),
        (b"{", "body: not valid JSON"),
        (b'{"inputs":[]} x', "body: not valid JSON (trailing characters"),
        (body().decode().encode("utf-16"), "body: not valid JSON"),
        (b"\xef\xbb\xbf" + body(), "body: not valid JSON"),
        (b'{"inputs":[],"id":"\xff"}', "not valid UTF-8"),
        (b'{"inputs":[],"id":"\\ud800"}', "half a surrogate pair"),
        (b'{"inputs":[],"\xff":1}', "not valid UTF-8"),
        (b'{"inputs":[],}', "body: not valid JSON"),
        (b"{'inputs':[]}", "body: not valid JSON"),
        (b'{"inputs":[] /* */}', "body: not valid JSON"),
    ],
)
def test_r01_what_is_not_a_json_object_is_refused(data: bytes, words: str) -> None:
    assert words in refused(data).message


@pytest.mark.parametrize("depth", [100, 101, 900, 10_000, 250_000])
@pytest.mark.parametrize("place", ["data", "shape", "parameters", "id", "inputs", "outputs", "whole"])
def test_r02_deep_nesting_is_refused(depth: int, place: str) -> None:
    deep = b"[" * depth + b"]" * depth
    bodies = {
        "data": text_body(deep),
        "shape": text_body(b"[1]", shape=deep),
        "parameters": body()[:-1] + b',"parameters":{"a":%b}}' % deep,
        "id": body()[:-1] + b',"id":%b}' % deep,
        "inputs": b'{"inputs":%b}' % deep,
        "outputs": body()[:-1] + b',"outputs":%b}' % deep,
        "whole": deep,
    }
    assert refused(bodies[place]).status == 400


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"NaN", "not valid JSON"),
        (b"Infinity", "not valid JSON"),
        (b"-Infinity", "not valid JSON"),
        (b"1e999", "inputs[0].data[0]: number out of range"),
        (b"-1e999", "inputs[0].data[0]: number out of range"),
        (b"9" * 400, "inputs[0].data[0]: number out of range"),
        (b"9" * 5000, "inputs[0].data[0]: number out of range"),
        (b"1e39", "inputs[0].data[0]: 1e+39 is outside FP32's range"),
    ],
)
def test_r03_values_that_are_not_finite_floats_are_refused(value: bytes, words: str) -> None:
    assert words in refused(text_body(b"[%b,1]" % value, b"[1,2]"), one("FP32")).message


@pytest.mark.parametrize("value", [b"9" * 400, b"9" * 5000, b"1e400", b"1.0", b"1e2"])
def test_r03_values_that_are_no_integers_of_the_type_are_refused(value: bytes) -> None:
    error = refused(text_body(b"[%b,1]" % value, b"[1,2]", b'"INT64"'), one("INT64"))
    assert error.reason is R.INVALID_DATA
    assert "inputs[0].data[0]" in error.message


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ([-1], "inputs[0].shape[0]: must be at least 1, got -1"),
        ([-5, 64], "inputs[0].shape[0]: must be at least 1, got -5"),
        ([1.0, 64], "inputs[0].shape[0]: expected a whole number"),
        (["1", 64], "inputs[0].shape[0]: expected a whole number"),
        ([True, 64], "inputs[0].shape[0]: expected a whole number"),
        ([None, 64], "inputs[0].shape[0]: expected a whole number"),
        ([[1], 64], "inputs[0].shape[0]: expected a whole number"),
        ([], 'inputs[0].shape: "x" has 2 dimensions [-1, 64], got 0'),
        ([64], 'inputs[0].shape: "x" has 2 dimensions'),
        (None, "inputs[0].shape: expected an array"),
        ({}, "inputs[0].shape: expected an array"),
        ("1,64", "inputs[0].shape: expected an array"),
        ([1] * 17, "inputs[0].shape: at most 16 dimensions"),
        ([1] * 10_000, "inputs[0].shape: at most 16 dimensions"),
        ([1, 63], "inputs[0].shape[1]: expected 64 (declared [-1, 64]), got 63"),
    ],
)
def test_r05_wrong_shapes_are_refused_by_index(shape: Any, words: str) -> None:
    error = refused(body(tensor(shape=shape)))
    assert error.reason is R.INVALID_SHAPE
    assert words in error.message


@pytest.mark.parametrize(
    "shape", [[16, 2**60 + 2], [4, 2**60 + 2], [2**31, 64], [2**32, 64], [2**63, 64], [2**64, 64], [10**300, 64]]
)
def test_r06_huge_shapes_are_refused_before_anything_is_allocated(shape: list[int]) -> None:
    assert refused(body(tensor(shape=shape))).reason is R.INVALID_SHAPE


def test_r06_the_product_is_not_taken_modulo_two_to_the_64() -> None:
    error = refused(body(tensor(shape=[2**62, 4], data=[])), one("FP32", (-1, 4)))
    assert "inputs[0].shape: asks for more values than `data` can hold" in error.message


@pytest.mark.parametrize("shape", [[0, 64], [1, 0], [0, 0]])
def test_r07_a_dimension_of_zero_is_refused(shape: list[int]) -> None:
    assert "must be at least 1, got 0" in refused(body(tensor(shape=shape, data=[]))).message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([0.5] * 63, "inputs[0].data: expected 64 values for shape [1, 64], got 63"),
        ([0.5] * 65, "inputs[0].data: expected 64 values for shape [1, 64], got 65"),
        ([], "inputs[0].data: expected 64 values for shape [1, 64], got 0"),
        ([[0.5] * 63], "inputs[0].data[0]: expected 64 values at this level of the shape, got 63"),
        ([[0.5] * 32, [0.5] * 32], "inputs[0].data: expected 1 values at this level of the shape, got 2"),
        ([[0.5] * 64, 1], "inputs[0].data[1]: expected array, got integer"),
        ([[[0.5] * 64]], "inputs[0].data[0][0]: expected number, got array"),
        ([0.5] * 63 + [True], "inputs[0].data[63]: expected number, got boolean"),
        ([0.5] * 63 + ["1"], "inputs[0].data[63]: expected number, got string"),
        ([0.5] * 63 + [None], "inputs[0].data[63]: expected number, got null"),
        ([0.5] * 63 + [{}], "inputs[0].data[63]: expected number, got object"),
        ([0.5] * 63 + [[1]], "inputs[0].data[63]: expected number, got array"),
        (["a,b"] * 64, "inputs[0].data[0]: expected number, got string"),
        (7, "inputs[0].data: expected an array, got number"),
        ("abc", "inputs[0].data: expected an array, got string"),
        (None, "inputs[0].data: expected an array, got null"),
        ({}, "inputs[0].data: expected an array, got object"),
        (True, "inputs[0].data: expected an array, got boolean"),
    ],
)
def test_r08_data_that_does_not_fit_its_shape_is_refused(data: Any, words: str) -> None:
    text = json.dumps({"inputs": [{"name": "x", "shape": [1, 64], "datatype": "FP32", "data": data}]}).encode()
    error = refused(text)
    assert words in error.message
    assert error.reason is R.INVALID_DATA


def test_r08_ragged_nests_are_refused() -> None:
    data = [[[1, 2], [3]], [[4, 5], [6, 7]]]
    assert (
        "inputs[0].data[0][1]: expected 2 values" in refused(body(tensor("image", [2, 2, 2], data=data)), IMAGE).message
    )


@pytest.mark.parametrize("datatype", ["INT8", "INT64", "UINT8"])
@pytest.mark.parametrize("value", ["1", True, 1.5, None])
def test_r08_integers_take_integers_only(datatype: str, value: Any) -> None:
    error = refused(body(tensor(shape=[1, 2], datatype=datatype, data=[value, 1])), one(datatype))
    assert "inputs[0].data[0]: expected integer" in error.message


@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_r08_booleans_take_booleans_only(value: Any) -> None:
    error = refused(body(tensor(shape=[1, 2], datatype="BOOL", data=[value, True])), one("BOOL"))
    assert "inputs[0].data[0]: expected boolean" in error.message


@pytest.mark.parametrize(
    ("datatype", "words"),
    [
        ("fp32", "written in capitals"),
        ("FP31", "no such datatype"),
        ("FP64", '"x" is FP32, got "FP64"'),
        ("BYTES", '"x" is FP32, got "BYTES"'),
        ("", "no such datatype"),
    ],
)
def test_r10_wrong_datatypes_are_refused(datatype: str, words: str) -> None:
    error = refused(body(tensor(datatype=datatype)))
    assert error.reason is R.INVALID_DATATYPE
    assert words in error.message
    assert error.message.startswith("inputs[0].datatype")


@pytest.mark.parametrize("field", ["name", "shape", "datatype", "data"])
def test_r10_a_missing_field_is_named(field: str) -> None:
    given = tensor()
    del given[field]
    assert f"inputs[0].{field}: missing" in refused(body(given)).message


def test_r11_what_a_body_expands_to_is_bounded() -> None:
    limits = Limits(max_tensor_bytes=64 * 4 * 2)
    assert v2_json.parse(body(tensor(shape=[2, 64], data=[1] * 128)), DIGITS, limits).rows == 2
    careful_limits = Limits(max_tensor_bytes=64 * 4 * 2, fast_body_bytes=0)
    with pytest.raises(TooLarge, match=r"^inputs\[0\]\.shape: the inputs exceed 512 bytes together"):
        v2_json.parse(body(tensor(shape=[3, 64], data=[1] * 192)), DIGITS, careful_limits)


def test_r11_a_body_over_the_limit_is_too_large() -> None:
    limits = Limits(max_body_bytes=400, fast_body_bytes=100)
    with pytest.raises(TooLarge):
        v2_json.parse(body(tensor(data=[0.123456] * 64)), DIGITS, limits)


@pytest.mark.parametrize(
    ("inputs", "words", "reason"),
    [
        ([tensor("z")], 'inputs[0].name: the model has no input "z"; it has: "x"', R.UNKNOWN_INPUT),
        ([tensor(), tensor()], 'inputs[1].name: "x" is given twice', R.INVALID_REQUEST),
        ([tensor("")], 'the model has no input ""', R.UNKNOWN_INPUT),
        ([tensor("x\0")], 'the model has no input "x\\u0000"', R.UNKNOWN_INPUT),
        ([tensor("n" * 1_000_000)], "n…", R.UNKNOWN_INPUT),
        ([tensor(7)], "inputs[0].name: expected string, got integer", R.INVALID_REQUEST),  # type: ignore[arg-type]
        ([1], "inputs[0]: expected object, got integer", R.INVALID_REQUEST),
        ([None], "inputs[0]: expected object, got null", R.INVALID_REQUEST),
        ([tensor(extra=1)], 'inputs[0]."extra": unknown field', R.INVALID_REQUEST),
        ([tensor()] * 65, "inputs: at most 64, got 65", R.INVALID_REQUEST),
        ([tensor(data=[])] * 100_000, "inputs: at most 64, got 100000", R.INVALID_REQUEST),
    ],
)
def test_r12_wrong_inputs_are_refused(inputs: list[Any], words: str, reason: Reason) -> None:
    error = refused(body(*inputs))
    assert words in error.message
    assert error.reason is reason
    assert len(error.message) < 300


def test_r12_missing_inputs_are_named() -> None:
    assert 'inputs: the model\'s input "x" is missing' in refused(b'{"inputs":[]}').message
    left = tensor("left", [1, 2], data=[1, 2])
    assert 'inputs: the model\'s input "right" is missing' in refused(body(left), PAIR).message
    assert "inputs: missing" in refused(b"{}").message
    assert "inputs: expected array, got object" in refused(b'{"inputs":{}}').message


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ([{"name": "z"}], 'outputs[0].name: the model has no output "z"; it has: "y"'),
        ([{"name": "y"}, {"name": "y"}], 'outputs[1].name: "y" is asked for twice'),
        ([{"name": "y"}] * 65, "outputs: at most 64"),
        ([{"name": "y"}] * 100_000, "outputs: longer than"),
        ([{}], "outputs[0].name: missing"),
        ([{"name": 1}], "outputs[0].name: expected string"),
        ({}, "outputs: expected array"),
        ("y", "outputs: expected array"),
        (
            [{"name": "y", "parameters": {"classification": 2**31}}],
            "outputs[0].parameters.classification: must lie between 1 and 1000",
        ),
        (
            [{"name": "y", "parameters": {"binary_data": 1}}],
            "outputs[0].parameters.binary_data: expected true or false",
        ),
    ],
)
def test_r13_wrong_outputs_are_refused(outputs: Any, words: str) -> None:
    assert words in refused(body(outputs=outputs)).message


@pytest.mark.parametrize("value", [-1, 2**63, True, "256", 1.5])
def test_r15_a_binary_size_is_a_number_of_bytes(value: Any) -> None:
    error = refused(body(tensor(parameters={"binary_data_size": value})))
    assert error.message.startswith("inputs[0].parameters.binary_data_size: ")


def test_r16_a_tensor_with_data_and_a_binary_size_is_refused() -> None:
    error = refused(body(tensor(parameters={"binary_data_size": 256})))
    assert "`data` is given, too" in error.message


def test_r14_a_binary_tensor_without_the_header_says_what_is_missing() -> None:
    given = tensor(parameters={"binary_data_size": 256})
    del given["data"]
    assert "need the header Inference-Header-Content-Length" in refused(body(given)).message


def test_r16_a_tensor_without_data_says_what_is_missing() -> None:
    given = tensor()
    del given["data"]
    assert "inputs[0].data: missing" in refused(body(given)).message


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"timeout": -1}, "parameters.timeout: must lie between 1 and"),
        ({"timeout": 0}, "parameters.timeout: must lie between 1 and"),
        ({"timeout": 2**63}, "parameters.timeout: must lie between 1 and"),
        ({"timeout": 1.5}, "parameters.timeout: expected a whole number of microseconds"),
        ({"timeout": True}, "parameters.timeout: expected a whole number"),
        ({"timeout": "1"}, "parameters.timeout: expected a whole number"),
        ({"priority": 2**32}, "parameters.priority: must lie between 0 and 255"),
        ({"priority": -1}, "parameters.priority: must lie between 0 and 255"),
        ({"priority": None}, "parameters.priority: expected a string, number or boolean"),
        ({"sequence_id": 1}, "parameters.sequence_id: unknown parameter"),
        ({"__internal": 1}, "parameters.__internal: unknown parameter"),
        ({"dlproxy.version": 1}, 'parameters."dlproxy.version": unknown parameter'),
        ({"a": {}}, "parameters.a: expected a string"),
        ({"a": [1]}, "parameters.a: expected a string"),
        ({"binary_data_output": "yes"}, "parameters.binary_data_output: expected true or false"),
        ({f"k{i}": i for i in range(10_000)}, "parameters: longer than 4096 bytes"),
        ([], "parameters: expected object"),
        ("x", "parameters: expected object"),
    ],
)
def test_r28_parameters_without_an_effect_or_out_of_range_are_refused(parameters: Any, words: str) -> None:
    error = refused(body(parameters=parameters))
    assert words in error.message
    assert error.reason is R.INVALID_PARAMETER


def test_r28_not_a_number_is_refused_in_parameters() -> None:
    assert "not valid JSON" in refused(body()[:-1] + b',"parameters":{"timeout":NaN}}').message


def test_unknown_top_level_fields_are_refused_by_name() -> None:
    assert '"input": unknown field' in refused(body(input=1)).message


def test_an_id_must_be_a_short_string() -> None:
    assert "id: expected string or null, got integer" in refused(body(id=7)).message
    assert "id: longer than 256 bytes" in refused(body(id="é" * 129)).message
    assert v2_json.parse(body(id="é" * 128), DIGITS, LIMITS).request_id == "é" * 128


def test_r34_rows_must_agree() -> None:
    left = tensor("left", [2, 2], data=[1] * 4)
    right = tensor("right", [3, 3], "INT64", [1] * 9)
    assert "inputs[1].shape[0]: 3 rows, but inputs[0] has 2" in refused(body(left, right), PAIR).message
    assert "inputs[0].shape[0]: 3 rows, but inputs[1] has 2" in refused(body(right, left), PAIR).message


def test_fixed_dimensions_of_a_version_that_is_not_batchable_hold() -> None:
    given = (tensor("audio", [2, 5], data=[0] * 10), tensor("rate", [1], "INT64", [16000]))
    assert "inputs[0].shape[0]: expected 1" in refused(body(*given), VOICE).message


def test_nested_data_beyond_its_limit_says_how_to_send_it() -> None:
    limits = Limits(max_nested_elements=100)
    assert (
        "send it as one flat array" in refused(body(tensor(shape=[2, 64], data=[[1] * 64] * 2)), limits=limits).message
    )


def test_long_nested_data_is_counted_before_it_is_read() -> None:
    data = b"[" + b",".join([b"[1,2]"] * 40_000) + b"]"
    error = refused(text_body(data, b"[2,2]"), one("FP32"))
    assert "expected 4 values for shape [2, 2], got 80000" in error.message


@pytest.mark.parametrize("cut", range(0, len(body()), 7))
def test_every_truncation_is_refused_and_never_a_fault(cut: int) -> None:
    with pytest.raises(ProxyError):
        v2_json.parse(body()[:cut], DIGITS, LIMITS)
