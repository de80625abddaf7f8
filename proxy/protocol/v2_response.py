"""Outputs of an execution → response bodies. One encoding for each output of the whole batch, split by row.

Rules: float32 values are written in the fewest digits that read back as the same float32; a value that is not
finite fails the request whose row holds it and no other; only the requested outputs come back, in the requested order.
`data` is one flat array. FP16 outputs are written as numbers (every FP16 value is one).
Source: Open Inference Protocol, REST, "Inference Response JSON Object".
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np
import orjson

from proxy.core.batches import BatchOutputs
from proxy.core.errors import ExecutionFailed, Reason
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import DATATYPES, Tensor
from proxy.protocol.per_version import PerVersion


class EncodedOutput:
    """One output of a batch: `rows[i]` is row i's values joined by commas. `finite` False: some row holds `null`."""

    __slots__ = ("after_rows", "before_rows", "finite", "rows")

    def __init__(self, before_rows: bytes, after_rows: bytes, rows: list[bytes], *, finite: bool) -> None:
        self.before_rows = before_rows
        self.after_rows = after_rows
        self.rows = rows
        self.finite = finite


def encode(result: InferenceResult, request: InferenceRequest) -> bytes:
    """The response body. Raises ExecutionFailed(OUTPUT_NOT_FINITE) naming the output."""
    outputs = result.outputs
    encoded = outputs.encoded
    if not isinstance(encoded, dict):
        encoded = outputs.encoded = encode_batch(outputs)
    wanted = request.outputs
    chosen = encoded if wanted is None else wanted
    first, rows = result.first_row, result.rows
    whole = not outputs.batched
    parts = [_share(encoded[name], name, first, rows, whole=whole) for name in chosen]
    head = _heads.get(result.version)
    if request.request_id is not None:
        head = b'%b"id":%b,' % (head, orjson.dumps(request.request_id))
    return b'%b"outputs":[%b]}' % (head, b",".join(parts))


def encode_batch(outputs: BatchOutputs) -> dict[str, EncodedOutput]:
    """Every output of a batch by name, encoded once."""
    rows = outputs.rows if outputs.batched else 1
    return {tensor.name: _encode_output(tensor, rows, batched=outputs.batched) for tensor in outputs.tensors}


def _encode_output(tensor: Tensor, rows: int, *, batched: bool) -> EncodedOutput:
    head, after = _frame(tensor.name, tensor.datatype, tensor.shape[1:] if batched else tensor.shape, batched)
    if not prod(tensor.shape):
        return EncodedOutput(head, after, [b""] * rows, finite=True)
    values = np.frombuffer(tensor.data, DATATYPES[tensor.datatype].numpy).reshape(rows, -1)
    text = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)
    finite = b"null" not in text
    return EncodedOutput(head, after, text[2:-2].split(b"],["), finite=finite)


@lru_cache(maxsize=1_024)  # outputs with a size of their own in each answer share the places
def _frame(name: str, datatype: str, fixed: tuple[int, ...], batched: bool) -> tuple[bytes, bytes]:
    """What stands before the number of rows, and between it and the values."""
    dims = ",".join(map(str, fixed)).encode()
    before = b'{"name":%b,"datatype":"%b","shape":[' % (orjson.dumps(name), datatype.encode())
    return before, (b",%b" % dims if dims and batched else dims) + b'],"data":['


def _share(output: EncodedOutput, name: str, first: int, rows: int, *, whole: bool) -> bytes:
    if rows == 1:
        values = output.rows[0 if whole else first]
    elif whole:
        values = output.rows[0]
    else:
        values = b",".join(output.rows[first : first + rows])
    if not output.finite and b"null" in values:
        message = f'The output "{name}" holds a value that is not finite (NaN or infinity); JSON cannot carry it.'
        raise ExecutionFailed(Reason.OUTPUT_NOT_FINITE, message)
    if whole:
        return b"%b%b%b]}" % (output.before_rows, output.after_rows, values)
    return b"%b%d%b%b]}" % (output.before_rows, rows, output.after_rows, values)


def _head(version: VersionSnapshot) -> bytes:
    return b'{"model_name":%b,"model_version":"%d",' % (orjson.dumps(version.model), version.number)


_heads: PerVersion[bytes] = PerVersion(_head)
