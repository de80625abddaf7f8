"""Bodies that are read: both ways of reading give the same values."""

from __future__ import annotations

import json
import struct

import pytest
from v2_models import DIGITS, IMAGE, PAIR, VOICE, body, one, tensor

from proxy.core.errors import InvalidRequest
from proxy.protocol import careful, v2_json
from proxy.protocol.limits import Limits

LIMITS = Limits()
ALWAYS_CAREFUL = Limits(fast_body_bytes=0)


def both(data: bytes, of=DIGITS):
    """Parse by both ways; they must agree."""
    quick = v2_json.parse(data, of, LIMITS)
    assert quick == careful.read(data, of, LIMITS)
    assert quick == v2_json.parse(data, of, ALWAYS_CAREFUL)
    return quick


def test_a_plain_request_becomes_packed_little_endian_bytes() -> None:
    values = [i / 8 for i in range(64)]
    parsed = both(body(tensor(data=values), id="r-1"))
    assert parsed.request_id == "r-1"
    assert parsed.rows == 1
    assert parsed.outputs is None
    assert (parsed.priority, parsed.timeout_us) == (0, None)
    assert parsed.inputs[0].shape == (1, 64)
    assert bytes(parsed.inputs[0].data) == struct.pack("<64f", *values)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_body_may_come_in_any_buffer(kind: type) -> None:
    assert v2_json.parse(kind(body()), DIGITS, LIMITS).rows == 1


@pytest.mark.parametrize(
    ("datatype", "char", "values"),
    [
        ("BOOL", "?", [True, False]),
        ("UINT8", "B", [0, 255]),
        ("UINT16", "H", [0, 65535]),
        ("UINT32", "I", [0, 2**32 - 1]),
        ("UINT64", "Q", [0, 2**64 - 1]),
        ("INT8", "b", [-128, 127]),
        ("INT16", "h", [-32768, 32767]),
        ("INT32", "i", [-(2**31), 2**31 - 1]),
        ("INT64", "q", [-(2**63), 2**63 - 1]),
        ("FP32", "f", [3.4028234663852886e38, -1e-45]),
        ("FP64", "d", [1.7976931348623157e308, 5e-324]),
        ("FP64", "d", [18446744073709551616, 1]),
    ],
)
def test_the_extremes_of_every_datatype_are_kept(datatype: str, char: str, values: list) -> None:
    parsed = both(body(tensor(shape=[1, 2], datatype=datatype, data=values)), one(datatype))
    assert bytes(parsed.inputs[0].data) == struct.pack(f"<2{char}", *values)


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("UINT8", [0, 256]),
        ("UINT8", [-1, 0]),
        ("INT8", [128, 0]),
        ("INT16", [0, 32768]),
        ("INT32", [2**31, 0]),
        ("INT64", [2**63, 0]),
        ("UINT64", [2**64, 0]),
        ("INT64", [10**300, 0]),
        ("FP32", [3.5e38, 0]),
        ("FP32", [0, -1e39]),
    ],
)
def test_a_value_outside_its_datatype_is_refused_by_index(datatype: str, values: list) -> None:
    index = next(i for i, v in enumerate(values) if v not in (0, -0))
    for data in (values, [values]):
        with pytest.raises(InvalidRequest, match=rf"^inputs\[0\]\.data.*outside {datatype}'s range") as caught:
            v2_json.parse(body(tensor(shape=[1, 2], datatype=datatype, data=data)), one(datatype), LIMITS)
        if data is values:
            assert f"data[{index}]" in caught.value.message


@pytest.mark.parametrize("text", ["[-0, 1]", "[-0,1]", "[ -0 ,1e-0]", "[[-0,1]]", "[-0.0,1]", "[-0e0,1]"])
def test_r03_minus_zero_is_kept(text: str) -> None:
    data = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":%b}]}' % text.encode()
    assert bytes(both(data, one("FP32")).inputs[0].data) == struct.pack("<2f", -0.0, 1.0)


def test_minus_zero_in_an_exponent_is_not_touched() -> None:
    data = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP64","data":[5E-0,7e-0]}]}'
    assert bytes(both(data, one("FP64")).inputs[0].data) == struct.pack("<2d", 5.0, 7.0)


def test_nested_data_is_read_row_by_row() -> None:
    flat = both(body(tensor("image", [2, 2, 2], data=[1, 2, 3, 4, 5, 6, 7, 8])), IMAGE)
    nested = both(body(tensor("image", [2, 2, 2], data=[[[1, 2], [3, 4]], [[5, 6], [7, 8]]])), IMAGE)
    assert bytes(flat.inputs[0].data) == bytes(nested.inputs[0].data)
    assert flat.rows == nested.rows == 2


def test_inputs_come_out_in_the_signatures_order() -> None:
    left = tensor("left", [2, 2], data=[1, 2, 3, 4])
    right = tensor("right", [2, 3], "INT64", [1, 2, 3, 4, 5, 6])
    forward, backward = both(body(left, right), PAIR), both(body(right, left), PAIR)
    assert forward == backward
    assert [t.name for t in forward.inputs] == ["left", "right"]
    assert forward.rows == 2


def test_a_version_that_is_not_batchable_has_one_row_and_free_shapes() -> None:
    parsed = both(body(tensor("audio", [1, 5], data=[0] * 5), tensor("rate", [1], "INT64", [16000])), VOICE)
    assert parsed.rows == 1
    assert parsed.inputs[0].shape == (1, 5)


def test_a_scalar_input_takes_one_value() -> None:
    of = one("FP32", ())
    assert both(body(tensor(shape=[], data=[2.5])), of).inputs[0].shape == ()


def test_a_long_flat_body_is_read_in_pieces_to_the_same_bytes() -> None:
    values = [(i % 1000) / 4 - 100 for i in range(64 * 3000)]
    data = body(tensor(shape=[3000, 64], data=values))
    assert len(data) > 4 * LIMITS.fast_body_bytes
    parsed = v2_json.parse(data, DIGITS, LIMITS)
    assert bytes(parsed.inputs[0].data) == struct.pack(f"<{len(values)}f", *values)
    assert parsed.rows == 3000


@pytest.mark.parametrize("position", [0, 99_999, 64 * 3000 - 1])
@pytest.mark.parametrize("wrong", ['"1"', "null", "1e999", "1e39", "[1]", "true"])
def test_a_wrong_value_in_a_long_body_is_named_by_its_index(position: int, wrong: str) -> None:
    values = ["0.25"] * (64 * 3000)
    values[position] = wrong
    text = ",".join(values)
    data = b'{"inputs":[{"name":"x","shape":[3000,64],"datatype":"FP32","data":[%b]}]}' % text.encode()
    with pytest.raises(InvalidRequest) as caught:
        v2_json.parse(data, DIGITS, LIMITS)
    if wrong != "[1]" or position:
        assert f"inputs[0].data[{position}]" in caught.value.message


def test_requested_outputs_keep_the_clients_order() -> None:
    from v2_models import version

    from proxy.core.tensors import TensorSpec

    of = version(
        TensorSpec("x", "FP32", (-1, 64)), outputs=(TensorSpec("a", "FP32", (-1,)), TensorSpec("b", "FP32", (-1,)))
    )
    assert both(body(outputs=[{"name": "b"}, {"name": "a"}]), of).outputs == ("b", "a")
    assert both(body(outputs=[]), of).outputs is None
    assert both(body(outputs=None, parameters=None, id=None), of).outputs is None


def test_priority_and_timeout_are_read() -> None:
    parsed = both(body(parameters={"priority": 2, "timeout": 1500}))
    assert (parsed.priority, parsed.timeout_us) == (2, 1500)


def test_hints_that_change_nothing_are_accepted() -> None:
    parsed = both(
        body(
            tensor(parameters={"content_type": "np"}),
            parameters={"binary_data_output": False},
            outputs=[{"name": "y", "parameters": {"binary_data": False}}],
        )
    )
    assert parsed.outputs == ("y",)


def test_white_space_does_not_matter() -> None:
    pretty = json.dumps(json.loads(body(tensor(data=[[0.5] * 64]))), indent=4).encode()
    assert both(pretty).inputs == both(body()).inputs


def test_plans_belong_to_one_snapshot_object() -> None:
    first = one("FP32")
    assert both(body(tensor(shape=[1, 2], data=[1, 2])), first).inputs[0].datatype == "FP32"
    second = one("INT32")
    assert both(body(tensor(shape=[1, 2], datatype="INT32", data=[1, 2])), second).inputs[0].datatype == "INT32"
