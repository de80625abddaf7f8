"""BYTES: the kit's third part, for models that take strings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from conformance_cast import RAW_OUTPUTS, TEXTS, Target, as_raw, refused, same, strings


@pytest.fixture
def texts(target: Target) -> Target:
    if not any(spec["datatype"] == "BYTES" for spec in target.metadata["inputs"]):
        pytest.skip("the model takes no BYTES")
    target.needs("binary_tensor_data")
    return target


def one_text(target: Target, element: bytes) -> dict[str, np.ndarray]:
    """Inputs of one row, each of its strings this one."""
    return {
        name: strings([element] * array.size, array.shape) if array.dtype == object else array
        for name, array in target.arrays().items()
    }


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_is_the_same_in_json_and_raw(texts: Target, text: str) -> None:
    arrays = one_text(texts, text.encode())
    raw = texts.outputs(texts.infer_binary(arrays, **RAW_OUTPUTS))
    same(texts.outputs(texts.infer_binary(arrays)), raw)
    if texts.has_json_form:
        same(texts.outputs(texts.infer({"inputs": texts.inputs(arrays)})), raw)
        same(texts.outputs(texts.infer({"inputs": texts.inputs(arrays, nested=True)})), raw)


LENGTHS: dict[str, Callable[[bytes], bytes]] = {
    "a length beyond the tensor": lambda raw: (2**31).to_bytes(4, "little") + raw[4:],
    "the largest length": lambda raw: b"\xff" * 4 + raw[4:],
    "a length one too long": lambda raw: (int.from_bytes(raw[:4], "little") + 1).to_bytes(4, "little") + raw[4:],
    "a string too many": lambda raw: raw + b"\0" * 4,
    "half a length": lambda raw: raw + b"\0\0",
    "no strings": lambda raw: b"",
}


@pytest.mark.parametrize("what", list(LENGTHS))
def test_lengths_of_strings_that_do_not_add_up_are_refused(texts: Target, what: str) -> None:
    arrays = one_text(texts, b"abc")
    inputs, raws = texts.inputs({name: array[:0] for name, array in arrays.items()}), []
    is_broken = False
    for item in inputs:
        del item["data"]
        raw = as_raw(arrays[item["name"]], item["datatype"])
        if item["datatype"] == "BYTES" and not is_broken:
            raw, is_broken = LENGTHS[what](raw), True
        item |= {"shape": list(arrays[item["name"]].shape), "parameters": {"binary_data_size": len(raw)}}
        raws.append(raw)
    refused(texts.infer_framed({"inputs": inputs}, raws))
    assert texts.infer_binary(arrays).status_code == 200  # and the server goes on


def test_bytes_that_are_no_text_come_back_raw_only(target: Target) -> None:
    if target.model != "bytes":
        pytest.skip("needs a model that gives back the bytes it gets")
    arrays = one_text(target, b"\xff\x00\xfe")
    found = target.outputs(target.infer_binary(arrays, **RAW_OUTPUTS))
    for array in found.values():
        assert set(array.flat) == {b"\xff\x00\xfe"}
    refused(target.infer_binary(arrays), 400, 500)
