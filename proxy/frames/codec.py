"""Messages to packets and back, strictly: a packet that is not exactly one message is refused.

Rules: every length is checked before it is used; no allocation depends on a number in the packet beyond the
packet's own size; an unknown kind, a wrong length or a number out of range raises MalformedFrame.

Layout, little-endian: header `magic u16, kind u8, count u8, sequence u32` then what the kind asks for; tensor entries
are `code u8, rank u8, 6 zero bytes, offset u64, size u64` followed by `rank` dimensions of i64.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from proxy.frames.messages import (
    Area,
    Entry,
    Error,
    ErrorCode,
    Execute,
    Kind,
    Load,
    Loading,
    Message,
    Need,
    Ping,
    Pong,
    Ready,
    Region,
    Result,
    Stage,
    Stop,
    Threads,
)

MAX_FRAME_BYTES = 65_536
"""Longest packet. Well under the default socket buffer (212 992 on Linux), so one packet is always accepted whole."""
MAX_ENTRIES = 64
MAX_RANK = 16
MAX_ERROR_BYTES = 8_192
MAX_KNOWN_TABLES = 256
"""Tables of entries that are remembered, each way. Larger: more shapes in turn without reading each anew."""
MAX_KNOWN_BYTES = 512
"""Longest table that is remembered (three tensors of the largest rank), so that all hold little memory."""
MAGIC = 0x7044

_HEADER = struct.Struct("<HBBI")
_ENTRY = struct.Struct("<BB6xQQ")
_U64 = struct.Struct("<Q")
_U32 = struct.Struct("<I")
_READY = struct.Struct("<QQ")
_TIMES = struct.Struct("<QQQ")
_ERROR = struct.Struct("<B")
_REGION = struct.Struct("<BQ")
_STAGE = struct.Struct("<B")


class MalformedFrame(Exception):
    """A packet breaks the layout; the sender cannot be trusted any more, so the channel must be given up."""


@lru_cache(maxsize=256)
def _dimensions(rank: int) -> struct.Struct:
    return struct.Struct(f"<{rank}q")


def encode(message: Message) -> bytes:  # noqa: C901  one line a kind
    """Return the packet of `message`. Raises ValueError or struct.error if a value does not fit the layout."""
    match message:
        case Execute():
            body = _U32.pack(message.rows) + _pack_entries(message.entries)
            packet = _HEADER.pack(MAGIC, Kind.EXECUTE, len(message.entries), message.sequence) + body
        case Result():
            times = _TIMES.pack(message.compute_ns, message.input_ns, message.output_ns)
            body = times + _pack_entries(message.entries)
            packet = _HEADER.pack(MAGIC, Kind.RESULT, len(message.entries), message.sequence) + body
        case Load():
            packet = _HEADER.pack(MAGIC, Kind.LOAD, 0, 0) + message.config_json
        case Loading():
            packet = _HEADER.pack(MAGIC, Kind.LOADING, 0, 0) + _STAGE.pack(message.stage)
        case Ready():
            numbers = _READY.pack(message.load_time_ns, message.memory_bytes)
            packet = _HEADER.pack(MAGIC, Kind.READY, 0, 0) + numbers + message.details_json
        case Error():
            text = _shortened(message.message)
            packet = _HEADER.pack(MAGIC, Kind.ERROR, 0, message.sequence) + _ERROR.pack(message.code) + text
        case Need():
            packet = _HEADER.pack(MAGIC, Kind.NEED, 0, message.sequence) + _U64.pack(message.size_bytes)
        case Region():
            packet = _HEADER.pack(MAGIC, Kind.REGION, 0, 0) + _REGION.pack(message.area, message.size_bytes)
        case Ping():
            packet = _HEADER.pack(MAGIC, Kind.PING, 0, message.sequence)
        case Pong():
            packet = _HEADER.pack(MAGIC, Kind.PONG, 0, message.sequence)
        case Threads():
            packet = _HEADER.pack(MAGIC, Kind.THREADS, 0, 0) + _U32.pack(message.count)
        case Stop():
            packet = _HEADER.pack(MAGIC, Kind.STOP, 0, 0)
    if len(packet) > MAX_FRAME_BYTES:
        msg = f"a {type(message).__name__} message of {len(packet)} bytes is longer than {MAX_FRAME_BYTES}"
        raise ValueError(msg)
    return packet


def decode(packet: bytes) -> Message:
    """Return the one message in `packet`. Raises MalformedFrame."""
    if len(packet) < _HEADER.size or len(packet) > MAX_FRAME_BYTES:
        raise MalformedFrame(f"a packet of {len(packet)} bytes")
    magic, kind, count, sequence = _HEADER.unpack_from(packet)
    if magic != MAGIC:
        raise MalformedFrame("wrong magic number")
    if kind == Kind.RESULT:
        (compute_ns, input_ns, output_ns), entries = _numbers_and_entries(_TIMES, packet, count)
        return Result(sequence, compute_ns, entries, input_ns, output_ns)
    if kind == Kind.EXECUTE:
        (rows,), entries = _numbers_and_entries(_U32, packet, count)
        return Execute(sequence, rows, entries)
    if count:
        raise MalformedFrame("entries in a message that has none")
    return _decode_rare(kind, sequence, packet[_HEADER.size :])


def _decode_rare(kind: int, sequence: int, body: bytes) -> Message:  # noqa: C901  one line a kind
    if kind in _SEQUENCED:
        if kind == Kind.ERROR:
            return _decode_error(sequence, body)
        if kind == Kind.NEED:
            return Need(sequence, *_exact(_U64, body))
        _exact_empty(body)
        return Ping(sequence) if kind == Kind.PING else Pong(sequence)
    if sequence:
        raise MalformedFrame("a sequence number in a message that has none")
    if kind == Kind.LOAD:
        return Load(body)
    if kind == Kind.READY:
        if len(body) < _READY.size:
            raise MalformedFrame("a short ready message")
        load_time_ns, memory_bytes = _READY.unpack_from(body)
        return Ready(load_time_ns, memory_bytes, body[_READY.size :])
    if kind == Kind.REGION:
        area, size_bytes = _exact(_REGION, body)
        if area not in _AREAS:
            raise MalformedFrame("an unknown area")
        return Region(Area(area), size_bytes)
    if kind == Kind.LOADING:
        (stage,) = _exact(_STAGE, body)
        if stage not in _STAGES:
            raise MalformedFrame("an unknown stage")
        return Loading(Stage(stage))
    if kind == Kind.THREADS:
        return Threads(*_exact(_U32, body))
    if kind == Kind.STOP:
        _exact_empty(body)
        return Stop()
    raise MalformedFrame(f"unknown kind {kind}")


_SEQUENCED = frozenset({Kind.ERROR, Kind.NEED, Kind.PING, Kind.PONG})
_AREAS = frozenset(Area)
_STAGES = frozenset(Stage)
_ERROR_CODES = frozenset(ErrorCode)


def _decode_error(sequence: int, body: bytes) -> Error:
    if not body or body[0] not in _ERROR_CODES or len(body) > 1 + MAX_ERROR_BYTES:
        raise MalformedFrame("a broken error message")
    return Error(sequence, ErrorCode(body[0]), body[1:].decode("utf-8", "replace"))


def _numbers_and_entries(
    numbers: struct.Struct, packet: bytes, count: int
) -> tuple[tuple[int, ...], tuple[Entry, ...]]:
    """Read the numbers and `count` entries, which must fill the packet exactly."""
    at = _HEADER.size + numbers.size
    if len(packet) < at:
        raise MalformedFrame("a packet without its numbers")
    values, table = numbers.unpack_from(packet, _HEADER.size), packet[at:]
    entries = _known_entries(table, count) if len(table) <= MAX_KNOWN_BYTES else _entries(table, count)
    return values, entries


def _entries(packet: bytes, count: int) -> tuple[Entry, ...]:
    """The `count` entries that `packet` consists of."""
    at = 0
    if count > MAX_ENTRIES or len(packet) < count * _ENTRY.size:
        raise MalformedFrame("too many or missing tensor entries")
    entries = []
    for _ in range(count):
        if len(packet) < at + _ENTRY.size:
            raise MalformedFrame("a cut tensor entry")
        code, rank, offset, size_bytes = _ENTRY.unpack_from(packet, at)
        at += _ENTRY.size
        dimensions = _dimensions(rank) if rank <= MAX_RANK else None
        if dimensions is None or len(packet) < at + dimensions.size:
            raise MalformedFrame("a tensor entry of impossible rank")
        shape = dimensions.unpack_from(packet, at)
        at += dimensions.size
        if shape and min(shape) < 0:
            raise MalformedFrame("a negative dimension")
        entries.append(Entry(code, offset, size_bytes, shape))
    if at != len(packet):
        raise MalformedFrame("bytes after the last tensor entry")
    return tuple(entries)


# Executions of one version repeat a few shapes: the same bytes mean the same entries, and the other way round.
_known_entries = lru_cache(maxsize=MAX_KNOWN_TABLES)(_entries)


@lru_cache(maxsize=MAX_KNOWN_TABLES)
def _pack_entries(entries: tuple[Entry, ...]) -> bytes:
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"{len(entries)} tensors are more than {MAX_ENTRIES}")
    parts = []
    for code, offset, size_bytes, shape in entries:
        rank = len(shape)
        if rank > MAX_RANK:
            raise ValueError(f"rank {rank} is more than {MAX_RANK}")
        parts.append(_ENTRY.pack(code, rank, offset, size_bytes))
        parts.append(_dimensions(rank).pack(*shape))
    return b"".join(parts)


def _exact(layout: struct.Struct, body: bytes) -> tuple[int, ...]:
    if len(body) != layout.size:
        raise MalformedFrame(f"{len(body)} bytes where {layout.size} belong")
    return layout.unpack(body)


def _exact_empty(body: bytes) -> None:
    if body:
        raise MalformedFrame("bytes in a message that has none")


def _shortened(text: str) -> bytes:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MAX_ERROR_BYTES:
        return encoded
    return encoded[: MAX_ERROR_BYTES - 3].decode("utf-8", "ignore").encode() + b"..."
