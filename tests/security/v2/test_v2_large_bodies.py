"""Bodies long enough to be received into their place: whole, cut, too slow, left, and with the next request behind."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from v2_rig import NO_SECOND, Client, Rig, infer_body, request

from proxy.endpoint import connection

PADDING = b" " * 600_000
PIECE = 77_777
SMALL = request(body=infer_body([1, 2, 3, 4]))


@pytest.fixture(autouse=True)
def received_into_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies that a test can afford count as large."""
    monkeypatch.setattr(connection, "LARGE_BYTES", 262_144)


def large(value: float) -> bytes:
    """A request whose body is mostly blanks."""
    return request(body=infer_body([value, 2, 3, 4]) + PADDING)


def first_value(body: bytes) -> Any:
    return json.loads(body)["outputs"][0]["data"][0]


def until(condition: Callable[[], Any]) -> None:
    """Wait for what the server's thread is about to do."""
    end_s = time.monotonic() + NO_SECOND
    while not condition():
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def still(rig: Rig) -> Iterator[Any]:
    """A listener whose clock moves only when a test moves it."""
    server = rig.listener(sweep_interval_s=3_600.0)
    yield server
    rig.run(server.drain(1.0))


def test_a_large_body_is_whole_and_the_next_requests_are_answered(rig: Rig) -> None:
    with Client(rig.inference_port) as client:
        for value in (1.5, 2.5, 3.5):
            client.send(large(value) + SMALL + SMALL)
            replies = [client.read() for _ in range(3)]
            assert [reply.status for reply in replies] == [200, 200, 200]
            assert [first_value(reply.body) for reply in replies] == [value, 1.0, 1.0]


def test_a_large_body_in_pieces_is_the_same(rig: Rig) -> None:
    data = large(4.5)
    with Client(rig.inference_port) as client:
        for at in range(0, len(data), PIECE):
            client.send(data[at : at + PIECE])
        assert first_value(client.read().body) == 4.5


def test_a_large_body_that_was_invited_is_read(rig: Rig) -> None:
    head, _, body = large(5.5).partition(b"\r\n\r\n")
    with Client(rig.inference_port) as client:
        client.send(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert client.socket.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(body)
        assert first_value(client.read().body) == 5.5


@pytest.mark.parametrize("sent", [0, 10, 300_000])
def test_r24_a_large_body_that_stops_is_answered_408_and_closed(rig: Rig, still: Any, sent: int) -> None:
    data = large(1.0)
    head = data.index(b"\r\n\r\n") + 4
    with Client(still.taken_port) as client:
        client.send(data[: head + sent])
        until(lambda: still._connections)
        (connection,) = still._connections
        until(lambda: rig.call(lambda: connection._patience.received_bytes) == sent and connection.exchange)
        rig.call(lambda: still.sweep(still.now_s + 300.0))
        assert client.read().status == 408
        assert client.is_closed_by_server()


def test_a_client_that_leaves_in_a_large_body_leaves_nothing(rig: Rig, still: Any) -> None:
    for _ in range(3):
        with Client(still.taken_port) as client:
            client.send(large(1.0)[:300_000])
            until(lambda: still._connections)
        until(lambda: not still._connections)
    with Client(still.taken_port) as client:
        client.send(SMALL)
        assert client.read().status == 200
