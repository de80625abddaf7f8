"""Chunked bodies: whole, byte by byte, and with what follows them."""

from __future__ import annotations

import pytest

from proxy.core.errors import ProxyError, TooLarge
from proxy.endpoint.bodies import ChunkedBody
from proxy.endpoint.refusals import BadFraming

TEXT = b"3\r\nabc\r\n01\r\nd\r\nA\r\n0123456789\r\n0\r\n\r\n"
DATA = b"abcd0123456789"


def test_a_body_is_read_whole_and_what_follows_is_left() -> None:
    body, buffer = ChunkedBody(100, 10), bytearray(TEXT + b"GET /")
    assert body.feed(buffer)
    assert bytes(body.data) == DATA
    assert bytes(buffer) == b"GET /"


def test_a_body_is_read_byte_by_byte() -> None:
    body, buffer = ChunkedBody(100, 10), bytearray()
    for number, byte in enumerate(TEXT):
        buffer.append(byte)
        assert body.feed(buffer) == (number == len(TEXT) - 1)
    assert bytes(body.data) == DATA
    assert not buffer


@pytest.mark.parametrize("cut", range(len(TEXT)))
def test_a_body_is_read_in_any_two_parts(cut: int) -> None:
    body, buffer = ChunkedBody(100, 10), bytearray(TEXT[:cut])
    assert not body.feed(buffer)
    buffer += TEXT[cut:]
    assert body.feed(buffer)
    assert bytes(body.data) == DATA


@pytest.mark.parametrize(("limit", "fits"), [(13, False), (14, True), (15, True)])
def test_the_size_is_bounded(limit: int, fits: bool) -> None:
    if fits:
        assert ChunkedBody(limit, 10).feed(bytearray(TEXT))
    else:
        with pytest.raises(TooLarge):
            ChunkedBody(limit, 10).feed(bytearray(TEXT))


@pytest.mark.parametrize(("limit", "fits"), [(3, False), (4, True)])
def test_the_count_is_bounded(limit: int, fits: bool) -> None:
    if fits:
        assert ChunkedBody(100, limit).feed(bytearray(TEXT))
    else:
        with pytest.raises(BadFraming, match="too many chunks"):
            ChunkedBody(100, limit).feed(bytearray(TEXT))


@pytest.mark.parametrize("data", [b"G", b";", b" ", b"\n", b"123456789", b"1\n", b"1;x=1\r\n", b"1\r\nab", b"0\r\nX"])
def test_what_can_no_longer_become_a_chunk_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(ProxyError):
        ChunkedBody(100, 10).feed(bytearray(data))
