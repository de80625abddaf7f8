"""A channel layer that fails (Redis down) costs sockets, never the places of people."""

from __future__ import annotations

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
