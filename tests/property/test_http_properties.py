"""Whatever bytes come, the readers answer with a value or a named refusal; how they are cut does not matter."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from proxy.core.errors import ProxyError
from proxy.endpoint import heads
from proxy.endpoint.bodies import ChunkedBody
from proxy.endpoint.limits import ListenerLimits

LIMITS = ListenerLimits()
LINE_PARTS = st.sampled_from(
    [
        b"GET",
        b"POST",
        b" ",
        b"/v2",
        b" HTTP/1.1",
        b"\r\n",
        b"\n",
        b"\r",
        b"Host: x",
        b"Host",
        b":",
        b"Content-Length",
        b"5",
        b"Transfer-Encoding",
        b"chunked",
        b",",
        b"\t",
        b"\0",
        b"\xff",
        b"Connection: upgrade",
        b"Upgrade: h2c",
        b"a",
        b"_",
    ]
)


@given(st.lists(LINE_PARTS | st.binary(max_size=4), max_size=20))
@example([b"GET", b" ", b"/v2", b" HTTP/1.1", b"\r\n", b"Host: x", b"\r\n", b"Host", b"\t", b":", b"a"])
def test_a_head_is_a_value_or_a_refusal(parts: list[bytes]) -> None:
    data = b"".join(parts) + b"\r\n\r\n"
    data = data[: data.index(b"\r\n\r\n") + 4]
    try:
        wire = heads.parse(data, LIMITS)
    except ProxyError as error:
        assert 400 <= error.status < 500
    else:
        assert not (wire.chunked and wire.content_length)
        assert wire.head.raw_path[:1] in (b"/", b"*") or wire.head.method == "CONNECT"


@given(
    st.lists(st.binary(min_size=1, max_size=20), max_size=6),
    st.lists(st.integers(1, 9), min_size=1),
    st.binary(max_size=5),
)
def test_chunks_read_the_same_however_they_are_cut(pieces: list[bytes], cuts: list[int], behind: bytes) -> None:
    text = b"".join(b"%X\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
    body, buffer, at, done = ChunkedBody(1_000, 100), bytearray(), 0, False
    turn = 0
    while not done:
        step = cuts[turn % len(cuts)]
        buffer += (text + behind)[at : at + step]
        at += step
        turn += 1
        done = body.feed(buffer)
    assert bytes(body.data) == b"".join(pieces)
    assert bytes(buffer) + (text + behind)[at:] == behind


@given(
    st.lists(st.sampled_from([b"0", b"5", b"\r\n", b"\r", b"\n", b"hello", b";", b"x", b" "]) | st.binary(max_size=3))
)
def test_chunks_are_a_value_or_a_refusal(parts: list[bytes]) -> None:
    whole, split = ChunkedBody(100, 10), ChunkedBody(100, 10)
    text = b"".join(parts)

    def outcome(body: ChunkedBody, step: int) -> object:
        buffer = bytearray()
        try:
            for at in range(0, len(text), step):
                buffer += text[at : at + step]
                if body.feed(buffer):
                    return bytes(body.data)
        except ProxyError as error:
            return error.status
        return None

    assert outcome(whole, max(1, len(text))) == outcome(split, 1)
