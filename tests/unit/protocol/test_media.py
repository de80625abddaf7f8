"""What headers say of a body."""

from __future__ import annotations

import pytest

from proxy.core.errors import InvalidRequest, UnsupportedMediaType
from proxy.protocol.media import PLAIN, BodyForm, body_form

LENGTH = b"inference-header-content-length"
OCTETS = (b"content-type", b"application/octet-stream")
JSON = (b"content-type", b"application/json")


@pytest.mark.parametrize("headers", [[], [JSON], [JSON, (b"content-encoding", b"identity")], [(b"accept", b"*/*")] * 2])
def test_json_alone_is_the_plain_form(headers: list[tuple[bytes, bytes]]) -> None:
    assert body_form(headers) is PLAIN


@pytest.mark.parametrize("kind", [OCTETS, JSON, (b"content-type", b"Application/Octet-Stream")])
def test_the_length_header_says_where_raw_tensors_begin(kind: tuple[bytes, bytes]) -> None:
    assert body_form([kind, (LENGTH, b"0123")]) == BodyForm(json_bytes=123)
    assert body_form([kind, (LENGTH, b"0")]).json_bytes == 0


@pytest.mark.parametrize("value", [b"", b"-1", b"+5", b"0x10", b"5 5", b"5,5", b"99999999999", b"1e3", b"\xb2"])
def test_r14_a_length_that_is_no_number_of_bytes_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidRequest):
        body_form([OCTETS, (LENGTH, value)])


def test_r14_a_header_given_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        body_form([OCTETS, (LENGTH, b"5"), (LENGTH, b"5")])


def test_octets_without_the_length_header_are_no_json() -> None:
    with pytest.raises(UnsupportedMediaType):
        body_form([OCTETS])


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"GZIP", b" gzip "])
def test_codings_that_are_read(coding: bytes) -> None:
    assert body_form([JSON, (b"content-encoding", coding)]).coding == coding.strip().lower()


@pytest.mark.parametrize("coding", [b"br", b"gzip, gzip", b"identity, gzip", b"x-gzip", b"gzip;q=1"])
def test_r20_other_codings_are_refused(coding: bytes) -> None:
    with pytest.raises(UnsupportedMediaType):
        body_form([JSON, (b"content-encoding", coding)])


def test_timing_is_asked_for_with_a_one() -> None:
    assert body_form([(b"x-dlproxy-timing", b"1")]).with_timing
    assert body_form([(b"x-dlproxy-timing", b"yes")]) is PLAIN
