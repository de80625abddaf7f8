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


def test_a_table_of_entries_that_came_before_means_the_same_and_a_broken_one_is_refused_again():
    entries = (Entry(11, 0, 256, (1, 64)), Entry(9, 256, 8, (1,)))
    packets = [codec.encode(Execute(number, 1, entries)) for number in (1, 2)]
    assert [codec.decode(packet) for packet in packets] == [Execute(1, 1, entries), Execute(2, 1, entries)]
    assert codec.decode(codec.encode(Execute(3, 2, entries[:1]))) == Execute(3, 2, entries[:1])
    for _ in range(2):
        with pytest.raises(codec.MalformedFrame, match="bytes after"):
            codec.decode(packets[0] + b"\0")


def test_an_instance_cannot_fill_its_parent_with_long_tables():
    before = codec._known_entries.cache_info().currsize
    long = (Entry(11, 0, 4, (1,) * codec.MAX_RANK),) * 4
    assert codec.decode(codec.encode(Result(1, 1, long))) == Result(1, 1, long)
    assert codec._known_entries.cache_info().currsize == before
    assert codec._known_entries.cache_info().maxsize == codec.MAX_KNOWN_TABLES
