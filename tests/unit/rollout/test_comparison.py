"""How far two answers are apart."""

from __future__ import annotations

import struct
from math import inf, nan

import numpy as np
import pytest

from proxy.core.batches import BatchOutputs
from proxy.core.tensors import Tensor, join_elements
from proxy.rollout import comparison
from proxy.rollout.comparison import difference
from proxy.rollout.statistics import BUCKETS, bucket


def outputs(values: list, datatype: str = "FP32", name: str = "y") -> BatchOutputs:
    if datatype == "BYTES":
        data = join_elements([value.encode() for value in values])
    elif datatype == "BF16":
        data = b"".join(struct.pack("<f", value)[2:] for value in values)
    else:
        data = np.array(values, {"FP32": "<f4", "FP16": "<f2", "INT64": "<i8", "BOOL": "?"}[datatype]).tobytes()
    return BatchOutputs((Tensor(name, datatype, (1, len(values)), data),), 1, batched=True)


@pytest.mark.parametrize(
    ("expected", "actual", "apart"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([0.0], [0.5], 0.5),
        ([1.0], [2.0], 0.5),
        ([999.0], [1_000.0], 0.001),
        ([nan, inf], [nan, inf], 0.0),
        ([nan], [0.0], inf),
        ([inf], [-inf], inf),
        ([1.0, 2.0], [1.0], inf),
    ],
)
def test_floats_differ_relative_to_their_size(expected: list[float], actual: list[float], apart: float) -> None:
    assert difference(outputs(expected), outputs(actual)) == pytest.approx(apart)


@pytest.mark.parametrize("datatype", ["INT64", "BOOL", "BYTES"])
def test_what_is_no_float_is_equal_or_not(datatype: str) -> None:
    one, other = {"INT64": ([2**60], [2**60 + 1]), "BOOL": ([True], [False]), "BYTES": (["a"], ["b"])}[datatype]
    assert difference(outputs(one, datatype), outputs(one, datatype)) == 0
    assert difference(outputs(one, datatype), outputs(other, datatype)) == 1


def test_bf16_is_the_upper_half_of_a_float() -> None:
    assert difference(outputs([1.0, -2.5], "BF16"), outputs([1.0, -2.5], "BF16")) == 0
    assert difference(outputs([1.0], "BF16"), outputs([2.0], "BF16")) == pytest.approx(0.5)


def test_other_outputs_are_infinitely_far() -> None:
    assert difference(outputs([1.0]), outputs([1.0], name="z")) == inf
    assert difference(outputs([1.0]), outputs([1.0], "FP16")) == inf


def test_large_outputs_are_compared_in_a_bounded_number_of_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MAX_ELEMENTS", 10)
    values = [0.0] * 95
    assert difference(outputs(values), outputs([1.0] * 95)) == 1
    assert difference(outputs(values), outputs([0.0] * 95)) == 0


@pytest.mark.parametrize(
    ("apart", "index"),
    [(0, 0), (1e-12, 1), (0.9e-8, 1), (1.1e-8, 2), (0.005, 7), (0.5, 9), (1, 10), (1e6, 10), (inf, 10), (nan, 10)],
)
def test_differences_are_counted_by_their_power_of_ten(apart: float, index: int) -> None:
    assert bucket(apart) == index < BUCKETS
