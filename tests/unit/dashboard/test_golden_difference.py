"""How an answer of now differs from a golden sample: as an instance at its load would see it."""

from __future__ import annotations

from typing import Any

import pytest

from models_admin.services.golden_check import difference


def tensor(data: list[Any], datatype: str = "FP32", shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": "y", "datatype": datatype, "shape": shape or [1, len(data)], "data": data}


@pytest.mark.parametrize(
    ("expected", "got", "said"),
    [
        (tensor([1.0, 100.0]), tensor([1.0005, 100.05]), ""),
        (tensor([0.0]), tensor([1e-6]), ""),
        (tensor([0.0]), tensor([1e-4]), "output y differs in 1 of 1 elements: 0.0001 where 0.0 is expected."),
        (tensor([1.0, 2.0]), tensor([1.0, float("nan")]), "1 of 2 elements: nan where 2.0"),
        (tensor([1.0]), tensor([None]), "None where 1.0"),
        (tensor([7], "INT64"), tensor([7], "INT64"), ""),
        (tensor([1000], "INT64"), tensor([1001], "INT64"), "1001 where 1000"),
        (tensor(["a"], "BYTES"), tensor(["b"], "BYTES"), "b where a"),
        (tensor([1.0]), tensor([1.0], shape=[1]), "has shape [1]; expected is [1, 1]"),
    ],
)
def test_what_is_beyond_the_tolerance_is_named(expected: dict[str, Any], got: dict[str, Any], said: str) -> None:
    words = difference([expected], [{"name": "more"}, got], rtol=1e-3, atol=1e-5)
    assert (said in words) if said else not words
