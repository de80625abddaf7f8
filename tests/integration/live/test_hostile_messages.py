"""What a page may send: small, rare, known. Nothing that it sends changes anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from live_cast import report

from models_admin.live import consumer, limits
from models_admin.live.publisher import Publisher

Make = Callable[..., WebsocketCommunicator]


@pytest.fixture
async def one(socket: Make, cookie: bytes, fresh: Publisher) -> WebsocketCommunicator:
    fresh.on_second(report(1, digits=1))
    made = socket(cookie)
    await made.connect()
    await made.receive_json_from()
    return made


async def closed_with(one: WebsocketCommunicator) -> int:
    message: dict[str, Any] = dict(await one.receive_output())
    assert message["type"] == "websocket.close"
    return int(message["code"])


async def test_w04_a_large_message_closes_with_1009(one: WebsocketCommunicator) -> None:
    await one.send_to(text_data="x" * (limits.MAX_MESSAGE_BYTES + 1))
    assert await closed_with(one) == consumer.CLOSE_TOO_BIG


async def test_w04_too_many_messages_close_with_1008(one: WebsocketCommunicator) -> None:
    for _ in range(limits.MESSAGES_BURST + 5):
        await one.send_to(text_data="{}")
    assert await closed_with(one) == consumer.CLOSE_POLICY


async def test_w06_a_binary_message_closes_with_1003(one: WebsocketCommunicator) -> None:
    await one.send_to(bytes_data=b"\xff\xfe")
    assert await closed_with(one) == consumer.CLOSE_UNSUPPORTED


@pytest.mark.parametrize(
    "text",
    [" ", "not json", "[]", "null", '{"type": 1}', '{"type": {"a": 1}}', "[" * 1000, '{"type": "model.delete"}', "NaN"],
)
async def test_w06_w12_what_is_unknown_is_ignored_and_the_socket_goes_on(
    one: WebsocketCommunicator, fresh: Publisher, text: str
) -> None:
    await one.send_to(text_data=text)
    await one.send_json_to({"type": "resync"})
    assert (await one.receive_json_from())["type"] == "snapshot"
