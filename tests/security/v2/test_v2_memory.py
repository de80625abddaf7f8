"""What an answered request leaves behind: nothing that waits for the garbage collector."""

from __future__ import annotations

import gc

import pytest
from v2_rig import IN_PROCESS, Client, Rig, infer_body, request

REQUESTS = 300


@pytest.mark.skipif(not IN_PROCESS, reason="the instances' own channel is not the question here")
@pytest.mark.parametrize("values", [[[1.0, 2.0, 3.0, 4.0]], [[float(i), 0.0, 0.0, 0.0] for i in range(64)]])
def test_an_answered_request_is_freed_at_once_and_holds_no_body_until_a_collection(
    rig: Rig, values: list[list[float]]
) -> None:
    data = request(body=infer_body(*values))
    with Client(rig.inference_port) as client:
        client.send(data)
        assert client.read().status == 200
        gc.collect()
        gc.disable()
        try:
            for _ in range(REQUESTS):
                client.send(data)
                assert client.read().status == 200
            unreachable = gc.collect()
        finally:
            gc.enable()
    assert unreachable < REQUESTS / 10, f"{unreachable} objects waited for the collector"
