"""Outputs as their highest values."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from v2_models import body, tensor, version

from proxy.core.batches import BatchOutputs
from proxy.core.errors import InvalidRequest, Reason
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.tensors import DATATYPES, Tensor, TensorSpec, split_elements
from proxy.protocol import classification, v2_answer, v2_json
from proxy.protocol.limits import Limits

X = TensorSpec("x", "FP32", (-1, 1))


def asked(of: Any, parameters: Any, limits: Limits = Limits()) -> InferenceRequest:  # noqa: B008
    sent = body(tensor(shape=[1, 1], data=[1]), outputs=[{"name": "y", "parameters": parameters}])
    parsed = v2_json.parse(sent, of, limits)
    return InferenceRequest(
        of, (), 1, 0, 0, outputs=parsed.outputs, binary_outputs=parsed.binary_outputs, top_classes=parsed.top_classes
    )


def scores(*rows: list[float], datatype: str = "FP32") -> BatchOutputs:
    array = np.array(rows, DATATYPES[datatype].numpy)
    return BatchOutputs((Tensor("y", datatype, array.shape, array.tobytes()),), len(rows), batched=True)


def answer(batch: BatchOutputs, parameters: Any, first: int = 0, rows: int = 1, batchable: bool = True) -> Any:
    datatype, shape = batch.tensors[0].datatype, batch.tensors[0].shape
    of = version(X, outputs=(TensorSpec("y", datatype, (-1, *shape[1:])),), batchable=batchable)
    request = asked(of, parameters)
    request.rows = rows
    written = v2_answer.write(InferenceResult(of, batch, first, rows), request)
    headers = dict(written.headers)
    json_bytes = int(headers.get(b"inference-header-content-length", len(written.body)))
    (output,) = json.loads(written.body[:json_bytes])["outputs"]
    if json_bytes < len(written.body):
        output["data"] = [element.decode() for element in split_elements(written.body[json_bytes:])]
    return output


def test_each_row_has_its_own_highest_values() -> None:
    batch = scores([1, 5, 10, 4], [9, 8, 7, 6], [0, 0, 1, 1])
    for first, rows, texts in (
        (0, 1, ["10.000000:2", "5.000000:1"]),
        (1, 2, ["9.000000:0", "8.000000:1", "1.000000:2", "1.000000:3"]),
    ):
        output = answer(batch, {"classification": 2}, first, rows)
        assert output == {"name": "y", "datatype": "BYTES", "shape": [rows, 2], "data": texts}
        raw = answer(batch, {"classification": 2, "binary_data": True}, first, rows)
        assert (raw["shape"], raw["data"]) == ([rows, 2], texts)


def test_more_than_there_are_gives_all_and_numbers_keep_their_kind() -> None:
    output = answer(scores([3, -1, 2], datatype="INT64"), {"classification": 9})
    assert (output["shape"], output["data"]) == ([1, 3], ["3:0", "2:2", "-1:1"])
    assert answer(scores([0, 2**64 - 1], datatype="UINT64"), {"classification": 1})["data"] == [f"{2**64 - 1}:1"]
    halves = BatchOutputs((Tensor("y", "BF16", (1, 2), struct.pack("<2H", 0x3F80, 0x4000)),), 1, batched=True)
    assert answer(halves, {"classification": 1})["data"] == ["2.000000:1"]


def test_what_is_not_finite_has_a_place() -> None:
    output = answer(scores([float("nan"), 1, float("inf"), -float("inf")]), {"classification": 4})
    assert output["data"][:2] == ["inf:2", "1.000000:1"]
    assert set(output["data"][2:]) == {"-inf:3", "nan:0"}


def test_without_a_batch_dimension_the_whole_output_is_one_row() -> None:
    array = np.array([[1, 4], [3, 2]], "f4")
    whole = BatchOutputs((Tensor("y", "FP32", (2, 2), array.tobytes()),), 1, batched=False)
    output = answer(whole, {"classification": 3}, batchable=False)
    assert (output["shape"], output["data"]) == ([3], ["4.000000:1", "3.000000:2", "2.000000:3"])


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2", 1_001, 2**31, 2**63, None])
@pytest.mark.parametrize("limits", [Limits(), Limits(fast_body_bytes=0)])
def test_r13_a_number_of_classes_is_small_and_whole(count: Any, limits: Limits) -> None:
    of = version(X, outputs=(TensorSpec("y", "FP32", (-1, 4)),))
    with pytest.raises(InvalidRequest, match=r"outputs\[0\].parameters.classification: ") as caught:
        asked(of, {"classification": count}, limits)
    assert caught.value.reason is Reason.INVALID_PARAMETER


@pytest.mark.parametrize("datatype", ["BYTES", "BOOL"])
def test_r13_only_numbers_have_classes(datatype: str) -> None:
    of = version(X, outputs=(TensorSpec("y", datatype, (-1, 4)),))
    with pytest.raises(InvalidRequest, match=f"the output is {datatype}"):
        asked(of, {"classification": 1})


def test_an_answer_has_no_more_texts_than_a_second_writes() -> None:
    columns = 4
    rows = classification.MAX_TEXTS // columns
    batch = scores(*[[1, 2, 3, 4]] * (rows + 1))
    assert len(answer(batch, {"classification": 1_000}, 0, rows)["data"]) == classification.MAX_TEXTS
    with pytest.raises(InvalidRequest, match="send fewer rows") as refused:
        answer(batch, {"classification": 1_000}, 0, rows + 1)
    assert refused.value.reason is Reason.INVALID_PARAMETER


def test_rows_are_ranked_alike_in_every_block() -> None:
    rows = [[float((row * 7 + column * 3) % 5) for column in range(3)] for row in range(50_000)]
    output = answer(scores(*rows), {"classification": 2}, 0, len(rows))
    expected = []
    for row in rows:
        best = sorted(range(3), key=lambda column: (-row[column], column))[:2]
        expected += [f"{row[column]:f}:{column}" for column in best]
    assert output["data"] == expected
