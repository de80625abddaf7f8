"""Outputs that a request wants as their highest values, each a string `value:index`: Triton's classification extension.

Rules: for each row of a batchable version (else for the whole output) the values fall, equal ones keep their order, NaN
comes last; there are as many as were asked for, or as the row has, and `MAX_TEXTS` in one output. Floats are written
with six decimals, as Triton does. Models here have no class labels, so none is appended.
Source: Triton's classification extension; `src/classification.cc` for what the text leaves open.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from proxy.core.batches import BatchOutputs
from proxy.core.errors import InvalidRequest, Reason
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.tensors import Tensor, join_elements
from proxy.protocol.packing import numbers

NOT_NUMBERS = ("BOOL", "BYTES")
# Strings of one output. Larger: an answer may take longer than this one's half a second, and 50 bytes a string.
MAX_TEXTS = 262_144
# Values that are ranked at once. Larger: more memory for their order; smaller: more calls.
_BLOCK_VALUES = 65_536


def apply(result: InferenceResult, request: InferenceRequest) -> InferenceResult:
    """The request's own share of `result`, each output that it wants classified in that form. Raises InvalidRequest."""
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
    columns = values.shape[1]
    count = min(wanted, columns)
    if rows * count > MAX_TEXTS:
        message = f"outputs: {rows} rows of {count} classes are more than {MAX_TEXTS}; send fewer rows."
        raise InvalidRequest(Reason.INVALID_PARAMETER, message)
    block_rows = max(1, _BLOCK_VALUES // columns)
    texts = [text for first in range(0, rows, block_rows) for text in _highest(values[first:][:block_rows], count)]
    shape = (rows, count) if share.batched else (count,)
    return Tensor(tensor.name, "BYTES", shape, join_elements(texts))


def _highest(values: np.ndarray[Any, Any], count: int) -> list[bytes]:
    """Each row's `count` highest, one row behind the other."""
    is_float = values.dtype.kind == "f"
    ranked = np.where(np.isnan(values), -np.inf, values) if is_float else values
    order = values.shape[1] - 1 - np.argsort(ranked[:, ::-1], axis=1, kind="stable")[:, ::-1][:, :count]
    picked = np.take_along_axis(values, order, axis=1)
    form = b"%f:%d" if is_float else b"%d:%d"
    return [form % pair for pair in zip(picked.ravel().tolist(), order.ravel().tolist(), strict=True)]
