"""Snapshot, differences, resync, and readers that do not keep up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from live_cast import report

from models_admin.live import consumer
from models_admin.live.publisher import Publisher

Make = Callable[..., WebsocketCommunicator]


async def second(fresh: Publisher, sequence: int, **requests: int) -> None:
    task = fresh.on_second(report(sequence, **requests))
    if task is not None:
        await task


async def test_first_a_snapshot_then_differences_with_rising_sequence(
    socket: Make, cookie: bytes, fresh: Publisher
) -> None:
    await second(fresh, 1, digits=10, idle=0)
    one = socket(cookie)
    await one.connect()
    snapshot = await one.receive_json_from()
    assert (snapshot["type"], snapshot["sequence"]) == ("snapshot", 1)
    assert snapshot["models"]["digits"]["requests"] == 10
    assert snapshot["models"]["digits"]["p50_ms"] == 1.235
    assert snapshot["recent"] == {"total": [10], "models": {"digits": [10]}}
    assert snapshot["machine"]["gpu_note"] == "No driver."
    await second(fresh, 2, digits=11, idle=0)
    delta = await one.receive_json_from()
    assert (delta["type"], delta["previous"], delta["sequence"]) == ("delta", 1, 2)
    assert list(delta["models"]) == ["digits"]
    assert "versions" not in delta
    await second(fresh, 3, digits=11)
    delta = await one.receive_json_from()
    assert (delta["previous"], delta["sequence"], delta["removed"]) == (2, 3, ["idle"])


async def test_a_socket_opened_before_the_first_second_gets_its_snapshot_then(
    socket: Make, cookie: bytes, fresh: Publisher
) -> None:
    one = socket(cookie)
    await one.connect()
    assert await one.receive_nothing()
    await second(fresh, 1, digits=1)
    assert (await one.receive_json_from())["type"] == "snapshot"


async def test_resync_and_resume_bring_a_new_snapshot_and_pause_brings_silence(
    socket: Make, cookie: bytes, fresh: Publisher
) -> None:
    await second(fresh, 1, digits=1)
    one = socket(cookie)
    await one.connect()
    await one.receive_json_from()
    await one.send_json_to({"type": "resync"})
    assert (await one.receive_json_from())["type"] == "snapshot"
    await one.send_json_to({"type": "pause"})
    assert await one.receive_nothing()
    await second(fresh, 2, digits=2)
    assert await one.receive_nothing()
    await one.send_json_to({"type": "resume"})
    resumed = await one.receive_json_from()
    assert (resumed["type"], resumed["sequence"]) == ("snapshot", 2)


async def test_nothing_is_encoded_while_nobody_watches(fresh: Publisher) -> None:
    assert fresh.on_second(report(1, digits=1)) is None
    assert fresh.newest is not None


async def test_w07_a_slow_reader_gets_the_newest_state_and_nothing_piles_up(fresh: Publisher) -> None:
    reader = consumer.LiveConsumer()
    reader._sent, reader._event = None, None
    fresh.on_second(report(1, digits=1))
    reader._next_text()
    for sequence in range(2, 500):
        fresh.on_second(report(sequence, digits=sequence))
    reader._event = {"previous": 498, "sequence": 499, "text": "the difference that others get"}
    text = reader._next_text()
    assert text is not None
    assert '"previous":1' in text
    assert '"sequence":499' in text
    assert '"requests":499' in text
    assert reader._next_text() is None


async def test_w07_a_reader_that_takes_nothing_is_closed_and_others_go_on(
    socket: Make, cookie: bytes, fresh: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    await second(fresh, 1, digits=1)
    good = socket(cookie)
    await good.connect()
    await good.receive_json_from()
    blocked = asyncio.Event()
    original = consumer.LiveConsumer.send

    async def never(self: Any, text_data: str | None = None, *args: Any, **kwargs: Any) -> None:
        if getattr(self, "stuck", False):
            await blocked.wait()
        await original(self, text_data, *args, **kwargs)

    async def connect(self: Any) -> None:
        self.stuck, self.stall_s = True, 0.02
        await accept(self)

    accept = consumer.LiveConsumer.connect
    monkeypatch.setattr(consumer.LiveConsumer, "send", never)
    monkeypatch.setattr(consumer.LiveConsumer, "connect", connect)
    stuck = socket(cookie)
    await stuck.connect()
    message: dict[str, Any] = dict(await stuck.receive_output())
    assert message == {"type": "websocket.close", "code": consumer.CLOSE_STALLED} | {
        key: message[key] for key in message if key not in {"type", "code"}
    }
    await second(fresh, 2, digits=2)
    assert (await good.receive_json_from())["sequence"] == 2
