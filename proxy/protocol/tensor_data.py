"""JSON `data` of one tensor → little-endian row-major bytes, with the exact element named where it is wrong.

Rules: the number of elements is known from the shape before a list is made; flat data is decoded and packed in
pieces, so that memory beside the body and the packed bytes stays small; nested data must follow the shape exactly
(ragged is refused).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import msgspec

from proxy.core.errors import InvalidRequest, Reason
from proxy.protocol.limits import Limits
from proxy.protocol.packing import OUT_OF_RANGE, element_type, packer
from proxy.protocol.words import MALFORMED, refusal

PIECE_BYTES = 262_144  # text decoded at once; larger: fewer steps, more lists alive at the same time
COUNTED_BYTES = 1_048_576
WHITESPACE = b" \t\r\n"
NEGATIVE_ZERO_HINT = re.compile(rb"-0[\s,\]]")  # quick look; also true for an exponent such as 1e-0
NEGATIVE_ZERO = re.compile(rb"(?<![0-9eE])-0(?=[\s,\]])")  # the decoder reads the integer token -0 as +0.0
_NESTED = re.compile(rb"\[[ \t\r\n]*\[")
_EMPTY = re.compile(rb"\[[ \t\r\n]*\]")
# Strings read at once from long data. Possessive: no text makes it look twice at a byte.
_STRINGS = re.compile(rb'(?:[ \t\r\n]*+"(?:[^"\\]++|\\.)*+"[ \t\r\n]*+,){1,4096}+', re.DOTALL)
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_decoders: dict[tuple[type, int], msgspec.json.Decoder[Any]] = {}


def list_type(element: type, depth: int) -> Any:
    """`list[list[…[element]]]` of this depth."""
    kind: Any = element
    for _ in range(depth):
        kind = list[kind]
    return kind


def pack(raw: msgspec.Raw, field: str, datatype: str, shape: tuple[int, ...], limits: Limits) -> bytes | bytearray:
    """Bytes of a tensor whose shape was already checked; `field` is the path of its data. Raises InvalidRequest."""
    text = bytes(raw).strip(WHITESPACE)
    if text[:1] != b"[":
        raise InvalidRequest(Reason.INVALID_DATA, f"{field}: expected an array, got {_kind(text)}.")
    if _NESTED.match(text):
        return _pack_nested(text, field, datatype, shape, limits)
    if len(text) > limits.fast_body_bytes:
        return _pack_pieces(text, field, datatype, shape)
    values = _decode(text, field, element_type(datatype), 1)
    if len(values) != prod(shape):
        raise _wrong_count(field, shape, len(values))
    return _pack_values(values, field, datatype, 0)


def _pack_pieces(text: bytes, field: str, datatype: str, shape: tuple[int, ...]) -> bytearray:
    element, wanted, done = element_type(datatype), prod(shape), 0
    if element is not str:
        got = 0 if _EMPTY.fullmatch(text) else _count_commas(text) + 1
        if got != wanted:
            raise _wrong_count(field, shape, got)
    packed = bytearray()
    for piece in _strings(text) if element is str else _numbers(text):
        values = _decode(b"[%b]" % piece, field, element, 1, done)
        done += len(values)
        if done > wanted:
            raise _wrong_count(field, shape, f"{done} or more")
        packed += _pack_values(values, field, datatype, done - len(values))
    if done != wanted:
        raise _wrong_count(field, shape, done)
    return packed


def _numbers(text: bytes) -> Iterator[bytes]:
    """Pieces of an array of numbers, cut at commas."""
    start, end = 1, len(text) - 1
    while start < end:
        comma = text.find(b",", start + PIECE_BYTES, end)
        stop = end if comma < 0 else comma
        yield text[start:stop]
        start = stop + 1


def _strings(text: bytes) -> Iterator[bytes]:
    """Pieces of an array of strings. Where no further string is followed by a comma, the rest: one, or a mistake."""
    start, end = 1, len(text) - 1
    while found := _STRINGS.match(text, start, end):
        yield text[start : found.end() - 1]
        start = found.end()
    yield text[start:end]


def _count_commas(text: bytes) -> int:
    """Counted in pieces, so that another thread is let in between."""
    return sum(text.count(b",", at, at + COUNTED_BYTES) for at in range(0, len(text), COUNTED_BYTES))


def _pack_nested(text: bytes, field: str, datatype: str, shape: tuple[int, ...], limits: Limits) -> bytes:
    element, count = element_type(datatype), prod(shape)
    if count > limits.max_nested_elements:
        message = f"{field}: nested arrays may hold {limits.max_nested_elements} values; send it as one flat array."
        raise InvalidRequest(Reason.INVALID_DATA, message)
    if len(shape) < 2:
        raise InvalidRequest(Reason.INVALID_DATA, f"{field}: nested deeper than its shape {list(shape)}.")
    if len(text) > limits.fast_body_bytes:
        got = (_STRING.sub(b"", text) if element is str else text).count(b",") + 1
        if got > count:
            raise _wrong_count(field, shape, got)
    values = _decode(text, field, element, len(shape))
    flat: list[Any] = []
    _flatten(values, shape, field, flat)
    return _pack_values(flat, field, datatype, None)


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
    if decoder is None:  # bounded: four element types times max_dims depths
        decoder = _decoders[element, depth] = msgspec.json.Decoder(list_type(element, depth))
    if element is float and NEGATIVE_ZERO.search(text):
        text = NEGATIVE_ZERO.sub(b"-0.0", text)
    try:
        decoded: list[Any] = decoder.decode(text)
    except MALFORMED as error:
        raise refusal(error, field, Reason.INVALID_DATA, base_index) from None
    return decoded


def _pack_values(values: Sequence[Any], field: str, datatype: str, base_index: int | None) -> bytes:
    try:
        return packer(datatype, len(values))(*values)
    except OUT_OF_RANGE:
        raise _out_of_range(values, field, datatype, base_index) from None


def _out_of_range(values: Sequence[Any], field: str, datatype: str, base_index: int | None) -> InvalidRequest:
    pack_one = packer(datatype, 1)
    for index, value in enumerate(values):
        try:
            pack_one(value)
        except OUT_OF_RANGE:
            place = field if base_index is None else f"{field}[{base_index + index}]"
            return InvalidRequest(Reason.INVALID_DATA, f"{place}: {_shown(value)} is outside {datatype}'s range.")
    return InvalidRequest(Reason.INVALID_DATA, f"{field}: a value is outside {datatype}'s range.")


def _shown(value: float) -> str:
    if isinstance(value, float):
        return f"{value:.9g}"
    return str(value) if abs(value) < 10**24 else "a huge number"


def _wrong_count(field: str, shape: tuple[int, ...], got: int | str) -> InvalidRequest:
    message = f"{field}: expected {prod(shape)} values for shape {list(shape)}, got {got}."
    return InvalidRequest(Reason.INVALID_DATA, message)


def _kind(text: bytes) -> str:
    first = text[:1]
    kinds = {b"{": "object", b'"': "string", b"n": "null", b"t": "boolean", b"f": "boolean"}
    return kinds.get(first, "number")
