"""JSON `data` of one tensor → little-endian row-major bytes, with the exact element named where it is wrong.

Rules: the number of elements is known from the shape before a list is made; flat data is decoded and packed in
pieces, so that memory beside the body and the packed bytes stays small; nested data must follow the shape exactly
(ragged is refused).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from math import prod
from typing import Any

import msgspec

from proxy.core.errors import InvalidRequest, Reason
from proxy.core.tensors import DATATYPES, Datatype
from proxy.protocol.limits import Limits
from proxy.protocol.words import MALFORMED, refusal

PIECE_BYTES = 262_144  # text decoded at once; larger: fewer steps, more lists alive at the same time
COUNTED_BYTES = 1_048_576
WHITESPACE = b" \t\r\n"
NEGATIVE_ZERO_HINT = re.compile(rb"-0[\s,\]]")  # quick look; also true for an exponent such as 1e-0
NEGATIVE_ZERO = re.compile(rb"(?<![0-9eE])-0(?=[\s,\]])")  # the decoder reads the integer token -0 as +0.0
_NESTED = re.compile(rb"\[[ \t\r\n]*\[")
_EMPTY = re.compile(rb"\[[ \t\r\n]*\]")
_decoders: dict[tuple[type, int], msgspec.json.Decoder[Any]] = {}


def python_type(datatype: Datatype) -> type | None:
    """The JSON type of a datatype's elements; None where JSON cannot carry it."""
    if not datatype.struct_char:
        return None
    if datatype.name == "BOOL":
        return bool
    return float if datatype.name.startswith("FP") else int


def list_type(element: type, depth: int) -> Any:
    """`list[list[…[element]]]` of this depth."""
    kind: Any = element
    for _ in range(depth):
        kind = list[kind]
    return kind


def pack(raw: msgspec.Raw, field: str, datatype: str, shape: tuple[int, ...], limits: Limits) -> bytes | bytearray:
    """Bytes of a tensor whose shape was already checked; `field` is the path of its data. Raises InvalidRequest."""
    row = DATATYPES[datatype]
    element = python_type(row)
    if element is None:
        message = f"{field}: JSON cannot carry {datatype}; send it as binary data (`binary_data_size`)."
        raise InvalidRequest(Reason.INVALID_DATATYPE, message)
    text = bytes(raw).strip(WHITESPACE)
    if text[:1] != b"[":
        raise InvalidRequest(Reason.INVALID_DATA, f"{field}: expected an array, got {_kind(text)}.")
    if _NESTED.match(text):
        return _pack_nested(text, field, row, element, shape, limits)
    if len(text) > limits.fast_body_bytes:
        return _pack_pieces(text, field, row, element, shape)
    values = _decode(text, field, element, 1)
    if len(values) != prod(shape):
        raise _wrong_count(field, shape, len(values))
    return _pack_values(values, field, row, 0)


def _pack_pieces(text: bytes, field: str, row: Datatype, element: type, shape: tuple[int, ...]) -> bytearray:
    got = 0 if _EMPTY.fullmatch(text) else _count_commas(text) + 1
    if got != prod(shape):
        raise _wrong_count(field, shape, got)
    packed = bytearray()
    start, end, done = 1, len(text) - 1, 0
    while start < end:
        comma = text.find(b",", start + PIECE_BYTES, end)
        stop = end if comma < 0 else comma
        values = _decode(b"[" + text[start:stop] + b"]", field, element, 1, done)
        packed += _pack_values(values, field, row, done)
        done += len(values)
        start = stop + 1
    if done != got:
        raise _wrong_count(field, shape, done)
    return packed


def _count_commas(text: bytes) -> int:
    """Counted in pieces, so that another thread is let in between."""
    return sum(text.count(b",", at, at + COUNTED_BYTES) for at in range(0, len(text), COUNTED_BYTES))


def _pack_nested(
    text: bytes, field: str, row: Datatype, element: type, shape: tuple[int, ...], limits: Limits
) -> bytes:
    count = prod(shape)
    if count > limits.max_nested_elements:
        message = f"{field}: nested arrays may hold {limits.max_nested_elements} values; send it as one flat array."
        raise InvalidRequest(Reason.INVALID_DATA, message)
    if len(shape) < 2:
        raise InvalidRequest(Reason.INVALID_DATA, f"{field}: nested deeper than its shape {list(shape)}.")
    if len(text) > limits.fast_body_bytes and text.count(b",") >= count:
        raise _wrong_count(field, shape, text.count(b",") + 1)
    values = _decode(text, field, element, len(shape))
    flat: list[Any] = []
    _flatten(values, shape, field, flat)
    return _pack_values(flat, field, row, None)


def _flatten(values: list[Any], shape: tuple[int, ...], field: str, flat: list[Any]) -> None:
    if len(values) != shape[0]:
        raise InvalidRequest(
            Reason.INVALID_DATA, f"{field}: expected {shape[0]} values at this level of the shape, got {len(values)}."
        )
    if len(shape) == 1:
        flat.extend(values)
        return
    for index, inner in enumerate(values):
        _flatten(inner, shape[1:], f"{field}[{index}]", flat)


def _decode(text: bytes, field: str, element: type, depth: int, base_index: int = 0) -> list[Any]:
    decoder = _decoders.get((element, depth))
    if decoder is None:  # bounded: three element types times max_dims depths
        decoder = _decoders[element, depth] = msgspec.json.Decoder(list_type(element, depth))
    if element is float and NEGATIVE_ZERO.search(text):
        text = NEGATIVE_ZERO.sub(b"-0.0", text)
    try:
        decoded: list[Any] = decoder.decode(text)
    except MALFORMED as error:
        raise refusal(error, field, Reason.INVALID_DATA, base_index) from None
    return decoded


def _pack_values(values: Sequence[Any], field: str, row: Datatype, base_index: int | None) -> bytes:
    try:
        return struct.pack(f"<{len(values)}{row.struct_char}", *values)
    except (struct.error, OverflowError):
        raise _out_of_range(values, field, row, base_index) from None


def _out_of_range(values: Sequence[Any], field: str, row: Datatype, base_index: int | None) -> InvalidRequest:
    one = struct.Struct("<" + row.struct_char)
    for index, value in enumerate(values):
        try:
            one.pack(value)
        except (struct.error, OverflowError):
            place = field if base_index is None else f"{field}[{base_index + index}]"
            return InvalidRequest(Reason.INVALID_DATA, f"{place}: {_shown(value)} is outside {row.name}'s range.")
    return InvalidRequest(Reason.INVALID_DATA, f"{field}: a value is outside {row.name}'s range.")


def _shown(value: float) -> str:
    if isinstance(value, float):
        return f"{value:.9g}"
    return str(value) if abs(value) < 10**24 else "a huge number"


def _wrong_count(field: str, shape: tuple[int, ...], got: int) -> InvalidRequest:
    message = f"{field}: expected {prod(shape)} values for shape {list(shape)}, got {got}."
    return InvalidRequest(Reason.INVALID_DATA, message)


def _kind(text: bytes) -> str:
    first = text[:1]
    kinds = {b"{": "object", b'"': "string", b"n": "null", b"t": "boolean", b"f": "boolean"}
    return kinds.get(first, "number")
