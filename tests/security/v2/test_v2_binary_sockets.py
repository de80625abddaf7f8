"""Binary tensors, compressed and large bodies over real sockets, the same on both ports."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from typing import Any

import pytest
from v2_rig import Client, Reply, Rig, infer_body, request

NAN_ROW = struct.pack("<4I", 0x7FC00001, 0xFFC12345, 0x7F800000, 0x80000000)


def ask(port: int, data: bytes) -> Reply:
    with Client(port) as client:
        client.send(data)
        return client.read()


def framed(raw: bytes, json_bytes: Any = None, size: int | None = None, **more: Any) -> bytes:
    size = len(raw) if size is None else size
    item = {"name": "x", "shape": [len(raw) // 16, 4], "datatype": "FP32", "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [item], **more}).encode()
    headers = {
        "Inference-Header-Content-Length": str(len(head)) if json_bytes is None else json_bytes,
        "Content-Type": "application/octet-stream",
    }
    return request(body=head + raw, headers=headers)


def raw_output(reply: Reply) -> tuple[dict[str, Any], bytes]:
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/octet-stream"
    at = int(reply.headers["inference-header-content-length"])
    return json.loads(reply.body[:at]), reply.body[at:]


def test_r18_r19_bits_go_through_unchanged_at_every_alignment(port: int) -> None:
    for padding in range(8):
        wish = {"id": "p" * padding, "parameters": {"binary_data_output": True}}
        head, raw = raw_output(ask(port, framed(NAN_ROW * 3, **wish)))
        assert raw == NAN_ROW * 3
        assert head["outputs"] == [
            {"name": "y", "datatype": "FP32", "shape": [3, 4], "parameters": {"binary_data_size": 48}}
        ]


def test_binary_in_and_json_out_and_the_other_way_round(port: int) -> None:
    raw = struct.pack("<4f", 1, 2, 3, 4)
    assert ask(port, framed(raw)).json["outputs"][0]["data"] == [1, 2, 3, 4]
    out = [{"name": "y", "parameters": {"binary_data": True}}]
    assert raw_output(ask(port, request(body=infer_body([1, 2, 3, 4], outputs=out))))[1] == raw


def test_json_cannot_carry_what_is_not_finite(port: int) -> None:
    reply = ask(port, framed(NAN_ROW))
    assert reply.status == 500
    assert "not finite" in reply.error


def test_a_raw_request_is_answered_raw(port: int) -> None:
    headers = {"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"}
    head, raw = raw_output(ask(port, request(body=NAN_ROW, headers=headers)))
    assert (raw, head["outputs"][0]["shape"]) == (NAN_ROW, [1, 4])
    assert ask(port, request(body=NAN_ROW * 2, headers=headers)).status == 400
    assert ask(port, request(body=b"", headers=headers)).status == 400


@pytest.mark.parametrize("value", ["-1", "0", "+5", "0x10", "5 5", "", "2", "300", "99999999999", "9" * 30])
def test_r14_wrong_lengths_of_the_json_part_are_refused(port: int, value: str) -> None:
    assert ask(port, framed(NAN_ROW, json_bytes=value)).status == 400


def test_r14_two_headers_are_refused_even_if_they_agree(port: int) -> None:
    whole = framed(NAN_ROW)
    line = next(line for line in whole.split(b"\r\n") if line.startswith(b"Inference"))
    assert ask(port, whole.replace(line, line + b"\r\n" + line, 1)).status == 400


@pytest.mark.parametrize("size", [0, 15, 17, -1, 2**63])
def test_r15_wrong_sizes_are_refused(port: int, size: int) -> None:
    assert ask(port, framed(NAN_ROW, size=size)).status == 400


@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_r20_compressed_bodies_are_read_within_bounds(port: int, coding: str, compress: Any) -> None:
    good = compress(infer_body([1, 2, 3, 4]))
    headers = {"Content-Encoding": coding}
    assert ask(port, request(body=good, headers=headers)).json["outputs"][0]["data"] == [1, 2, 3, 4]
    assert ask(port, request(body=good[:-1], headers=headers)).status == 400
    assert ask(port, request(body=good + b"x", headers=headers)).status == 400
    assert ask(port, request(body=compress(good), headers=headers)).status == 400
    assert ask(port, request(body=infer_body([1, 2, 3, 4]), headers=headers)).status == 400
    assert ask(port, request(body=compress(b" " * 40_000_000), headers=headers)).status == 413


def test_a_compressed_body_may_hold_raw_tensors(port: int) -> None:
    head, _, body = framed(NAN_ROW, parameters={"binary_data_output": True}).partition(b"\r\n\r\n")
    packed = gzip.compress(body)
    head = head.replace(b"Content-Length: %d" % len(body), b"Content-Length: %d" % len(packed), 1)
    assert b"Content-Length: %d\r\n" % len(packed) in head
    reply = ask(port, head + b"\r\nContent-Encoding: gzip\r\n\r\n" + packed)
    assert raw_output(reply)[1] == NAN_ROW


def test_a_large_json_body_is_read_beside_the_loop_and_answered_rightly(port: int) -> None:
    rows = 20_000
    row = [1.25, -2.5, 3.0, -0.0]
    reply = ask(port, request(body=infer_body(*[row] * rows)))
    assert reply.json["outputs"][0]["shape"] == [rows, 4]
    assert reply.json["outputs"][0]["data"] == row * rows


def test_a_client_that_leaves_while_its_large_body_is_read_takes_it_back(rig: Rig, port: int) -> None:
    body = infer_body(*[[1.0, 2.0, 3.0, 4.0]] * 50_000)
    with Client(port) as client:
        client.send(request(body=body))
    # The next one is answered, if not before the first one's leaving was seen; `still_serves` looks for what is left.
    for _ in range(100):
        reply = ask(port, request(body=body))
        if reply.status == 200:
            return
        assert (reply.status, "queue" in reply.error) == (503, True)
    pytest.fail("the first request was never taken back")


def test_a_large_answer_in_json_is_written_beside_the_loop(port: int) -> None:
    raw = struct.pack("<4f", 0.5, 1.5, 2.5, 3.5) * 100_000
    reply = ask(port, framed(raw))
    assert reply.json["outputs"][0]["data"] == [0.5, 1.5, 2.5, 3.5] * 100_000


def test_a_request_may_ask_where_its_time_went(port: int) -> None:
    reply = ask(port, request(body=infer_body(), headers={"X-Dlproxy-Timing": "1"}))
    parts = dict(part.split(";dur=") for part in reply.headers["server-timing"].split(", "))
    assert list(parts) == ["body", "parse", "queue", "batch", "input", "compute", "output", "write", "total"]
    times = [float(ms) for ms in parts.values()]
    assert all(ms >= 0 for ms in times)
    rounding_ms = 0.0005 * len(times)
    assert sum(times[:4]) + times[-2] <= times[-1] + rounding_ms
    assert "server-timing" not in ask(port, request(body=infer_body())).headers
