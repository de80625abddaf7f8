"""Heads: what is accepted, and what it says of framing."""

from __future__ import annotations

import pytest

from proxy.endpoint import heads
from proxy.endpoint.limits import ListenerLimits
from proxy.endpoint.refusals import BadFraming, HeadTooLarge, TargetTooLong

LIMITS = ListenerLimits()


def head(*lines: str, first: str = "POST /v2 HTTP/1.1", host: str = "Host: x") -> bytes:
    return "\r\n".join([first, host, *lines, "", ""]).encode("latin-1")


def parse(*lines: str, **more: str) -> heads.WireHead:
    return heads.parse(head(*lines, **more), LIMITS)


def test_names_are_lowered_and_values_trimmed() -> None:
    wire = parse("X-Name: \t a  b \t", "Empty:")
    assert wire.head.headers == [(b"host", b"x"), (b"x-name", b"a  b"), (b"empty", b"")]
    assert (wire.head.method, wire.head.raw_path) == ("POST", b"/v2")


def test_a_list_header_in_two_lines_is_one_list() -> None:
    assert not parse("Connection: x", "Connection: close").keep_alive


@pytest.mark.parametrize(
    ("first", "connection", "keep"),
    [
        ("GET / HTTP/1.1", "", True),
        ("GET / HTTP/1.1", "close", False),
        ("GET / HTTP/1.1", "Keep-Alive, CLOSE", False),
        ("GET / HTTP/1.0", "", False),
        ("GET / HTTP/1.0", "keep-alive", True),
    ],
)
def test_who_stays(first: str, connection: str, keep: bool) -> None:
    assert parse(f"Connection: {connection}", first=first).keep_alive is keep


@pytest.mark.parametrize(("value", "length"), [("0", 0), ("7", 7), ("007", 7), ("999999999999999", 999999999999999)])
def test_a_length_is_decimal_digits(value: str, length: int) -> None:
    wire = parse(f"Content-Length: {value}")
    assert (wire.content_length, wire.chunked) == (length, False)


def test_chunked_is_the_only_coding() -> None:
    assert parse("Transfer-Encoding: Chunked").chunked
    with pytest.raises(BadFraming, match="only transfer coding"):
        parse("Transfer-Encoding: gzip")


def test_an_underscore_makes_another_header() -> None:
    wire = parse("Content_Length: 5", "Transfer_Encoding: chunked")
    assert (wire.content_length, wire.chunked) == (0, False)


def test_limits_are_inclusive() -> None:
    limits = ListenerLimits(max_target_bytes=3, max_headers=2)
    assert heads.parse(head("A: b"), limits).head.raw_path == b"/v2"
    with pytest.raises(HeadTooLarge):
        heads.parse(head("A: b", "C: d"), limits)
    with pytest.raises(TargetTooLong):
        heads.parse(head(first="GET /v22 HTTP/1.1"), limits)


@pytest.mark.parametrize(
    ("partial", "kind"),
    [
        (b"g", BadFraming),
        (b"\x16\x03", BadFraming),
        (b"GET / HTTP/1.1\n", BadFraming),
        (b"GET / HTTP/1.1\r\nA: b\nC", BadFraming),
        (b"GET /" + b"a" * 5_000, TargetTooLong),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 3_000, HeadTooLarge),
    ],
)
def test_what_can_no_longer_become_a_head_is_refused_early(partial: bytes, kind: type[BadFraming]) -> None:
    with pytest.raises(kind):
        heads.check_partial(bytearray(partial), 0, LIMITS)


@pytest.mark.parametrize("cut", range(1, len(head("A: b"))))
def test_every_beginning_of_a_good_head_may_still_become_one(cut: int) -> None:
    heads.check_partial(bytearray(head("A: b")[:cut]), 0, LIMITS)
