"""`parameters` and `outputs` of a request: what they may hold, and what is refused by name.

Source: Open Inference Protocol, inference request; Triton's schedule policy extension for `priority` and `timeout`
(microseconds, a client may only shorten what the operator set: the pipeline takes the smaller).
Triton's binary tensor data extension for `binary_data_size`, `binary_data` and `binary_data_output`; its classification
extension for `classification`.
Rules: a parameter without an effect is refused, so that nobody believes that it worked. One exception: `content_type`
on a tensor (a hint that MLServer's clients add; data needs none).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from proxy.core.errors import InvalidRequest, Reason
from proxy.core.requests import NONE_BINARY
from proxy.core.snapshot import VersionSnapshot
from proxy.protocol.classification import NOT_NUMBERS
from proxy.protocol.limits import Limits
from proxy.protocol.words import MALFORMED, names, quote, refusal

Value = str | int | float | bool
_NULL = b"null"
_decoder = msgspec.json.Decoder(dict[str, Any])


class RequestParameters(NamedTuple):
    """What a request's `parameters` ask for. `binary_output`: outputs come back raw unless they say otherwise."""

    priority: int = 0
    timeout_us: int | None = None
    binary_output: bool = False


class Outputs(NamedTuple):
    """The wanted outputs in the client's order (None: all), those to answer raw, and those to answer as classes."""

    names: tuple[str, ...] | None = None
    binary: frozenset[str] = NONE_BINARY
    classes: Mapping[str, int] | None = None


class _OutputParameters(NamedTuple):
    binary: bool | None = None
    classes: int = 0


NO_PARAMETERS = RequestParameters()
ALL_AS_JSON = Outputs()


class OutputRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One entry of `outputs`."""

    name: str
    parameters: msgspec.Raw = msgspec.Raw()


_outputs_decoder = msgspec.json.Decoder(list[OutputRequest])


def absent(raw: msgspec.Raw) -> bool:
    """True if an optional field is missing or null."""
    return len(raw) == 0 or (len(raw) < 16 and bytes(raw).strip() == _NULL)


def request_parameters(raw: msgspec.Raw, limits: Limits) -> RequestParameters:
    """A request's `parameters`, or what holds where it has none."""
    if absent(raw):
        return NO_PARAMETERS
    priority, timeout_us, binary_output = 0, None, False
    for key, value in _values(raw, "parameters", limits).items():
        field = _field("parameters", key)
        if key == "priority":
            priority = _integer(value, field, 0, limits.max_priority)
        elif key == "timeout":
            timeout_us = _integer(value, field, 1, limits.max_timeout_us, " microseconds")
        elif key == "binary_data_output":
            binary_output = _boolean(value, field)
        else:
            raise _unknown(field)
    return RequestParameters(priority, timeout_us, binary_output)


def input_size_bytes(raw: msgspec.Raw, field: str, limits: Limits) -> int | None:
    """`binary_data_size` of an input, or None where its data stands in the JSON; `field` is the input's path."""
    if absent(raw):
        return None
    size_bytes = None
    for key, value in _values(raw, f"{field}.parameters", limits).items():
        if key == "binary_data_size":
            size_bytes = _integer(value, size_field(field), 0, limits.max_body_bytes, " bytes")
        elif key != "content_type" or not isinstance(value, str):
            raise _unknown(_field(f"{field}.parameters", key))
    return size_bytes


def size_field(field: str) -> str:
    """The path of an input's size."""
    return f"{field}.parameters.binary_data_size"


def _output_parameters(raw: msgspec.Raw, field: str, datatype: str, limits: Limits) -> _OutputParameters:
    """What an output's `parameters` ask for; `binary` None where the request's own default holds."""
    if absent(raw):
        return _OutputParameters()
    is_binary, classes = None, 0
    for key, value in _values(raw, f"{field}.parameters", limits).items():
        path = _field(f"{field}.parameters", key)
        if key == "binary_data":
            is_binary = _boolean(value, path)
        elif key == "classification":
            classes = _integer(value, path, 1, limits.max_classes)
            if datatype in NOT_NUMBERS:
                message = f"{path}: the output is {datatype}; only numbers have highest values."
                raise InvalidRequest(Reason.INVALID_PARAMETER, message)
        elif key != "content_type" or not isinstance(value, str):
            raise _unknown(path)
    return _OutputParameters(is_binary, classes)


def requested_outputs(
    raw: msgspec.Raw, version: VersionSnapshot, limits: Limits, *, binary_default: bool = False
) -> Outputs:
    """The wanted outputs; all of them where `outputs` is absent, null or empty."""
    if absent(raw):
        return _all(version) if binary_default else ALL_AS_JSON
    if len(raw) > limits.max_outputs_bytes:
        raise InvalidRequest(Reason.INVALID_REQUEST, f"outputs: longer than {limits.max_outputs_bytes} bytes.")
    try:
        wanted = _outputs_decoder.decode(raw)
    except MALFORMED as error:
        raise refusal(error, "outputs", Reason.INVALID_REQUEST) from None
    if len(wanted) > limits.max_outputs:
        raise InvalidRequest(Reason.INVALID_REQUEST, f"outputs: at most {limits.max_outputs}, got {len(wanted)}.")
    known = {spec.name: spec.datatype for spec in version.signature.outputs}
    seen: dict[str, bool] = {}
    classes: dict[str, int] = {}
    for index, output in enumerate(wanted):
        if output.name not in known:
            message = (
                f"outputs[{index}].name: the model has no output {quote(output.name)}; it has: {names(tuple(known))}."
            )
            raise InvalidRequest(Reason.UNKNOWN_OUTPUT, message)
        if output.name in seen:
            message = f"outputs[{index}].name: {quote(output.name)} is asked for twice."
            raise InvalidRequest(Reason.INVALID_REQUEST, message)
        asked = _output_parameters(output.parameters, f"outputs[{index}]", known[output.name], limits)
        seen[output.name] = binary_default if asked.binary is None else asked.binary
        if asked.classes:
            classes[output.name] = asked.classes
    if not seen:
        return _all(version) if binary_default else ALL_AS_JSON
    binary = frozenset(name for name, is_binary in seen.items() if is_binary)
    return Outputs(tuple(seen), binary, classes or None)


def _all(version: VersionSnapshot) -> Outputs:
    return Outputs(None, frozenset(spec.name for spec in version.signature.outputs))


def _values(raw: msgspec.Raw, field: str, limits: Limits) -> dict[str, Value]:
    if len(raw) > limits.max_parameters_bytes:
        message = f"{field}: longer than {limits.max_parameters_bytes} bytes."
        raise InvalidRequest(Reason.INVALID_PARAMETER, message)
    try:
        values = _decoder.decode(raw)
    except MALFORMED as error:
        raise refusal(error, field, Reason.INVALID_PARAMETER) from None
    for key, value in values.items():
        if not isinstance(value, str | int | float):
            message = f"{_field(field, key)}: expected a string, number or boolean."
            raise InvalidRequest(Reason.INVALID_PARAMETER, message)
    return values


def _field(parent: str, key: str) -> str:
    return f"{parent}.{key}" if key.isidentifier() and len(key) <= 64 else f"{parent}.{quote(key)}"


def _integer(value: Value, field: str, lowest: int, highest: int, unit: str = "") -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        message = f"{field}: expected a whole number{' of' + unit if unit else ''}."
        raise InvalidRequest(Reason.INVALID_PARAMETER, message)
    if not lowest <= value <= highest:
        message = f"{field}: must lie between {lowest} and {highest}{unit}."
        raise InvalidRequest(Reason.INVALID_PARAMETER, message)
    return value


def _boolean(value: Value, field: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(Reason.INVALID_PARAMETER, f"{field}: expected true or false.")
    return value


def _unknown(field: str) -> InvalidRequest:
    return InvalidRequest(Reason.INVALID_PARAMETER, f"{field}: unknown parameter.")
