"""A key that sends more than it may is refused on both ports, before its body is read and whatever it asks for."""

from __future__ import annotations

import pytest
from v2_rig import LIMITED_KEY, Client, infer_body, request

GOOD = infer_body([1, 2, 3, 4])
UNSENT_BYTES = 1 << 20
LIMITED: dict[str, str | None] = {"Authorization": f"Bearer {LIMITED_KEY}"}


def head_only(target: str = "/v2/models/echo/infer", key: str = LIMITED_KEY) -> bytes:
    """A request's head that promises a body; none is sent."""
    return (
        f"POST {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {UNSENT_BYTES}\r\n\r\n"
    ).encode()


def spend(port: int) -> None:
    """Send until the key has nothing left."""
    for _ in range(50):
        with Client(port) as client:
            client.send(request(body=GOOD, headers=LIMITED))
            reply = client.read()
            if reply.status == 429:
                return
            assert reply.status == 200
    pytest.fail("50 requests passed where 1 a second may")


def test_a_key_that_floods_is_answered_429_with_a_time_to_return(port: int) -> None:
    spend(port)
    with Client(port) as client:
        client.send(request(body=GOOD, headers=LIMITED))
        reply = client.read()
    assert reply.status == 429
    assert int(reply.headers["retry-after"]) >= 1
    assert "1 requests a second" in reply.json["error"]


@pytest.mark.parametrize("target", ["/v2/models/echo/infer", "/v2/models/nosuch/infer"])
def test_its_body_is_not_read(port: int, target: str) -> None:
    spend(port)
    with Client(port) as client:
        client.send(head_only(target))
        assert client.read().status == 429


def test_another_keys_requests_pass_meanwhile(port: int) -> None:
    spend(port)
    with Client(port) as client:
        client.send(request(body=GOOD))
        assert client.read().status == 200
