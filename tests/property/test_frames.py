"""Packets between parent and instance survive the round trip, and nothing else is taken for one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.frames import codec
from proxy.frames.messages import (
    Area,
    Entry,
    Error,
    ErrorCode,
    Execute,
    Load,
    Loading,
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

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
ENTRIES = st.lists(
    st.builds(
        Entry,
        st.integers(0, 255),
        U64,
        U64,
        st.lists(st.integers(0, 2**63 - 1), max_size=codec.MAX_RANK).map(tuple),
    ),
    max_size=8,
).map(tuple)
BLOB = st.binary(max_size=300)
MESSAGES = st.one_of(
    st.builds(Load, BLOB),
    st.builds(Loading, st.sampled_from(Stage)),
    st.builds(Ready, U64, U64, BLOB),
    st.builds(Execute, U32, U32, ENTRIES),
    st.builds(Result, U32, U64, ENTRIES, U64, U64),
    st.builds(Error, U32, st.sampled_from(ErrorCode), st.text(max_size=300)),
    st.builds(Need, U32, U64),
    st.builds(Region, st.sampled_from(Area), U64),
    st.builds(Ping, U32),
    st.builds(Pong, U32),
    st.just(Stop()),
    st.builds(Threads, st.integers(0, 2**32 - 1)),
)


@given(MESSAGES)
def test_every_message_comes_back_as_it_was(message):
    assert codec.decode(codec.encode(message)) == message


@given(st.binary(max_size=400))
@example(b"")
@example(b"\x44\x70\x05\xff\x00\x00\x00\x00")
def test_arbitrary_bytes_are_a_message_or_malformed_and_a_message_encodes_to_those_bytes(packet):
    try:
        message = codec.decode(packet)
    except codec.MalformedFrame:
        return
    assert codec.decode(codec.encode(message)) == message


@given(st.one_of(st.builds(Execute, U32, U32, ENTRIES), st.builds(Result, U32, U64, ENTRIES, U64, U64)), st.data())
def test_a_packet_cut_or_lengthened_anywhere_is_refused(message, data):
    packet = codec.encode(message)
    cut = data.draw(st.integers(0, len(packet) - 1))
    with pytest.raises(codec.MalformedFrame):
        codec.decode(packet[:cut])
    with pytest.raises(codec.MalformedFrame):
        codec.decode(packet + b"\x00")


@given(MESSAGES, st.data())
def test_a_flipped_byte_never_raises_anything_but_malformed(message, data):
    packet = bytearray(codec.encode(message))
    at = data.draw(st.integers(0, len(packet) - 1))
    packet[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(codec.MalformedFrame):
        codec.decode(bytes(packet))
