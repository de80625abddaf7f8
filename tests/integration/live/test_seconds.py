"""Snapshot, differences, resync, and readers that do not keep up."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from live_cast import report

from models_admin.live import consumer, messages
from models_admin.live.publisher import SLICE_S, Publisher, slice_size

Make = Callable[..., WebsocketCommunicator]


async def second(fresh: Publisher, sequence: int, **requests: int) -> None:
    """A second is over; its sockets hear of it in slices."""
    fresh.on_second(report(sequence, **requests))


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


def test_a_text_is_made_when_asked_for_and_once_for_all_who_stand_at_the_same_second(
    fresh: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr(messages, "encode", lambda message: made.append(message["type"]) or "text")
    for sequence in (1, 2, 3):
        fresh.on_second(report(sequence, digits=sequence))
    assert made == []
    first, second = messages.state(report(1, digits=1)), messages.state(report(2, digits=2))
    for sent in (None, None, second, second, first, first):
        assert fresh.text_after(sent) == "text"
    assert made == ["snapshot", "delta", "delta"]
    assert fresh.text_after(fresh.newest) is None


def test_w07_a_slow_reader_gets_the_newest_state_and_nothing_piles_up(fresh: Publisher) -> None:
    fresh.on_second(report(1, digits=1))
    sent = fresh.newest
    for sequence in range(2, 500):
        fresh.on_second(report(sequence, digits=sequence))
    text = fresh.text_after(sent)
    assert text is not None
    assert '"previous":1' in text
    assert '"sequence":499' in text
    assert '"requests":499' in text


async def test_many_sockets_are_told_a_few_at_a_time_and_all_before_the_next_second(fresh: Publisher) -> None:
    told: list[int] = []
    leave = [fresh.watch(lambda number=number: told.append(number)) for number in range(400)]
    fresh.on_second(report(1, digits=1))
    await asyncio.sleep(0)
    assert told == list(range(slice_size(400)))
    assert slice_size(400) <= 5
    assert math.ceil(1_000 / slice_size(1_000)) * SLICE_S < 1
    while len(told) < 400:
        await asyncio.sleep(SLICE_S)
    assert told == list(range(400))
    for one in leave:
        one()


async def test_w07_a_reader_that_takes_nothing_is_closed_and_others_go_on(
    socket: Make, cookie: bytes, fresh: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
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
