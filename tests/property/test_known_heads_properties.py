"""A head recognised by its bytes means what it meant when it was read; whatever follows it is framed as ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_connection_properties import BODIES, HEAD, REQUESTS, Echo, Transport, by_chunks, by_length, talk

from proxy.endpoint.connection import Connection
from proxy.endpoint.listener import InferenceServer
from proxy.testing.clock import ManualClock

EXPECTING = HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"


class Wire:
    """A connection whose answers are read piece by piece."""

    def __init__(self, server: InferenceServer | None = None, *, late: bool = False) -> None:
        self.line = Echo(late=late)
        self.server = server or InferenceServer(self.line, ManualClock())  # type: ignore[arg-type]
        self.transport = Transport()
        self.connection = Connection(self.server)
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def send(self, data: bytes) -> bytes:
        self.transport.sent = b""
        self.connection.data_received(data)
        return self.transport.sent


@given(st.lists(REQUESTS, max_size=8), st.booleans())
def test_requests_that_come_whole_are_answered_as_in_one_stream(requests: list[bytes], late: bool) -> None:
    twice = [request for request in requests for _ in range(2)]
    assert talk(twice, late=late) == talk([b"".join(twice)], late=False)


@given(BODIES, BODIES, st.integers(0, 60))
def test_a_known_head_with_more_or_fewer_bytes_behind_it_is_cut_where_it_says(
    first: bytes, body: bytes, at: int
) -> None:
    known = by_length(first)
    stream = known + by_length(body)
    split = len(known) + at % (len(stream) - len(known) + 1)
    assert talk([known, known, stream[:split], stream[split:]], late=False) == talk([known * 2 + stream], late=False)


def test_a_body_that_holds_a_request_is_a_body() -> None:
    inner = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    wire = Wire()
    for _ in range(3):
        sent = wire.send(by_length(inner))
        assert sent.count(b"HTTP/1.1 200 OK") == 1
        assert sent.endswith(b'"GET /v2/health/live HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"')


def test_another_length_under_the_same_beginning_is_another_head() -> None:
    wire = Wire()
    wire.send(by_length(b"12"))
    wire.send(by_length(b"12"))
    assert wire.send(by_length(b"123456789")).endswith(b'"123456789"')
    assert wire.send(by_length(b"12")).endswith(b'"12"')


@pytest.mark.parametrize("request_bytes", [EXPECTING + b"{}", by_chunks(b"abc")])
def test_heads_that_ask_for_more_than_a_length_take_the_general_way(request_bytes: bytes) -> None:
    wire = Wire()
    for _ in range(3):
        assert wire.send(request_bytes).count(b"HTTP/1.1 200") == 1
        assert wire.connection._last is None


def test_a_refused_head_is_refused_each_time() -> None:
    bad = HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"
    server = Wire().server
    for _ in range(3):
        wire = Wire(server)
        assert wire.send(bad).startswith(b"HTTP/1.1 400")
        assert wire.transport.ended
    assert not server._heads


def test_what_a_known_head_may_is_asked_each_time() -> None:
    asked = []
    wire = Wire()
    wire.line.open = lambda *head: asked.append(head) or Echo.open(wire.line)  # type: ignore[method-assign,func-returns-value]
    for _ in range(3):
        wire.send(by_length(b"1"))
    assert len(asked) == 3


def test_a_second_request_waits_for_the_first_ones_answer() -> None:
    wire = Wire(late=True)
    wire.send(by_length(b"1"))
    wire.send(by_length(b"1"))
    assert len(wire.line.waiting) == 1
    respond, answer = wire.line.waiting.pop()
    respond(answer)
    assert len(wire.line.waiting) == 1
    respond, answer = wire.line.waiting.pop()
    respond(answer)
    assert wire.transport.sent.count(b"HTTP/1.1 200") == 2


def test_a_client_that_leaves_takes_a_whole_request_back() -> None:
    wire = Wire(late=True)
    wire.send(by_length(b"1"))
    wire.connection.connection_lost(None)
    assert wire.line.cancelled == 1


def test_a_fault_on_the_short_way_is_one_answer_and_the_end() -> None:
    wire = Wire()
    wire.send(by_length(b"1"))
    wire.line.run = lambda *_: 1 / 0  # type: ignore[assignment]
    assert wire.send(by_length(b"1")).startswith(b"HTTP/1.1 500")
    assert wire.transport.ended
