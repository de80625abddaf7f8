"""Bodies of answers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from v2_models import DIGITS, request

from proxy.core.batches import BatchOutputs
from proxy.core.errors import ExecutionFailed, Reason
from proxy.core.requests import InferenceResult
from proxy.core.tensors import DATATYPES, Tensor
from proxy.protocol import v2_response


def outputs(*arrays: tuple[str, str, np.ndarray], batched: bool = True) -> BatchOutputs:
    tensors = tuple(Tensor(name, datatype, a.shape, a.tobytes()) for name, datatype, a in arrays)
    return BatchOutputs(tensors, arrays[0][2].shape[0] if batched else 1, batched=batched)


def answer(batch: BatchOutputs, first_row: int = 0, rows: int = 1, **more: object) -> dict:
    return json.loads(
        v2_response.encode(InferenceResult(DIGITS, batch, first_row, rows), request(DIGITS, rows, **more))
    )


def test_an_answer_names_model_version_and_id() -> None:
    batch = outputs(("y", "FP32", np.array([[0.5, 1.5]], "f4")))
    assert answer(batch, request_id='a"\\é') == {
        "model_name": "digits",
        "model_version": "3",
        "id": 'a"\\é',
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 1.5]}],
    }
    assert "id" not in answer(batch)
    assert answer(batch, request_id="")["id"] == ""


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3), (5, 2, 3), (5, 1, 1, 4)])
@pytest.mark.parametrize("datatype", [name for name, datatype in DATATYPES.items() if datatype.numpy])
def test_every_row_of_every_shape_and_datatype_is_its_own(shape: tuple[int, ...], datatype: str) -> None:
    kind = np.dtype(DATATYPES[datatype].numpy)
    source = np.random.default_rng(7).normal(0, 40, shape)
    array = source > 0 if kind.kind == "b" else np.abs(source).astype(kind) if kind.kind == "u" else source.astype(kind)
    batch = outputs(("y", datatype, array))
    for first, rows in ((0, 1), (4, 1), (1, 3), (0, 5)):
        output = answer(batch, first, rows)["outputs"][0]
        assert output["shape"] == [rows, *shape[1:]]
        assert output["datatype"] == datatype
        back = np.array(output["data"], dtype=kind).reshape(rows, *shape[1:])
        assert back.tobytes() == array[first : first + rows].tobytes()


@pytest.mark.parametrize("shape", [(), (1,), (4,), (1, 4), (2, 3), (3, 2, 2)])
def test_outputs_of_a_version_that_is_not_batchable_are_given_whole(shape: tuple[int, ...]) -> None:
    array = np.arange(int(np.prod(shape)), dtype="f4").reshape(shape)
    output = answer(outputs(("y", "FP32", array), batched=False))["outputs"][0]
    assert output["shape"] == list(shape)
    assert output["data"] == array.ravel().tolist()


def test_float32_values_are_written_in_the_fewest_digits() -> None:
    array = np.array([[0.1, 1 / 3, 1e-45, 3.4028235e38, -0.0, 16777216]], "f4")
    body = v2_response.encode(InferenceResult(DIGITS, outputs(("y", "FP32", array)), 0, 1), request(DIGITS))
    assert b'"data":[0.1,0.33333334,1e-45,3.4028235e+38,-0.0,16777216.0]' in body


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_r35_a_value_that_is_not_finite_fails_its_own_row_only(bad: float) -> None:
    array = np.ones((4, 3), "f4")
    array[2, 1] = bad
    batch = outputs(("y", "FP32", array))
    for row in (0, 1, 3):
        assert answer(batch, row)["outputs"][0]["data"] == [1, 1, 1]
    for first, rows in ((2, 1), (1, 2), (0, 4)):
        with pytest.raises(ExecutionFailed, match=r'"y".*not finite') as caught:
            answer(batch, first, rows)
        assert caught.value.reason is Reason.OUTPUT_NOT_FINITE


def test_only_requested_outputs_come_back_in_the_requested_order() -> None:
    batch = outputs(
        ("a", "FP32", np.array([[1], [np.nan]], "f4")),
        ("b", "INT64", np.array([[3], [4]])),
        ("c", "BOOL", np.array([[True], [False]])),
    )
    assert [o["name"] for o in answer(batch, 1, outputs=("c", "b"))["outputs"]] == ["c", "b"]
    assert [o["name"] for o in answer(batch, 0)["outputs"]] == ["a", "b", "c"]


def test_a_batch_is_encoded_once() -> None:
    batch = outputs(("y", "FP32", np.ones((2, 2), "f4")))
    answer(batch, 0)
    encoded = batch.encoded
    answer(batch, 1)
    assert batch.encoded is encoded


def test_an_output_with_no_elements_is_an_empty_array() -> None:
    batch = outputs(("boxes", "FP32", np.zeros((2, 0, 4), "f4")))
    assert answer(batch, 1)["outputs"][0] == {"name": "boxes", "datatype": "FP32", "shape": [1, 0, 4], "data": []}


def test_an_output_name_with_quotes_is_escaped() -> None:
    assert answer(outputs(('y"', "FP32", np.ones((1, 1), "f4"))))["outputs"][0]["name"] == 'y"'
