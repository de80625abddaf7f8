"""`parameters` and `outputs` of a request: what they may hold, and what is refused by name.

Source: Open Inference Protocol, inference request; Triton's schedule policy extension for `priority` and `timeout`
(microseconds, a client may only shorten what the operator set: the pipeline takes the smaller).
Rules: a parameter without an effect is refused, so that nobody believes that it worked. Two exceptions:
`content_type` on a tensor (a hint that MLServer's clients add; JSON data needs none) and `binary_data*` where it
says false.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.core.errors import InvalidRequest, Reason
from proxy.core.snapshot import VersionSnapshot
from proxy.protocol.limits import Limits
from proxy.protocol.words import MALFORMED, names, quote, refusal

Value = str | int | float | bool
BINARY_UNSUPPORTED = "the binary tensor extension is not supported yet; send and ask for JSON `data`"
_NULL = b"null"
_decoder = msgspec.json.Decoder(dict[str, Any])


class OutputRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One entry of `outputs`."""

    name: str
    parameters: msgspec.Raw = msgspec.Raw()


_outputs_decoder = msgspec.json.Decoder(list[OutputRequest])


def absent(raw: msgspec.Raw) -> bool:
    """True if an optional field is missing or null."""
    return len(raw) == 0 or (len(raw) < 16 and bytes(raw).strip() == _NULL)


def scheduling(raw: msgspec.Raw, limits: Limits) -> tuple[int, int | None]:
    """`(priority, timeout_us)` of a request's parameters; (0, None) where it has none."""
    if absent(raw):
        return 0, None
    priority, timeout_us = 0, None
    for key, value in _values(raw, "parameters", limits).items():
        field = _field("parameters", key)
        if key == "priority":
            priority = _integer(value, field, 0, limits.max_priority)
        elif key == "timeout":
            timeout_us = _integer(value, field, 1, limits.max_timeout_us, " microseconds")
        elif key == "binary_data_output" and value is False:
            continue
        else:
            raise _refused(key, field)
    return priority, timeout_us


def check_tensor(raw: msgspec.Raw, field: str, limits: Limits) -> None:
    """Refuse what a tensor's parameters may not hold; `field` is the tensor's path."""
    if absent(raw):
        return
    for key, value in _values(raw, f"{field}.parameters", limits).items():
        if key == "content_type" and isinstance(value, str):
            continue
        if key == "binary_data" and value is False:
            continue
        raise _refused(key, _field(f"{field}.parameters", key))


def requested_outputs(raw: msgspec.Raw, version: VersionSnapshot, limits: Limits) -> tuple[str, ...] | None:
    """Names of the wanted outputs in the client's order, or None for all of them (absent, null or empty)."""
    if absent(raw):
        return None
    if len(raw) > limits.max_outputs_bytes:
        raise InvalidRequest(Reason.INVALID_REQUEST, f"outputs: longer than {limits.max_outputs_bytes} bytes.")
    try:
        wanted = _outputs_decoder.decode(raw)
    except MALFORMED as error:
        raise refusal(error, "outputs", Reason.INVALID_REQUEST) from None
    if len(wanted) > limits.max_outputs:
        raise InvalidRequest(Reason.INVALID_REQUEST, f"outputs: at most {limits.max_outputs}, got {len(wanted)}.")
    known = tuple(spec.name for spec in version.signature.outputs)
    seen: dict[str, None] = {}
    for index, output in enumerate(wanted):
        if output.name not in known:
            message = f"outputs[{index}].name: the model has no output {quote(output.name)}; it has: {names(known)}."
            raise InvalidRequest(Reason.UNKNOWN_OUTPUT, message)
        if output.name in seen:
            message = f"outputs[{index}].name: {quote(output.name)} is asked for twice."
            raise InvalidRequest(Reason.INVALID_REQUEST, message)
        seen[output.name] = None
        check_tensor(output.parameters, f"outputs[{index}]", limits)
    return tuple(seen) or None


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


def _refused(key: str, field: str) -> InvalidRequest:
    if key.startswith("binary_data"):
        return InvalidRequest(Reason.INVALID_PARAMETER, f"{field}: {BINARY_UNSUPPORTED}.")
    return InvalidRequest(Reason.INVALID_PARAMETER, f"{field}: unknown parameter.")
