"""Attacks on HTTP framing and patience, on the inference port's own protocol."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
from v2_rig import COLUMNS, IN_PROCESS, KEY, NO_SECOND, RESTRICTED_KEY, Client, Rig, infer_body, request

GOOD = infer_body([1, 2, 3, 4])
HEADERS = f"Host: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n".encode()
POST = b"POST /v2/models/echo/infer HTTP/1.1\r\n" + HEADERS
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n\r\n" % len(GOOD)
holds_executions = pytest.mark.skipif(not IN_PROCESS, reason="instance processes cannot be held")


def until(condition: Callable[[], Any]) -> None:
    """Wait for what another thread is about to do; fails when it does not."""
    end_s = time.monotonic() + NO_SECOND
    while not condition():
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(0.005)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def refused(port: int, data: bytes, status: int = 400) -> str:
    """The words of the refusal, after which the server closes."""
    with Client(port) as client:
        client.send(data)
        reply = client.read()
        assert reply.status == status, reply
        assert reply.headers["connection"] == "close"
        assert client.is_closed_by_server()
        return reply.error


@pytest.mark.parametrize(
    "data",
    [
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        POST + b"Content-Length: 5, 5\r\n\r\nhello",
        POST + b"Content-Length: +5\r\n\r\nhello",
        POST + b"Content-Length: -5\r\n\r\nhello",
        POST + b"Content-Length: 0x5\r\n\r\nhello",
        POST + b"Content-Length: 5 5\r\n\r\nhello",
        POST + b"Content-Length: 5.0\r\n\r\nhello",
        POST + b"Content-Length: \xb2\r\n\r\nhello",
        POST + b"Content-Length:\r\n\r\nhello",
        POST + b"Content-Length: 99999999999999999999\r\n\r\nhello",
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: identity\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding\r\n : chunked\r\n\r\n0\r\n\r\n",
        POST + b"X: a\r\n folded\r\n" + LENGTH + GOOD,
        POST + b"X: a\r\n\tfolded\r\n" + LENGTH + GOOD,
        POST + b" X: a\r\n" + LENGTH + GOOD,
        POST + b": a\r\n" + LENGTH + GOOD,
        POST + b"no colon\r\n" + LENGTH + GOOD,
        POST + b"X: a\0b\r\n" + LENGTH + GOOD,
        POST + b"X: a\rb\r\n" + LENGTH + GOOD,
        POST + b"X: a\nY: b\r\n" + LENGTH + GOOD,
        POST + b"X\xff: a\r\n" + LENGTH + GOOD,
        POST + b"X(: a\r\n" + LENGTH + GOOD,
        POST.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n",
        POST + b"Content-Length: 0\r\n\n",
        POST + b"Host: y\r\n" + LENGTH + GOOD,
        POST + b"host: x\r\n" + LENGTH + GOOD,
        POST + b"Content-Type: application/json\r\n" + LENGTH + GOOD,
        POST + f"Authorization: Bearer {RESTRICTED_KEY}\r\n".encode() + LENGTH + GOOD,
        POST.replace(b"Host: x\r\n", b"") + LENGTH + GOOD,
        POST.replace(b"Host: x", b"Host:") + LENGTH + GOOD,
        POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Expect: 200-ok\r\n" + LENGTH + GOOD,
    ],
)
def test_r19_heads_with_two_readings_are_refused_and_the_connection_closed(rig: Rig, data: bytes) -> None:
    refused(rig.inference_port, data)


@pytest.mark.parametrize(
    "line",
    [
        b"GET /v2 HTTP/2.0",
        b"GET /v2 HTTP/1.2",
        b"GET /v2 HTTP/0.9",
        b"GET /v2 HTTP/1.10",
        b"GET /v2 http/1.1",
        b"GET /v2 HTTP/1.1 ",
        b"GET  /v2 HTTP/1.1",
        b"GET /v2",
        b"GET",
        b"get /v2 HTTP/1.1",
        b" GET /v2 HTTP/1.1",
        b"\r\nGET /v2 HTTP/1.1",
        b"GET http://x/v2 HTTP/1.1",
        b"GET https://evil.example/v2 HTTP/1.1",
        b"GET x:443 HTTP/1.1",
        b"GET v2 HTTP/1.1",
        b"GET /v2#x HTTP/1.1",
        b"GET /v 2 HTTP/1.1",
        b"GET /v\t2 HTTP/1.1",
        b"GET /v2\0 HTTP/1.1",
        b"GET\t/v2\tHTTP/1.1",
        b"PRI * HTTP/2.0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00",
        b"A" * 21 + b" /v2 HTTP/1.1",
    ],
)
def test_r19_other_request_lines_are_refused(rig: Rig, line: bytes) -> None:
    refused(rig.inference_port, line + b"\r\nHost: x\r\n\r\n")


def test_r31_connect_is_answered_405(rig: Rig) -> None:
    with Client(rig.inference_port) as client:
        client.send(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.read().status in (400, 405)


def test_an_offer_to_switch_protocols_is_ignored(rig: Rig) -> None:
    with Client(rig.inference_port) as client:
        offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQ"}
        client.send(request(body=GOOD, headers=offer) * 2)
        assert [client.read().status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("padding", [4_040, 4_096, 5_000, 20_000, 200_000])
def test_r23_a_long_request_line_is_refused(rig: Rig, padding: int) -> None:
    data = request("GET", "/v2?" + "a" * padding)
    if padding < 4_092:
        with Client(rig.inference_port) as client:
            client.send(data)
            assert client.read().status == 200
    else:
        refused(rig.inference_port, data, 414)


@pytest.mark.parametrize("count", [60, 62, 63, 1_000, 5_000])
def test_r23_header_count_is_bounded(rig: Rig, count: int) -> None:
    data = request("GET", "/v2", headers={f"X{i}": "1" for i in range(count)})
    if count + 2 <= 64:
        with Client(rig.inference_port) as client:
            client.send(data)
            assert client.read().status == 200
    else:
        refused(rig.inference_port, data, 431)


@pytest.mark.parametrize("size", [15_000, 16_384, 65_536, 1_000_000])
def test_r23_header_bytes_are_bounded(rig: Rig, size: int) -> None:
    data = request("GET", "/v2", headers={"X": "a" * size})
    if size < 16_000:
        with Client(rig.inference_port) as client:
            client.send(data)
            assert client.read().status == 200
    else:
        refused(rig.inference_port, data, 431)


def test_a_request_may_come_byte_by_byte(rig: Rig) -> None:
    for data in (POST + LENGTH + GOOD, CHUNKED + chunk(GOOD[:7]) + chunk(GOOD[7:]) + b"0\r\n\r\n"):
        with Client(rig.inference_port) as client:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in data:
                client.send(bytes([byte]))
            assert client.read().status == 200


@pytest.mark.parametrize("sizes", [[1], [7, 1, 100], [len(GOOD)], [16]])
def test_r21_chunked_bodies_are_read(rig: Rig, sizes: list[int]) -> None:
    parts, at = b"", 0
    for turn in range(len(GOOD)):
        piece = GOOD[at : at + sizes[turn % len(sizes)]]
        parts += chunk(piece) if piece else b""
        at += len(piece)
    with Client(rig.inference_port) as client:
        client.send((CHUNKED + parts + b"0\r\n\r\n") * 3)
        assert [client.read().json["outputs"][0]["data"] for _ in range(3)] == [[1, 2, 3, 4]] * 3


@pytest.mark.parametrize(
    "data",
    [
        b"-1\r\nx\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"FFFFFFFFFFFFFFFF\r\nhello",
        b"100000000\r\nhello",
        b"5;ext=1\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"zz\r\n",
        b"0\r\nTrailer: x\r\n\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"\xff\xff\r\n",
        b"5_0\r\nhello",
    ],
)
def test_r21_chunks_that_can_be_read_in_two_ways_are_refused(rig: Rig, data: bytes) -> None:
    refused(rig.inference_port, CHUNKED + data)


def test_r21_a_chunk_that_claims_more_than_the_cap_is_refused_before_it_is_sent(rig: Rig) -> None:
    assert "67108864" in refused(rig.inference_port, CHUNKED + b"FFFFFFFF\r\nx", 413)


def test_r21_a_million_chunks_of_one_byte_are_refused(rig: Rig) -> None:
    with Client(rig.inference_port) as client:
        client.send(CHUNKED)
        data = b"1\r\n \r\n" * 10_000
        try:
            for _ in range(100):
                client.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        reply = client.read()
    assert reply.status == 400
    assert "too many chunks" in reply.error


def test_a_body_over_the_cap_is_refused_early_and_the_connection_closed(rig: Rig) -> None:
    refused(rig.inference_port, POST + b"Content-Length: 67108865\r\n\r\n", 413)


def test_a_refused_short_body_is_dropped_and_the_connection_kept(rig: Rig) -> None:
    with Client(rig.inference_port) as client:
        client.send(request(body=GOOD, headers={"Authorization": None}) + request(body=GOOD))
        assert [client.read().status for _ in range(2)] == [401, 200]
        client.send(request("GET", "/v2", body=b"not wanted") + request(body=GOOD))
        assert [client.read().status for _ in range(2)] == [200, 200]


def test_a_refused_long_body_costs_the_connection(rig: Rig) -> None:
    with Client(rig.inference_port) as client:
        client.send(request(headers={"Authorization": None, "Content-Length": "1000000"}) + b"x" * 1_000_000)
        reply = client.read()
        assert (reply.status, reply.headers["connection"]) == (401, "close")


def test_a_client_that_asks_first_is_invited_to_send_its_body(rig: Rig) -> None:
    with Client(rig.inference_port) as client:
        client.send(POST + b"Expect: 100-continue\r\n" + LENGTH)
        assert client.read().status == 100
        client.send(GOOD)
        assert client.read().status == 200


def test_a_client_that_asks_first_and_is_refused_sends_nothing(rig: Rig) -> None:
    denied = POST.replace(b"Bearer dlp", b"Bearer xxx")
    assert "API key" in refused(rig.inference_port, denied + b"Expect: 100-continue\r\n" + LENGTH, 401)


def test_http_1_0_is_answered_and_closed_unless_it_asks_to_stay(rig: Rig) -> None:
    old = request(body=GOOD, version="1.0")
    with Client(rig.inference_port) as client:
        client.send(old)
        assert client.read().headers["connection"] == "close"
        assert client.is_closed_by_server()
    with Client(rig.inference_port) as client:
        for _ in range(2):
            client.send(request(body=GOOD, version="1.0", headers={"Connection": "keep-alive", "Host": None}))
            assert client.read().headers["connection"] == "keep-alive"


def test_connection_close_is_honoured(rig: Rig) -> None:
    with Client(rig.inference_port) as client:
        client.send(request(body=GOOD, headers={"Connection": "close"}))
        assert client.read().headers["connection"] == "close"
        assert client.is_closed_by_server()


def test_a_head_request_gets_no_body_and_the_next_answer_is_not_mixed_up(rig: Rig) -> None:
    with Client(rig.inference_port) as client:
        client.send(request("HEAD", "/v2") + request(body=GOOD))
        assert client.read(to_head=True).status == 405
        assert client.read().json["outputs"][0]["data"] == [1, 2, 3, 4]


def test_r33_ten_thousand_pipelined_requests_are_answered_in_order(rig: Rig) -> None:
    with Client(rig.inference_port) as client:
        client.socket.settimeout(60)
        sent = 0
        for first in range(0, 10_000, 500):
            batch = b""
            for number in range(first, first + 500):
                bad = number % 7 == 3
                body = b"{}" if bad else infer_body([number, 0, 0, 0], id=str(number))
                batch += request(body=body)
            client.send(batch)
            for number in range(first, first + 500):
                reply = client.read()
                sent += 1
                if number % 7 == 3:
                    assert reply.status == 400
                else:
                    assert (reply.json["id"], reply.json["outputs"][0]["data"][0]) == (str(number), number)
        assert sent == 10_000


@holds_executions
def test_r33_a_client_that_sends_far_ahead_is_not_read_without_limit(rig: Rig) -> None:
    rig.call(rig.group().hold)
    data = request(body=infer_body([5, 5, 5, 5]))
    with Client(rig.inference_port) as client:
        client.socket.settimeout(0.3)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 64 * 2**20:
                sent += client.socket.send(data * 100)
        assert sent < 32 * 2**20  # the kernel's buffers and one bounded buffer of ours
        client.socket.settimeout(NO_SECOND)
        assert rig.lane().in_flight + rig.lane().queue_depth == 1
        rig.call(rig.group().release)
        for _ in range(100):
            assert client.read().json["outputs"][0]["data"] == [5, 5, 5, 5]


@holds_executions
@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
def test_r26_a_client_that_leaves_takes_its_queued_request_back(port: int, rig: Rig, how: str) -> None:
    rig.call(rig.group().hold)
    executions = rig.call(lambda: rig.group().all_instances()[0].executions)
    first = Client(rig.inference_port)
    first.send(request(body=infer_body([1, 1, 1, 1])))
    until(lambda: rig.lane().in_flight)
    leaver = Client(port)
    leaver.send(request(body=infer_body([2, 2, 2, 2])))
    until(lambda: rig.lane().queue_depth)
    if how == "reset":
        leaver.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if how == "half-close":
        leaver.socket.shutdown(socket.SHUT_WR)
    else:
        leaver.socket.close()
    until(lambda: not rig.lane().queue_depth)
    rig.call(rig.group().release)
    assert first.read().json["outputs"][0]["data"] == [1, 1, 1, 1]
    first.socket.close()
    leaver.socket.close()
    assert rig.call(lambda: rig.group().all_instances()[0].executions) == executions + 1


@holds_executions
def test_r26_a_client_that_leaves_while_its_request_runs_disturbs_nobody(port: int, rig: Rig) -> None:
    rig.call(rig.group().hold)
    leaver = Client(port)
    leaver.send(request(body=infer_body([2, 2, 2, 2])))
    until(lambda: rig.lane().in_flight)
    leaver.socket.close()
    stayer = Client(port)
    stayer.send(request(body=infer_body([3, 3, 3, 3])))
    until(lambda: rig.lane().queue_depth)
    rig.call(rig.group().release)
    assert stayer.read().json["outputs"][0]["data"] == [3, 3, 3, 3]
    stayer.socket.close()


def test_r26_a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing(port: int, rig: Rig) -> None:
    for cut in range(1, len(POST + LENGTH + GOOD), 23):
        with Client(port) as client:
            client.send((POST + LENGTH + GOOD)[:cut])
    until(lambda: rig.call(rig.runtime.server.statistics)["connections"] == 0)


# Patience: the sweep is driven by hand, so that no test waits for a limit to pass.


def advance(rig: Rig, server: Any, by_s: float) -> None:
    rig.call(lambda: server.sweep(server.now_s + by_s))


@pytest.fixture
def patient(rig: Rig) -> Any:
    """A listener whose clock moves only when a test moves it."""
    server = rig.listener(sweep_interval_s=3_600.0, max_connections=3)
    yield server
    rig.run(server.drain(1.0))


@pytest.mark.parametrize("start", [b"G", b"GET /v2 HTTP/1.1\r\nHost: x\r\n"])
def test_r24_a_slow_head_is_answered_408(rig: Rig, patient: Any, start: bytes) -> None:
    with Client(patient.taken_port) as client:
        client.send(start)
        until(lambda: rig.call(patient.statistics)["connections"] == 1)
        advance(rig, patient, 9.9)
        client.send(b"X")
        time.sleep(0.05)
        advance(rig, patient, 0.2)
        assert client.read().status == 408
        assert client.is_closed_by_server()


def test_r24_a_silent_client_is_closed(rig: Rig, patient: Any) -> None:
    with Client(patient.taken_port) as client:
        until(lambda: rig.call(patient.statistics)["connections"] == 1)
        advance(rig, patient, 10.1)
        assert client.is_closed_by_server()


def test_an_idle_connection_is_closed(rig: Rig, patient: Any) -> None:
    with Client(patient.taken_port) as client:
        client.send(request(body=GOOD))
        assert client.read().status == 200
        advance(rig, patient, 74.9)
        client.send(request(body=GOOD))
        assert client.read().status == 200
        advance(rig, patient, 75.1)
        assert client.is_closed_by_server()


@pytest.mark.parametrize("start", [POST + LENGTH + b"{", CHUNKED + b"5\r\n{"])
def test_r24_a_slow_body_is_answered_408(rig: Rig, patient: Any, start: bytes) -> None:
    with Client(patient.taken_port) as client:
        client.send(start)
        until(lambda: rig.call(patient.statistics)["connections"] == 1)
        advance(rig, patient, 10.2)
        assert client.read().status == 408
        assert client.is_closed_by_server()


def test_r24_a_body_at_a_fair_rate_may_take_its_time(rig: Rig, patient: Any) -> None:
    body = infer_body(*[[1, 2, 3, 4]] * 20_000)
    with Client(patient.taken_port) as client:
        client.send(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body[:200_000])
        until(lambda: rig.call(patient.statistics)["connections"] == 1)
        time.sleep(0.1)
        advance(rig, patient, 40.0)
        client.send(body[200_000:])
        assert client.read().status == 200


def test_r24_a_refused_body_that_never_comes_is_not_waited_for(rig: Rig, patient: Any) -> None:
    with Client(patient.taken_port) as client:
        client.send(request(headers={"Authorization": None, "Content-Length": "100"}))
        assert client.read().status == 401
        advance(rig, patient, 10.2)
        assert client.is_closed_by_server()


def test_r25_a_client_that_does_not_read_is_cut_off(rig: Rig, patient: Any) -> None:
    rows = [[0.123456, 0.234567, 0.345678, 0.456789]] * 20_000
    body = infer_body(*rows)
    with Client(patient.taken_port) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        data = request(body=body)
        client.socket.settimeout(0.5)
        with pytest.raises((TimeoutError, ConnectionResetError, BrokenPipeError)):
            for _ in range(20):
                client.send(data)
        (connection,) = patient._connections
        until(lambda: connection._outlet.is_blocked)
        advance(rig, patient, 19.0)
        assert rig.call(patient.statistics)["connections"] == 1
        advance(rig, patient, 60.0)
        until(lambda: rig.call(patient.statistics)["connections"] == 0)


def test_r24_connections_beyond_the_cap_are_told_to_come_back(rig: Rig, patient: Any) -> None:
    held = [Client(patient.taken_port) for _ in range(3)]
    for client in held:
        client.send(request("GET", "/v2"))
        assert client.read().status == 200
    with Client(patient.taken_port) as extra:
        reply = extra.read()
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert extra.is_closed_by_server()
    held.pop().socket.close()
    until(lambda: rig.call(patient.statistics)["connections"] == 2)
    with Client(patient.taken_port) as client:
        client.send(request(body=GOOD))
        assert client.read().status == 200
    for client in held:
        client.socket.close()


@holds_executions
def test_a_drain_answers_what_runs_closes_what_idles_and_accepts_no_more(rig: Rig) -> None:
    server = rig.listener()
    rig.call(rig.group().hold)
    idle, busy = Client(server.taken_port), Client(server.taken_port)
    idle.send(request("GET", "/v2"))
    assert idle.read().status == 200
    busy.send(request(body=infer_body([6, 6, 6, 6])))
    until(lambda: rig.lane().in_flight)
    import asyncio

    draining = asyncio.run_coroutine_threadsafe(server.drain(NO_SECOND), rig.loop)
    assert idle.is_closed_by_server()
    with pytest.raises(OSError):
        Client(server.taken_port).read()
    rig.call(rig.group().release)
    reply = busy.read()
    assert (reply.status, reply.headers["connection"]) == (200, "close")
    assert busy.is_closed_by_server()
    draining.result(NO_SECOND)
    for client in (idle, busy):
        client.socket.close()


def test_f23_a_draining_server_answers_what_an_idle_connection_was_about_to_send(rig: Rig) -> None:
    import asyncio

    server = rig.listener(drain_grace_s=NO_SECOND)
    with Client(server.taken_port) as client:
        client.send(request("GET", "/v2"))
        assert client.read().status == 200
        draining = asyncio.run_coroutine_threadsafe(server.drain(NO_SECOND), rig.loop)
        until(lambda: server.draining)
        client.send(request(body=infer_body([5, 5, 5, 5])))
        reply = client.read()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert client.is_closed_by_server()
    draining.result(NO_SECOND)


@holds_executions
def test_a_drain_ends_at_its_limit(rig: Rig) -> None:
    server = rig.listener()
    rig.call(rig.group().hold)
    busy = Client(server.taken_port)
    busy.send(request(body=infer_body([6, 6, 6, 6])))
    until(lambda: rig.lane().in_flight)
    rig.run(server.drain(0.05))
    assert busy.is_closed_by_server()
    rig.call(rig.group().release)
    busy.socket.close()
    assert rig.call(server.statistics)["connections"] == 0


def test_an_identical_head_keeps_its_meaning_when_the_key_is_revoked(rig: Rig) -> None:
    pipeline = rig.runtime.pipeline
    before = pipeline.snapshot
    with Client(rig.inference_port) as client:
        client.send(request(body=GOOD))
        assert client.read().status == 200

        def revoke() -> None:
            from dataclasses import replace

            pipeline.snapshot = replace(before, keys={})

        rig.call(revoke)
        client.send(request(body=GOOD))
        assert client.read().status == 401
        rig.call(lambda: setattr(pipeline, "snapshot", before))
        client.send(request(body=GOOD))
        assert client.read().status == 200


def test_a_thousand_repeats_of_a_refusal_cost_no_memory(rig: Rig) -> None:
    import psutil

    bad = request(body=json.dumps({"inputs": [{"name": "x", "shape": [2**62, COLUMNS]}]}).encode())
    process = psutil.Process()
    with Client(rig.inference_port) as client:
        for turn in range(2_000):
            if turn == 1_000:
                before = process.memory_info().rss
            client.send(bad)
            assert client.read().status == 400
    assert process.memory_info().rss - before < 20 * 2**20
