"""The binary tensor data extension, and outputs as classes: the kit's second part."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conformance_cast import HEADER, NO_JSON_FORM, OCTETS, RAW_OUTPUTS, Target, as_raw, refused, same


@pytest.mark.parametrize("rows", [1, 3])
def test_raw_and_json_give_the_same_answers(binary: Target, rows: int) -> None:
    arrays = binary.arrays(rows)
    raw = binary.outputs(binary.infer_binary(arrays, **RAW_OUTPUTS))
    if binary.answers_in_json:
        same(binary.outputs(binary.infer_binary(arrays)), raw)
    if binary.has_json_form:
        same(binary.outputs(binary.infer({"inputs": binary.inputs(arrays)})), raw)
        same(binary.outputs(binary.infer({"inputs": binary.inputs(arrays), **RAW_OUTPUTS})), raw)


def test_raw_and_json_inputs_mix(binary: Target) -> None:
    arrays = binary.arrays(2)
    expected = binary.outputs(binary.infer_binary(arrays, **RAW_OUTPUTS))
    for name in arrays:
        if binary.datatype(name) not in NO_JSON_FORM:
            same(binary.outputs(binary.infer_binary(arrays, as_json=(name,), **RAW_OUTPUTS)), expected)


def test_each_output_says_how_it_wants_to_come(binary: Target) -> None:
    if not binary.answers_in_json:
        pytest.skip("an output of this model has no JSON form")
    names = [spec["name"] for spec in binary.metadata["outputs"]]
    for raw_one in names:
        wanted = [{"name": name, "parameters": {"binary_data": name == raw_one}} for name in names]
        response = binary.infer_binary(binary.arrays(), outputs=wanted)
        head = json.loads(response.content[: int(response.headers[HEADER])])
        assert {o["name"]: "data" not in o for o in head["outputs"]} == {name: name == raw_one for name in names}


def test_raw_bytes_at_odd_offsets_are_read(binary: Target) -> None:
    arrays = binary.arrays(2)
    expected = binary.outputs(binary.infer_binary(arrays, **RAW_OUTPUTS))
    for padding in range(1, 9):
        same(binary.outputs(binary.infer_binary(arrays, id="i" * padding, **RAW_OUTPUTS)), expected)


@pytest.mark.parametrize("length", ["-1", "abc", "99999999", ""])
def test_a_wrong_length_of_the_json_part_is_refused(binary: Target, length: str) -> None:
    good = binary.infer_binary(binary.arrays()).request
    headers = {HEADER: length, "content-type": OCTETS}
    refused(binary.infer(good.content, headers=headers))


@pytest.mark.parametrize("change", [-1, 1])
def test_raw_bytes_that_do_not_add_up_are_refused(binary: Target, change: int) -> None:
    good = binary.infer_binary(binary.arrays()).request
    content = good.content[:change] if change < 0 else good.content + b"x"
    refused(binary.infer(content, headers={HEADER: good.headers[HEADER], "content-type": OCTETS}))


def test_a_body_that_is_one_tensor_needs_no_json(binary: Target) -> None:
    headers = {HEADER: "0", "content-type": OCTETS}
    arrays = binary.arrays(1)
    (name, array), *others = arrays.items()
    is_one_text = binary.datatype(name) == "BYTES" and array.size == 1
    body = array.flat[0] if is_one_text else as_raw(array, binary.datatype(name))
    response = binary.infer(body, headers=headers)
    if others or (binary.datatype(name) == "BYTES" and not is_one_text):
        refused(response)
    else:
        same(binary.outputs(response), binary.outputs(binary.infer_binary({name: array}, **RAW_OUTPUTS)))


def test_bits_of_floats_survive_an_identity(target: Target) -> None:
    if target.model != "kinds":
        pytest.skip("needs a model that gives back what it gets")
    arrays = target.arrays(1)
    if "bf16" in arrays:
        arrays["bf16"] = np.full((1, 3), np.uint32(0xFFC10000)).view("<f4")
    for kind, bits in (
        ("fp16", np.uint16(0x7E01)),
        ("fp32", np.uint32(0xFFC12345)),
        ("fp64", np.uint64(0x7FF8 << 48 | 9)),
    ):
        arrays[kind] = np.full((1, 3), bits).view(arrays[kind].dtype)
    found = target.outputs(target.infer_binary(arrays, **RAW_OUTPUTS))
    for name, array in arrays.items():
        assert found[f"{name}_out"].tobytes() == array.tobytes()


def test_an_output_comes_as_its_highest_values(binary: Target) -> None:
    binary.needs("classification")
    arrays = binary.arrays(2)
    expected = binary.outputs(binary.infer_binary(arrays, **RAW_OUTPUTS))
    ranked = [
        name
        for name, array in expected.items()
        if array.dtype.kind in "iuf" and array.ndim > 1 and binary.datatype(name) not in NO_JSON_FORM
    ]
    if not ranked:
        pytest.skip("no output has numbers to rank")
    for name in ranked:
        for is_raw in (False, True):
            asked = {"name": name, "parameters": {"classification": 2, "binary_data": is_raw}}
            found = binary.outputs(binary.infer_binary(arrays, outputs=[asked]), classified=(name,))[name]
            rows = expected[name].reshape(2, -1)
            assert found.shape == (2, min(2, rows.shape[1]))
            for row, texts_of_row in zip(rows, found, strict=True):
                value, index, *_ = texts_of_row[0].decode().split(":")
                assert float(value) == pytest.approx(float(row.max()), abs=1e-5)
                assert row[int(index)] == row.max()


def test_a_number_of_classes_that_is_none_is_refused(binary: Target) -> None:
    binary.needs("classification")
    name = binary.metadata["outputs"][0]["name"]
    for count in (-1, "two", 2**31):
        asked = {"name": name, "parameters": {"classification": count}}
        refused(binary.infer_binary(binary.arrays(), outputs=[asked]))
