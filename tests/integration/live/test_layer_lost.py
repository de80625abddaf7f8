"""A channel layer that fails (Redis down) costs sockets, never the places of people."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer
from channels.testing import WebsocketCommunicator
from live_cast import report

from models_admin.live import consumer
from models_admin.live.publisher import Publisher

Make = Callable[..., WebsocketCommunicator]


class Failing(InMemoryChannelLayer):
    """A layer whose methods named in `broken` fail as a lost connection does."""

    broken: frozenset[str] = frozenset()

    async def group_add(self, group: str, channel: str) -> None:
        self._check("group_add")
        await super().group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self._check("group_discard")
        await super().group_discard(group, channel)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self._check("group_send")
        await super().group_send(group, message)

    async def receive(self, channel: str) -> Any:
        message = await super().receive(channel)
        self._check("receive")
        return message

    def _check(self, name: str) -> None:
        if name in self.broken:
            raise ConnectionError("the layer is gone")


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> Failing:
    one = Failing()
    for module in ("channels.consumer", "models_admin.live.publisher"):
        monkeypatch.setattr(f"{module}.get_channel_layer", lambda *_: one)
    return one


async def test_a_socket_that_cannot_join_is_closed_and_takes_no_place(
    socket: Make, cookie: bytes, fresh: Publisher, layer: Failing
) -> None:
    layer.broken = frozenset({"group_add", "group_discard"})
    one = socket(cookie)
    await one.connect()
    closed = await one.receive_output()
    assert (closed["type"], closed["code"]) == ("websocket.close", consumer.CLOSE_FAULT)
    await one.disconnect()
    assert consumer.places._by_user.total() == 0
    assert fresh.sockets == 0


async def test_a_socket_whose_layer_is_lost_under_way_gives_its_place_back(
    socket: Make, cookie: bytes, fresh: Publisher, layer: Failing
) -> None:
    fresh.on_second(report(1, digits=1))
    one = socket(cookie)
    await one.connect()
    assert (await one.receive_json_from())["type"] == "snapshot"
    assert fresh.sockets == 1
    layer.broken = frozenset({"receive", "group_discard"})
    task = fresh.on_second(report(2, digits=1))
    assert task is not None
    await task
    with pytest.raises(ConnectionError):
        await one.wait(timeout=5)
    socket.opened.remove(one)  # it has ended in an error: nothing is left for the fixture to end
    assert consumer.places._by_user.total() == 0
    assert fresh.sockets == 0


async def test_f13_a_layer_that_takes_nothing_is_said_once_and_that_it_works_again_once(
    fresh: Publisher, layer: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    fresh.on_second(report(1, digits=1))
    fresh.sockets = 1
    with caplog.at_level(logging.INFO, logger="models_admin.live"):
        for second in range(2, 8):
            layer.broken = frozenset({"group_send"} if second < 5 else ())
            task = fresh.on_second(report(second, digits=1))
            assert task is not None
            await task
    fresh.sockets = 0
    assert [(record.levelname, bool(record.exc_info)) for record in caplog.records] == [
        ("ERROR", False),
        ("INFO", False),
    ]
