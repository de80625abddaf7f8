"""Outputs that a request wants as their highest values, each a string `value:index`: Triton's classification extension.

Rules: for each row of a batchable version (else for the whole output) the values fall, equal ones keep their order, NaN
comes last; there are as many as were asked for, or as the row has. Floats are written with six decimals, as Triton
does. Models here have no class labels, so none is appended.
Source: Triton's classification extension; `src/classification.cc` for what the text leaves open.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from proxy.core.batches import BatchOutputs
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.tensors import Tensor, join_elements
from proxy.protocol.packing import numbers

NOT_NUMBERS = ("BOOL", "BYTES")


def apply(result: InferenceResult, request: InferenceRequest) -> InferenceResult:
    """The request's own share of `result`, each output that it wants classified in that form."""
    share = result.outputs.share(result.first_row, result.rows)
    wanted = request.top_classes or {}
    tensors = tuple(
        _classified(tensor, wanted[tensor.name], share) if tensor.name in wanted else tensor for tensor in share.tensors
    )
    outputs = BatchOutputs(tensors, share.rows, batched=share.batched)
    return InferenceResult(
        result.version,
        outputs,
        0,
        result.rows,
        queue_ns=result.queue_ns,
        compute_ns=result.compute_ns,
        cache_hit=result.cache_hit,
        execution=result.execution,
    )


def _classified(tensor: Tensor, wanted: int, share: BatchOutputs) -> Tensor:
    rows = share.rows if share.batched else 1
    values = numbers(tensor).reshape(rows, prod(tensor.shape) // rows)
    count = min(wanted, values.shape[1])
    texts = [text for row in values for text in _highest(row, count)]
    shape = (rows, count) if share.batched else (count,)
    return Tensor(tensor.name, "BYTES", shape, join_elements(texts))


def _highest(row: np.ndarray[Any, Any], count: int) -> list[bytes]:
    is_float = row.dtype.kind == "f"
    ranked = np.where(np.isnan(row), -np.inf, row) if is_float else row
    order = len(row) - 1 - np.argsort(ranked[::-1], kind="stable")[::-1][:count]
    return [b"%b:%d" % ((b"%f" if is_float else b"%d") % row[index].item(), index) for index in order.tolist()]
