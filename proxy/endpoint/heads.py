"""Bytes of a request's head → method, target, headers and how its body is framed. Sans-I/O.

Rules: one reading only. The grammar is the strict half of RFC 9112: CRLF line ends, no folded lines, no space before
the colon, origin-form targets, one Host, one Content-Length of digits or `Transfer-Encoding: chunked` and never both.
llhttp reads the same bytes, and a head on which the two readings differ is refused. Header names with underscores and
forwarding headers have no effect here, whatever they claim.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httptools

from proxy.core import request_ids
from proxy.endpoint.limits import ListenerLimits
from proxy.endpoint.refusals import BadFraming, HeadTooLarge, TargetTooLong
from proxy.endpoint.table import Head

HEAD_END = b"\r\n\r\n"
_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]+) HTTP/([0-9])\.([0-9])")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_ONCE = frozenset((b"host", b"content-length", b"transfer-encoding", b"authorization", b"content-type", b"expect"))


class WireHead:
    """One accepted head. `content_length` is 0 for a chunked body.

    `raw` are the head's own bytes. `whole_bytes` is the length of head and body together where both may come in one
    piece and nothing has to be asked or found out between them, else -1. `plain_reply`: the answer to it, where the
    connection goes on, has a body and no header of its own. `echo`: the rendered header that repeats the request's id,
    or empty.
    """

    __slots__ = (
        "chunked",
        "content_length",
        "echo",
        "expects_continue",
        "head",
        "keep_alive",
        "minor_version",
        "plain_reply",
        "raw",
        "whole_bytes",
        "with_body",
    )

    def __init__(self, raw: bytes, head: Head, minor_version: int, named: dict[bytes, bytes]) -> None:
        self.raw = raw
        self.head = head
        self.minor_version = minor_version
        self.content_length = int(named.get(b"content-length", b"0"))
        self.chunked = b"transfer-encoding" in named
        self.expects_continue = b"expect" in named and minor_version == 1
        self.with_body = head.method != "HEAD"
        tokens = {t.strip().lower() for t in named.get(b"connection", b"").split(b",")}
        self.keep_alive = b"close" not in tokens and (minor_version == 1 or b"keep-alive" in tokens)
        self.whole_bytes = -1 if self.chunked or self.expects_continue else len(raw) + self.content_length
        self.echo = b"%b: %b\r\n" % (request_ids.HEADER, head.request_id.encode()) if head.request_id else b""
        self.plain_reply = self.with_body and minor_version == 1 and not self.echo

    def is_of(self, data: bytes) -> bool:
        """True if `data` is this very head and a body of the length that it declares, and not a byte more."""
        return len(data) == self.whole_bytes and data.startswith(self.raw)


def known_whole(data: bytes, known: Callable[[bytes], WireHead | None], limits: ListenerLimits) -> WireHead | None:
    """The head of the one request that `data` is, to its last byte, if `known` has a head of the very same bytes."""
    wire = known(data[: data.find(HEAD_END, 0, limits.max_head_bytes) + len(HEAD_END)])
    return wire if wire is not None and len(data) == wire.whole_bytes else None


def parse(head_bytes: bytes, limits: ListenerLimits) -> WireHead:
    """The head in `head_bytes`, which ends with the empty line. Raises BadFraming and its kinds."""
    lines = head_bytes[: -len(HEAD_END)].split(b"\r\n")
    method, target, minor_version = _request_line(lines[0], limits)
    if len(lines) - 1 > limits.max_headers:
        raise HeadTooLarge(f"More than {limits.max_headers} header lines.")
    headers = [_header(line) for line in lines[1:]]
    named = _named(headers)
    _check_framing(named, minor_version)
    if method != "CONNECT":
        _second_reading(head_bytes, method, target, headers)
    return WireHead(head_bytes, Head(method, target, headers), minor_version, named)


def check_partial(buffer: bytearray, scanned: int, limits: ListenerLimits) -> None:
    """Refuse early what can no longer become a good head. `scanned` bytes were looked at before."""
    if not 65 <= buffer[0] <= 90:
        raise BadFraming("The request does not begin with a method; this port speaks plain HTTP/1.1.")
    line_feed = buffer.find(b"\n", scanned)
    while line_feed >= 0:
        if line_feed == 0 or buffer[line_feed - 1] != 13:
            raise BadFraming("A line of the head ends with LF alone; lines end with CRLF.")
        line_feed = buffer.find(b"\n", line_feed + 1)
    if len(buffer) > limits.max_target_bytes + 40 and buffer.find(b"\r\n", 0, limits.max_target_bytes + 40) < 0:
        raise TargetTooLong(f"The request line is longer than {limits.max_target_bytes} bytes.")
    if len(buffer) > limits.max_head_bytes:
        raise HeadTooLarge(f"The head is longer than {limits.max_head_bytes} bytes.")


def _request_line(line: bytes, limits: ListenerLimits) -> tuple[str, bytes, int]:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise BadFraming("The request line is not `METHOD /path HTTP/1.1`.")
    method, target = match[1].decode(), match[2]
    if match[3] != b"1" or match[4] not in b"01":
        raise BadFraming("This port speaks HTTP/1.1 and HTTP/1.0.")
    if len(target) > limits.max_target_bytes:
        raise TargetTooLong(f"The request line is longer than {limits.max_target_bytes} bytes.")
    if method != "CONNECT" and (not target.startswith(b"/") or b"#" in target) and target != b"*":
        raise BadFraming("The request target must be a path that begins with `/`.")
    return method, target, int(match[4])


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or _TOKEN.fullmatch(name) is None:
        raise BadFraming("A header line is not `Name: value` (folded lines are not accepted).")
    if _VALUE.fullmatch(value) is None:
        raise BadFraming("A header's value holds a control character.")
    return name.lower(), value.strip(b" \t")


def _named(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    named: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in named:
            if name in _ONCE:
                raise BadFraming(f"The header {name.decode()} is given twice.")
            value = named[name] + b"," + value  # noqa: PLW2901  a list header's lines are one list (RFC 9110, 5.3)
        named[name] = value
    return named


def _check_framing(named: dict[bytes, bytes], minor_version: int) -> None:
    if minor_version == 1 and not named.get(b"host"):
        raise BadFraming("HTTP/1.1 needs one Host header.")
    length, coding = named.get(b"content-length"), named.get(b"transfer-encoding")
    if length is not None and coding is not None:
        raise BadFraming("Content-Length and Transfer-Encoding exclude each other.")
    if length is not None and _LENGTH.fullmatch(length) is None:
        raise BadFraming("Content-Length is not a number of bytes.")
    if coding is not None and (coding.lower() != b"chunked" or minor_version == 0):
        raise BadFraming("The only transfer coding is `chunked`, in HTTP/1.1.")
    if named.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise BadFraming("The only expectation is `100-continue`.")


class _Witness:
    """What llhttp makes of the same bytes."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        """Part of the target."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        self.headers.append((name.lower(), value.strip(b" \t")))


def _second_reading(head_bytes: bytes, method: str, target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    witness = _Witness()
    parser: Any = httptools.HttpRequestParser(witness)
    try:
        parser.feed_data(head_bytes)
    except httptools.HttpParserUpgrade:
        pass  # an offer to switch protocols; HTTP/1.1 goes on (RFC 9110, 7.8)
    except httptools.HttpParserError:
        raise BadFraming("The request's head is not valid HTTP/1.1.") from None
    if parser.get_method().decode() != method or witness.url != target or witness.headers != headers:
        raise BadFraming("The request's head can be read in two ways.")
