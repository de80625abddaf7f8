"""One connection, without a socket: how the bytes are cut does not change what is answered; noise is never a fault."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.core.errors import ProxyError
from proxy.core.principals import Principal
from proxy.core.requests import Answer
from proxy.core.snapshot import EMPTY_SNAPSHOT
from proxy.endpoint.connection import Connection
from proxy.endpoint.listener import InferenceServer
from proxy.protocol import v2_errors
from proxy.testing.clock import ManualClock


class Call:
    max_body_bytes = 200
    arrival_ns = 0


class Echo:
    """A pipeline that gives the body back, at once or when told to."""

    snapshot = EMPTY_SNAPSHOT

    def __init__(self, *, late: bool) -> None:
        self.late = late
        self.waiting: list = []
        self.cancelled = 0

    def open(self, *_: object) -> Call:
        return Call()

    def authenticate(self, _: bytes | None) -> Principal:
        return Principal("p", "p")

    def run(self, _: object, body: bytes, respond, form=None):
        answer = Answer(200, json.dumps(bytes(body).decode("latin-1")).encode())
        if not self.late:
            respond(answer)
            return None
        self.waiting.append((respond, answer))
        return self.cancel

    def cancel(self) -> None:
        self.cancelled += 1

    def refuse(self, error: ProxyError, *_: object) -> Answer:
        return v2_errors.encode(error, "r-1")

    def is_live(self) -> bool:
        return True

    is_ready = is_live


class Transport:
    def __init__(self) -> None:
        self.sent = b""
        self.ended = self.paused = False

    def write(self, data: bytes) -> None:
        assert not self.ended
        self.sent += data

    def write_eof(self) -> None:
        self.ended = True

    close = abort = write_eof

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def talk(pieces: list[bytes], *, late: bool) -> tuple[bytes, bool]:
    line = Echo(late=late)
    server = InferenceServer(line, ManualClock())  # type: ignore[arg-type]
    connection, transport = Connection(server), Transport()
    connection.connection_made(transport)  # type: ignore[arg-type]
    for piece in pieces:
        connection.data_received(piece)
        while line.waiting:
            respond, answer = line.waiting.pop(0)
            respond(answer)
            respond(answer)  # a second answer to the same request goes nowhere
    connection.connection_lost(None)
    assert server.statistics() == {"connections": 0}
    return transport.sent, transport.ended


HEAD = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BODIES = st.binary(max_size=30)


def by_length(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def by_chunks(body: bytes) -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(body[i : i + 7]), body[i : i + 7]) for i in range(0, len(body), 7))
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


REQUESTS = st.one_of(
    BODIES.map(by_length),
    BODIES.map(by_chunks),
    st.just(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"),
    st.just(b"GET /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"),
    st.just(by_length(b"x" * 201)),
)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({p % (len(stream) + 1) for p in places} | {len(stream)})
    return [stream[a:b] for a, b in zip([0, *ends], ends, strict=False)]


@given(st.lists(REQUESTS, max_size=6), st.lists(st.integers(0, 5_000), max_size=20), st.booleans())
def test_answers_do_not_depend_on_how_the_bytes_are_cut(requests: list[bytes], places: list[int], late: bool) -> None:
    stream = b"".join(requests)
    whole, pieces = talk([stream], late=False), talk(cut(stream, places), late=late)
    assert whole == pieces
    assert whole[0].count(b"\r\ncontent-length: ") == len(requests)  # no body that comes back holds a line end


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(REQUESTS, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 3), st.binary(max_size=6)), max_size=4),
    st.lists(st.integers(0, 5_000), max_size=5),
)
def test_noise_in_a_stream_is_answered_or_refused_and_never_a_fault(
    caplog: pytest.LogCaptureFixture, requests: list[bytes], edits: list, places: list[int]
) -> None:
    stream = b"".join(requests)
    for place, dropped, noise in edits:
        at = place % (len(stream) + 1)
        stream = stream[:at] + noise + stream[at + dropped :]
    with caplog.at_level(logging.ERROR):
        sent, ended = talk(cut(stream, places), late=False)
    assert not caplog.records
    assert b"HTTP/1.1 5" not in sent
    if b"HTTP/1.1 400" in sent and b"connection: close" in sent:
        assert ended


def test_a_client_that_leaves_cancels_exactly_its_request() -> None:
    line = Echo(late=True)
    server = InferenceServer(line, ManualClock())  # type: ignore[arg-type]
    connection, transport = Connection(server), Transport()
    connection.connection_made(transport)  # type: ignore[arg-type]
    connection.data_received(by_length(b"1") + by_length(b"2"))
    assert len(line.waiting) == 1
    connection.connection_lost(None)
    assert line.cancelled == 1
    respond, answer = line.waiting[0]
    respond(answer)
    assert transport.sent == b""
