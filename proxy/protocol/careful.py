"""The slow, exact reading of a V2 JSON body: finds what is wrong and names the field; reads every legal form.

Place: `v2_json.parse` comes here when its fast path does not apply (nested data, parameters on tensors, inputs
in another order, long bodies, anything wrong).
Rules: structure, names, datatypes and shapes are checked before data is decoded; nothing is allocated by a number
that the client wrote. A dimension of 0 is refused: no request has 0 rows, and an empty tensor would make the rows
of a batch undefined.
"""

from __future__ import annotations

from math import prod

import msgspec

from proxy.core.errors import InvalidRequest, Reason, TooLarge
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import DATATYPES, VARIABLE, Tensor, TensorSpec
from proxy.protocol import tensor_data
from proxy.protocol.limits import Limits
from proxy.protocol.parameters import check_tensor, requested_outputs, scheduling
from proxy.protocol.parsed import ParsedRequest
from proxy.protocol.words import MALFORMED, names, quote, refusal


class InputText(msgspec.Struct, forbid_unknown_fields=True):
    """One input, its shape and data still as text."""

    name: str
    datatype: str
    shape: msgspec.Raw
    data: msgspec.Raw
    parameters: msgspec.Raw = msgspec.Raw()


class RequestText(msgspec.Struct, forbid_unknown_fields=True):
    """A request, its parts still as text."""

    inputs: list[InputText]
    id: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    outputs: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(RequestText)


def read(body: bytes | bytearray, version: VersionSnapshot, limits: Limits) -> ParsedRequest:
    """The request in `body`, or the first thing that is wrong with it. Raises InvalidRequest."""
    text = _decode(body)
    if text.id is not None and len(text.id.encode()) > limits.max_id_bytes:
        raise InvalidRequest(Reason.INVALID_REQUEST, f"id: longer than {limits.max_id_bytes} bytes.")
    priority, timeout_us = scheduling(text.parameters, limits)
    outputs = requested_outputs(text.outputs, version, limits)
    found = _match(text.inputs, version, limits)
    shapes = _shapes(found, version, limits)
    rows = _rows(found, shapes, version)
    tensors = tuple(
        _tensor(at, given, spec, shape, limits) for (at, given, spec), shape in zip(found, shapes, strict=True)
    )
    return ParsedRequest(text.id, tensors, rows, outputs, priority, timeout_us)


def _tensor(at: int, given: InputText, spec: TensorSpec, shape: tuple[int, ...], limits: Limits) -> Tensor:
    data = tensor_data.pack(given.data, f"inputs[{at}].data", spec.datatype, shape, limits)
    return Tensor(spec.name, spec.datatype, shape, data)


def _decode(body: bytes | bytearray) -> RequestText:
    if not body.strip(tensor_data.WHITESPACE):
        message = "body: empty; send a JSON object with `inputs`, and a Content-Length."
        raise InvalidRequest(Reason.INVALID_JSON, message)
    try:
        return _decoder.decode(body)
    except MALFORMED as error:
        raise refusal(error, "", Reason.INVALID_REQUEST) from None


# (index in the body, what was given, what is declared), in the signature's order
Found = list[tuple[int, InputText, TensorSpec]]


def _match(given: list[InputText], version: VersionSnapshot, limits: Limits) -> Found:
    if len(given) > limits.max_inputs:
        raise InvalidRequest(Reason.INVALID_REQUEST, f"inputs: at most {limits.max_inputs}, got {len(given)}.")
    specs = {spec.name: spec for spec in version.signature.inputs}
    by_name: dict[str, tuple[int, InputText]] = {}
    for at, item in enumerate(given):
        if item.name not in specs:
            message = f"inputs[{at}].name: the model has no input {quote(item.name)}; it has: {names(tuple(specs))}."
            raise InvalidRequest(Reason.UNKNOWN_INPUT, message)
        if item.name in by_name:
            raise InvalidRequest(Reason.INVALID_REQUEST, f"inputs[{at}].name: {quote(item.name)} is given twice.")
        by_name[item.name] = (at, item)
        _check_datatype(at, item, specs[item.name])
        check_tensor(item.parameters, f"inputs[{at}]", limits)
    for name in specs:
        if name not in by_name:
            raise InvalidRequest(Reason.UNKNOWN_INPUT, f"inputs: the model's input {quote(name)} is missing.")
    return [(*by_name[name], spec) for name, spec in specs.items()]


def _check_datatype(at: int, item: InputText, spec: TensorSpec) -> None:
    if item.datatype == spec.datatype:
        return
    message = f"inputs[{at}].datatype: {quote(spec.name)} is {spec.datatype}, got {quote(item.datatype)}"
    if item.datatype == "BYTES":
        message += " (no input of this model takes BYTES)"
    elif item.datatype.upper() == spec.datatype:
        message += " (datatypes are written in capitals)"
    elif item.datatype not in DATATYPES:
        message += " (no such datatype)"
    raise InvalidRequest(Reason.INVALID_DATATYPE, message + ".")


def _shapes(found: Found, version: VersionSnapshot, limits: Limits) -> list[tuple[int, ...]]:
    left_bytes = limits.max_tensor_bytes
    shapes: list[tuple[int, ...]] = [()] * len(found)
    for place, (at, given, spec) in enumerate(found):
        shape = _shape(given.shape, spec, f"inputs[{at}].shape", limits)
        elements = prod(shape)
        left_bytes -= elements * DATATYPES[spec.datatype].size_bytes
        if left_bytes < 0 and elements > len(given.data):
            message = f"inputs[{at}].shape: asks for more values than `data` can hold."
            raise InvalidRequest(Reason.INVALID_SHAPE, message)
        if left_bytes < 0:
            message = f"inputs[{at}].shape: the inputs exceed {limits.max_tensor_bytes} bytes together."
            raise TooLarge(Reason.BODY_TOO_LARGE, message)
        shapes[place] = shape
    return shapes


def _shape(raw: msgspec.Raw, spec: TensorSpec, field: str, limits: Limits) -> tuple[int, ...]:
    if len(raw) > limits.max_shape_bytes:
        raise InvalidRequest(Reason.INVALID_SHAPE, f"{field}: at most {limits.max_dims} dimensions.")
    try:
        dims = msgspec.json.decode(raw)
    except MALFORMED as error:
        raise refusal(error, field, Reason.INVALID_SHAPE) from None
    if not isinstance(dims, list):
        raise InvalidRequest(Reason.INVALID_SHAPE, f"{field}: expected an array of whole numbers.")
    if len(dims) > limits.max_dims:
        raise InvalidRequest(Reason.INVALID_SHAPE, f"{field}: at most {limits.max_dims} dimensions, got {len(dims)}.")
    _check_sizes(dims, field)
    _check_declared(dims, spec, field)
    return tuple(dims)


def _check_sizes(dims: list[object], field: str) -> None:
    for axis, size in enumerate(dims):
        if type(size) is not int:
            raise InvalidRequest(Reason.INVALID_SHAPE, f"{field}[{axis}]: expected a whole number.")
        if size < 1:
            shown = size if size > -(10**20) else "a huge negative number"
            raise InvalidRequest(Reason.INVALID_SHAPE, f"{field}[{axis}]: must be at least 1, got {shown}.")


def _check_declared(dims: list[int], spec: TensorSpec, field: str) -> None:
    if len(dims) != len(spec.shape):
        message = f"{field}: {quote(spec.name)} has {len(spec.shape)} dimensions {_declared(spec)}, got {len(dims)}."
        raise InvalidRequest(Reason.INVALID_SHAPE, message)
    for axis, (want, got) in enumerate(zip(spec.shape, dims, strict=True)):
        if want not in (VARIABLE, got):
            shown = got if got < 10**20 else "a huge number"
            message = f"{field}[{axis}]: expected {want} (declared {_declared(spec)}), got {shown}."
            raise InvalidRequest(Reason.INVALID_SHAPE, message)


def _declared(spec: TensorSpec) -> str:
    return str(list(spec.shape))


def _rows(found: Found, shapes: list[tuple[int, ...]], version: VersionSnapshot) -> int:
    if not version.batchable or not shapes or not shapes[0]:
        return 1
    rows = shapes[0][0]
    for (at, _, _), shape in zip(found, shapes, strict=True):
        if shape and shape[0] != rows:
            message = f"inputs[{at}].shape[0]: {shape[0]} rows, but inputs[{found[0][0]}] has {rows}."
            raise InvalidRequest(Reason.INVALID_SHAPE, message)
    return rows
