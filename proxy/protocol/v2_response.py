"""Outputs of an execution → JSON response bodies. One encoding for each output of the whole batch, split by row.

Rules: float32 values are written in the fewest digits that read back as the same float32; a value that is not
finite, or bytes that are not UTF-8, fail the request whose row holds them and no other; only the requested outputs
come back, in the requested order. `data` is one flat array. FP16 and BF16 outputs are written as numbers (each of their
values is one), BYTES as strings. Long outputs are encoded in pieces, so that a thread that encodes lets the event loop
in between.
Source: Open Inference Protocol, REST, "Inference Response JSON Object".
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import orjson

from proxy.core.batches import BatchOutputs
from proxy.core.errors import ExecutionFailed, Reason
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import Tensor
from proxy.protocol import string_rows
from proxy.protocol.packing import numbers
from proxy.protocol.per_version import PerVersion

PIECE_VALUES = 65_536  # encoded at once: about 3 ms; larger: fewer calls, longer waits of others


class EncodedOutput:
    """One output of a batch: `rows[i]` is row i's values joined by commas. `finite` False: some row holds `null`.

    Where one request has all rows, they are one text: nothing is split that would be joined again. `unreadable` are the
    places in `rows` of strings that are not UTF-8.
    """

    __slots__ = ("after_rows", "before_rows", "finite", "rows", "unreadable")

    def __init__(
        self,
        before_rows: bytes,
        after_rows: bytes,
        rows: list[bytes],
        *,
        finite: bool = True,
        unreadable: frozenset[int] = frozenset(),
    ) -> None:
        self.before_rows = before_rows
        self.after_rows = after_rows
        self.rows = rows
        self.finite = finite
        self.unreadable = unreadable


def encode(result: InferenceResult, request: InferenceRequest) -> bytes:
    """The response body. Raises ExecutionFailed(OUTPUT_NOT_FINITE) naming the output."""
    wanted, tensors = request.outputs, result.outputs.tensors
    if wanted is None and len(tensors) == 1:
        return wrap(result, request, encode_output(result, tensors[0].name))
    if wanted is None:
        wanted = tuple([tensor.name for tensor in tensors])
    if len(wanted) == 1:
        return wrap(result, request, encode_output(result, wanted[0]))
    return wrap(result, request, b",".join([encode_output(result, name) for name in wanted]))


def wrap(result: InferenceResult, request: InferenceRequest, outputs: bytes) -> bytes:
    """The whole object around its encoded outputs."""
    head = _heads.get(result.version)
    if request.request_id is None:
        return b'%b"outputs":[%b]}' % (head, outputs)
    return b'%b"id":%b,"outputs":[%b]}' % (head, orjson.dumps(request.request_id), outputs)


def encode_output(result: InferenceResult, name: str) -> bytes:
    """One output's share of this result. Encoded for the whole batch when it is first asked for."""
    outputs = result.outputs
    encoded = outputs.encoded
    if not isinstance(encoded, dict):
        encoded = outputs.encoded = {}
    output = encoded.get(name)
    if output is None:
        output = encoded[name] = _encode_for_batch(outputs, name, is_alone=result.rows == outputs.rows)
    return _share(output, name, result.first_row, result.rows, whole=not outputs.batched)


def _encode_for_batch(outputs: BatchOutputs, name: str, *, is_alone: bool) -> EncodedOutput:
    tensor = next(tensor for tensor in outputs.tensors if tensor.name == name)
    parts = outputs.rows if outputs.batched and not is_alone else 1
    return _encode_output(tensor, parts, batched=outputs.batched)


def _encode_output(tensor: Tensor, parts: int, *, batched: bool) -> EncodedOutput:
    """The output in `parts` texts: one a row, or one for all."""
    head, after = _frame(tensor.name, tensor.datatype, tensor.shape[1:] if batched else tensor.shape, batched)
    if not prod(tensor.shape):
        return EncodedOutput(head, after, [b""] * parts)
    if tensor.datatype == "BYTES":
        texts, unreadable = string_rows.encode(tensor, parts)
        return EncodedOutput(head, after, texts, unreadable=unreadable)
    values = numbers(tensor).reshape(parts, -1)
    if values.size <= PIECE_VALUES:
        text = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)
        return EncodedOutput(head, after, text[2:-2].split(b"],["), finite=b"null" not in text)
    if values.shape[1] <= PIECE_VALUES:
        step = PIECE_VALUES // values.shape[1]
        texts = [text for at in range(0, parts, step) for text in _encode_rows(values[at : at + step])]
    else:
        texts = [_encode_long_row(row) for row in values]
    finite = not any(b"null" in text for text in texts)
    return EncodedOutput(head, after, texts, finite=finite)


def _encode_rows(values: np.ndarray[Any, Any]) -> list[bytes]:
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[2:-2].split(b"],[")


def _encode_long_row(row: np.ndarray[Any, Any]) -> bytes:
    pieces = range(0, len(row), PIECE_VALUES)
    option = orjson.OPT_SERIALIZE_NUMPY
    return b",".join(orjson.dumps(row[at : at + PIECE_VALUES], option=option)[1:-1] for at in pieces)


@lru_cache(maxsize=1_024)  # outputs with a size of their own in each answer share the places
def _frame(name: str, datatype: str, fixed: tuple[int, ...], batched: bool) -> tuple[bytes, bytes]:
    """What stands before the number of rows, and between it and the values."""
    dims = ",".join(map(str, fixed)).encode()
    before = b'%b"shape":[' % name_and_datatype(name, datatype)
    return before, (b",%b" % dims if dims and batched else dims) + b'],"data":['


def name_and_datatype(name: str, datatype: str) -> bytes:
    """How an output's object begins."""
    return b'{"name":%b,"datatype":"%b",' % (orjson.dumps(name), datatype.encode())


def _share(output: EncodedOutput, name: str, first: int, rows: int, *, whole: bool) -> bytes:
    if len(output.rows) == 1:
        values = output.rows[0]
    elif rows == 1:
        values = output.rows[first]
    else:
        values = b",".join(output.rows[first : first + rows])
    if not output.finite and b"null" in values:
        message = (
            f'The output "{name}" holds a value that is not finite (NaN or infinity); JSON cannot carry it. '
            "Ask for binary data."
        )
        raise ExecutionFailed(Reason.OUTPUT_NOT_FINITE, message)
    if output.unreadable and not output.unreadable.isdisjoint(_places(output, first, rows)):
        message = f'The output "{name}" holds bytes that are not UTF-8; JSON cannot carry them. Ask for binary data.'
        raise ExecutionFailed(Reason.OUTPUT_NOT_TEXT, message)
    if whole:
        return b"%b%b%b]}" % (output.before_rows, output.after_rows, values)
    return b"%b%d%b%b]}" % (output.before_rows, rows, output.after_rows, values)


def _places(output: EncodedOutput, first: int, rows: int) -> range:
    return range(first, first + rows) if len(output.rows) > 1 else range(1)


def _head(version: VersionSnapshot) -> bytes:
    return b'{"model_name":%b,"model_version":"%d",' % (orjson.dumps(version.model), version.number)


_heads: PerVersion[bytes] = PerVersion(_head)
