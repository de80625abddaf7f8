"""Limits of the packets between parent and instance."""

from __future__ import annotations

import struct

import pytest

from proxy.frames import codec
from proxy.frames.messages import Entry, Error, ErrorCode, Execute, Load, Result


def test_a_negative_dimension_is_refused():
    packet = bytearray(codec.encode(Result(1, 1, (Entry(11, 0, 4, (1,)),))))
    packet[-8:] = struct.pack("<q", -1)
    with pytest.raises(codec.MalformedFrame, match="negative"):
        codec.decode(bytes(packet))


def test_an_unknown_kind_and_a_wrong_magic_number_are_refused():
    with pytest.raises(codec.MalformedFrame, match="kind"):
        codec.decode(struct.pack("<HBBI", codec.MAGIC, 99, 0, 0))
    with pytest.raises(codec.MalformedFrame, match="magic"):
        codec.decode(struct.pack("<HBBI", 1, 5, 0, 0))


def test_rank_and_number_of_entries_are_bounded_on_both_sides():
    deep = Entry(11, 0, 4, (1,) * (codec.MAX_RANK + 1))
    with pytest.raises(ValueError, match="rank"):
        codec.encode(Execute(1, 1, (deep,)))
    with pytest.raises(ValueError, match="tensors"):
        codec.encode(Execute(1, 1, (Entry(11, 0, 4, (1,)),) * (codec.MAX_ENTRIES + 1)))
    with pytest.raises(codec.MalformedFrame):
        codec.decode(struct.pack("<HBBIQ", codec.MAGIC, 5, 200, 0, 0))


def test_a_packet_longer_than_the_limit_is_neither_made_nor_read():
    with pytest.raises(ValueError, match="longer"):
        codec.encode(Load(b"x" * codec.MAX_FRAME_BYTES))
    with pytest.raises(codec.MalformedFrame):
        codec.decode(struct.pack("<HBBI", codec.MAGIC, 1, 0, 0) + b"x" * codec.MAX_FRAME_BYTES)


def test_a_long_error_is_shortened_without_cutting_a_character():
    message = codec.decode(codec.encode(Error(1, ErrorCode.MODEL_RAISED, "é" * 10_000)))
    assert isinstance(message, Error)
    assert message.message.endswith("...")
    assert set(message.message) == {"é", "."}
