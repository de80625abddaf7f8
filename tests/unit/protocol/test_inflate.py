"""Compressed bodies: read within bounds, refused where broken."""

from __future__ import annotations

import gzip
import os
import zlib

import pytest

from proxy.core.errors import InvalidRequest, TooLarge
from proxy.protocol.inflate import inflate
from proxy.protocol.limits import Limits

LIMITS = Limits()
CODED = {b"gzip": gzip.compress, b"deflate": zlib.compress}


@pytest.mark.parametrize("coding", list(CODED))
@pytest.mark.parametrize("size", [0, 1, 1_000, 3_000_000])
def test_what_was_compressed_comes_back(coding: bytes, size: int) -> None:
    data = os.urandom(size)
    assert inflate(bytearray(CODED[coding](data)), coding, LIMITS) == data


@pytest.mark.parametrize("coding", list(CODED))
def test_r20_a_bomb_is_stopped_at_the_ratio(coding: bytes) -> None:
    with pytest.raises(TooLarge, match="expands more than"):
        inflate(CODED[coding](bytes(30_000_000)), coding, LIMITS)


@pytest.mark.parametrize("coding", list(CODED))
def test_r20_a_body_over_the_limit_is_refused(coding: bytes) -> None:
    data = os.urandom(2_000)
    assert len(inflate(CODED[coding](data), coding, Limits(max_body_bytes=2_000))) == 2_000
    with pytest.raises(TooLarge, match="inflated"):
        inflate(CODED[coding](data + b"x"), coding, Limits(max_body_bytes=2_000))


@pytest.mark.parametrize("coding", list(CODED))
def test_r20_truncated_trailing_and_other_bytes_are_refused(coding: bytes) -> None:
    whole = CODED[coding](os.urandom(5_000))
    for cut in (0, 1, 5, len(whole) // 2, len(whole) - 1):
        with pytest.raises(InvalidRequest):
            inflate(whole[:cut], coding, LIMITS)
    with pytest.raises(InvalidRequest, match="follow the end"):
        inflate(whole + b"x", coding, LIMITS)
    with pytest.raises(InvalidRequest, match="follow the end"):
        inflate(whole + whole, coding, LIMITS)
    with pytest.raises(InvalidRequest, match="not a"):
        inflate(b'{"inputs": []}', coding, LIMITS)
    damaged = bytearray(whole)
    damaged[-1] ^= 1
    with pytest.raises(InvalidRequest):
        inflate(damaged, coding, LIMITS)
