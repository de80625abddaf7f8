"""The slow, exact reading of a V2 JSON body: finds what is wrong and names the field; reads every legal form.

Place: `v2_json.parse` comes here when its fast path does not apply (nested data, parameters on tensors, inputs
in another order, long bodies, anything wrong), and `v2_request.parse` for JSON with raw tensors behind it.
Rules: structure, names, datatypes and shapes are checked before data is decoded; nothing is allocated by a number
that the client wrote. A dimension of 0 is refused: no request has 0 rows, and an empty tensor would make the rows
of a batch undefined.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import msgspec

from proxy.core.errors import InvalidRequest, Reason, TooLarge
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import DATATYPES, VARIABLE, Tensor, TensorSpec
from proxy.protocol import binary_parts, tensor_data
from proxy.protocol.binary_parts import Parts
from proxy.protocol.limits import Limits
from proxy.protocol.parameters import input_size_bytes, request_parameters, requested_outputs, size_field
from proxy.protocol.parsed import ParsedRequest
from proxy.protocol.words import MALFORMED, names, quote, refusal


class InputText(msgspec.Struct, forbid_unknown_fields=True):
    """One input, its shape and data still as text; no data where it stands behind the JSON."""

    name: str
    datatype: str
    shape: msgspec.Raw
    data: msgspec.Raw = msgspec.Raw()
    parameters: msgspec.Raw = msgspec.Raw()


class RequestText(msgspec.Struct, forbid_unknown_fields=True):
    """A request, its parts still as text."""

    inputs: list[InputText]
    id: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    outputs: msgspec.Raw = msgspec.Raw()


class Found(NamedTuple):
    """An input as it was given and as it is declared; `at` is its index in the body, `part` its raw bytes if it has."""

    at: int
    text: InputText
    spec: TensorSpec
    part: memoryview | None


_decoder = msgspec.json.Decoder(RequestText)


def read(
    body: bytes | bytearray, version: VersionSnapshot, limits: Limits, raw: memoryview | None = None
) -> ParsedRequest:
    """The request in `body`, with tensors in `raw`, or the first thing that is wrong with it. Raises InvalidRequest."""
    text = _decode(body)
    if text.id is not None and len(text.id.encode()) > limits.max_id_bytes:
        raise InvalidRequest(Reason.INVALID_REQUEST, f"id: longer than {limits.max_id_bytes} bytes.")
    asked = request_parameters(text.parameters, limits)
    outputs = requested_outputs(text.outputs, version, limits, binary_default=asked.binary_output)
    found = _match(text.inputs, version, limits, Parts(raw))
    shapes = _shapes(found, limits)
    rows = _rows(found, shapes, version)
    tensors = tuple(_tensor(one, shape, limits) for one, shape in zip(found, shapes, strict=True))
    if sum(len(tensor.data) for tensor in tensors) > limits.max_tensor_bytes:  # only BYTES show their size this late
        raise TooLarge(Reason.BODY_TOO_LARGE, f"inputs: they exceed {limits.max_tensor_bytes} bytes together.")
    return ParsedRequest(
        text.id, tensors, rows, outputs.names, asked.priority, asked.timeout_us, outputs.binary, outputs.classes
    )


def _tensor(found: Found, shape: tuple[int, ...], limits: Limits) -> Tensor:
    spec = found.spec
    if found.part is not None:
        return binary_parts.tensor(found.part, spec, shape, size_field(f"inputs[{found.at}]"))
    data = tensor_data.pack(found.text.data, f"inputs[{found.at}].data", spec.datatype, shape, limits)
    return Tensor(spec.name, spec.datatype, shape, data)


def _decode(body: bytes | bytearray) -> RequestText:
    if not body.strip(tensor_data.WHITESPACE):
        message = "body: empty; send a JSON object with `inputs`, and a Content-Length."
        raise InvalidRequest(Reason.INVALID_JSON, message)
    try:
        return _decoder.decode(body)
    except MALFORMED as error:
        raise refusal(error, "", Reason.INVALID_REQUEST) from None


def _match(given: list[InputText], version: VersionSnapshot, limits: Limits, parts: Parts) -> list[Found]:
    """The given inputs in the signature's order."""
    if len(given) > limits.max_inputs:
        raise InvalidRequest(Reason.INVALID_REQUEST, f"inputs: at most {limits.max_inputs}, got {len(given)}.")
    specs = {spec.name: spec for spec in version.signature.inputs}
    by_name: dict[str, Found] = {}
    for at, item in enumerate(given):
        if item.name not in specs:
            message = f"inputs[{at}].name: the model has no input {quote(item.name)}; it has: {names(tuple(specs))}."
            raise InvalidRequest(Reason.UNKNOWN_INPUT, message)
        if item.name in by_name:
            raise InvalidRequest(Reason.INVALID_REQUEST, f"inputs[{at}].name: {quote(item.name)} is given twice.")
        _check_datatype(at, item, specs[item.name])
        by_name[item.name] = Found(at, item, specs[item.name], _part(at, item, parts, limits))
    for name in specs:
        if name not in by_name:
            raise InvalidRequest(Reason.UNKNOWN_INPUT, f"inputs: the model's input {quote(name)} is missing.")
    parts.finish()
    return [by_name[name] for name in specs]


def _part(at: int, item: InputText, parts: Parts, limits: Limits) -> memoryview | None:
    """The raw bytes of an input, or None where its data stands in the JSON; exactly one of the two must be there."""
    size_bytes = input_size_bytes(item.parameters, f"inputs[{at}]", limits)
    if size_bytes is None:
        if not len(item.data):
            raise InvalidRequest(Reason.INVALID_REQUEST, f"inputs[{at}].data: missing.")
        return None
    if len(item.data):
        message = f"{size_field(f'inputs[{at}]')}: `data` is given, too; send one of them."
        raise InvalidRequest(Reason.INVALID_REQUEST, message)
    return parts.take(size_bytes, size_field(f"inputs[{at}]"))


def _check_datatype(at: int, item: InputText, spec: TensorSpec) -> None:
    if item.datatype == spec.datatype:
        return
    message = f"inputs[{at}].datatype: {quote(spec.name)} is {spec.datatype}, got {quote(item.datatype)}"
    if item.datatype.upper() == spec.datatype:
        message += " (datatypes are written in capitals)"
    elif item.datatype not in DATATYPES:
        message += " (no such datatype)"
    raise InvalidRequest(Reason.INVALID_DATATYPE, message + ".")


def _shapes(found: list[Found], limits: Limits) -> list[tuple[int, ...]]:
    left_bytes = limits.max_tensor_bytes
    shapes: list[tuple[int, ...]] = [()] * len(found)
    for place, (at, given, spec, part) in enumerate(found):
        shape = _shape(given.shape, spec, f"inputs[{at}].shape", limits)
        elements = prod(shape)
        left_bytes -= elements * DATATYPES[spec.datatype].min_size_bytes
        if left_bytes < 0 and elements > len(given.data if part is None else part):
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


def _rows(found: list[Found], shapes: list[tuple[int, ...]], version: VersionSnapshot) -> int:
    if not version.batchable or not shapes or not shapes[0]:
        return 1
    rows = shapes[0][0]
    for one, shape in zip(found, shapes, strict=True):
        if shape and shape[0] != rows:
            message = f"inputs[{one.at}].shape[0]: {shape[0]} rows, but inputs[{found[0].at}] has {rows}."
            raise InvalidRequest(Reason.INVALID_SHAPE, message)
    return rows
