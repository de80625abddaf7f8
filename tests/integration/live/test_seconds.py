"""Snapshot, differences, resync, and readers that do not keep up."""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from live_cast import report

from models_admin.live import consumer, messages, views
from models_admin.live.pipes import EXTENSION
from models_admin.live.publisher import SLICE_S, Publisher, slice_size
from models_admin.live.views import View
from proxy.core.reports import GpuReport, InstanceReport, MachineReport

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


async def test_a_paused_socket_holds_no_second(socket: Make, cookie: bytes, fresh: Publisher) -> None:
    await second(fresh, 1, digits=1)
    one = socket(cookie)
    await one.connect()
    await one.receive_json_from()
    (watcher,) = fresh._watchers
    held: Any = watcher
    assert held.__self__._sent is not None
    await one.send_json_to({"type": "pause"})
    assert await one.receive_nothing()
    assert held.__self__._sent is None


async def test_a_socket_without_a_login_leaves_nothing_behind(socket: Make) -> None:
    """Each address that was asked for is remembered: only of those who may ask."""
    kept = views.asked.cache_info().misses
    one = socket(query="models=never-asked-for-before")
    await one.connect()
    assert dict(await one.receive_output())["code"] == consumer.CLOSE_LOGGED_OUT
    assert views.asked.cache_info().misses == kept


def test_a_message_is_made_when_asked_for_and_once_for_all_who_stand_at_the_same_second(
    fresh: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr(messages, "encode", lambda message: made.append(message["type"]) or b"text")
    for sequence in (1, 2, 3):
        fresh.on_second(report(sequence, digits=sequence))
    assert made == []
    first, second = messages.state(report(1, digits=1)), messages.state(report(2, digits=2))
    for sent in (None, None, second, second, first, first):
        assert fresh.message_after(sent, View()).text == b"text"
    assert made == ["snapshot", "delta", "delta"]
    assert fresh.message_after(fresh.newest, View()) is None


class Counting(dict[str, int]):
    """Counts of a second that know which were looked at."""

    def __init__(self, counts: dict[str, int]) -> None:
        super().__init__(counts)
        self.touched: set[str] = set()

    def __contains__(self, name: object) -> bool:
        self.touched.add(str(name))
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        self.touched.update(self.keys())
        return super().__iter__()

    def get(self, name: str, default: Any = None) -> Any:
        self.touched.add(name)
        return super().get(name, default)


def test_a_snapshot_for_a_view_looks_at_no_other_models_seconds(
    fresh: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = deque([Counting({f"m{number}": 1 for number in range(1_000)} | {"": 1_000}) for _ in range(120)])
    monkeypatch.setattr(fresh, "_recent", seconds)
    fresh.on_second(report(1, m7=2))
    seconds.pop()
    said = json.loads(fresh.message_after(None, View(frozenset({"m7", "unknown"}))).text)
    assert said["recent"] == {"total": [1_000] * 120, "models": {"m7": [1] * 120}}
    assert set().union(*(one.touched for one in seconds)) <= {"", "m7", "unknown"}


def test_w07_a_slow_reader_gets_the_newest_state_and_nothing_piles_up(fresh: Publisher) -> None:
    fresh.on_second(report(1, digits=1))
    sent = fresh.newest
    for sequence in range(2, 500):
        fresh.on_second(report(sequence, digits=sequence))
    text = fresh.message_after(sent, View()).text.decode()
    assert '"previous":1' in text
    assert '"sequence":499' in text
    assert '"requests":499' in text


async def test_many_sockets_are_told_a_few_at_a_time_and_all_before_the_next_second(fresh: Publisher) -> None:
    told: list[int] = []
    leave = [fresh.watch(lambda number=number: told.append(number)) for number in range(400)]
    fresh.on_second(report(1, digits=1))
    await asyncio.sleep(0)
    assert told == list(range(slice_size(400)))
    assert slice_size(400) <= 8
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
    monkeypatch.setattr(consumer, "STALL_S", 0)
    monkeypatch.setattr(consumer, "CLOSE_WAIT_S", 0)
    stuck, protocol = socket(cookie), Protocol()
    stuck.scope["extensions"] = {EXTENSION: protocol}
    await stuck.connect()
    while not protocol.frames:
        await asyncio.sleep(0.01)
    protocol.is_behind = True
    for sequence in (2, 3):
        await second(fresh, sequence, digits=sequence)
        assert (await good.receive_json_from())["sequence"] == sequence
    assert len(protocol.frames) == 1
    assert protocol.is_aborted or (await stuck.receive_output())["code"] == consumer.CLOSE_STALLED


async def test_w07_a_reader_that_catches_up_gets_one_difference_from_what_it_has_to_the_newest(
    socket: Make, cookie: bytes, fresh: Publisher
) -> None:
    await second(fresh, 1, digits=1)
    one, protocol = socket(cookie), Protocol()
    one.scope["extensions"] = {EXTENSION: protocol}
    await one.connect()
    while not protocol.frames:
        await asyncio.sleep(0.01)
    protocol.is_behind = True
    for sequence in range(2, 6):
        fresh.on_second(report(sequence, digits=sequence))
        await asyncio.sleep(SLICE_S)
    assert len(protocol.frames) == 1
    protocol.is_behind = False
    protocol.on_caught_up()
    assert [said(frame)["sequence"] for frame in protocol.frames] == [1, 5]
    assert said(protocol.frames[1])["previous"] == 1


async def test_sockets_that_show_the_same_are_written_the_same_frame_and_nothing_goes_by_asgi(
    socket: Make, cookie: bytes, fresh: Publisher
) -> None:
    fresh.on_second(report(1, digits=1, other=2))
    protocols = [Protocol(), Protocol(), Protocol()]
    for protocol, query in zip(protocols, ("models=digits", "models=digits", "models="), strict=True):
        one = socket(cookie, query=query)
        one.scope["extensions"] = {EXTENSION: protocol}
        await one.connect()
        while not protocol.frames:
            await asyncio.sleep(0.01)
        assert await one.receive_nothing()
    fresh.on_second(report(2, digits=3, other=4))
    while not all(len(protocol.frames) == 2 for protocol in protocols):
        await asyncio.sleep(0.01)
    first, second, third = protocols
    assert first.frames[0] is second.frames[0]
    assert first.frames[1] is second.frames[1]
    assert list(said(first.frames[0])["models"]) == ["digits"]
    assert [one["model"] for one in said(first.frames[0])["versions"]] == ["digits"]
    assert said(first.frames[0])["recent"] == {"total": [3], "models": {"digits": [1]}}
    assert said(third.frames[1])["models"] == {}
    assert said(third.frames[1])["total"]["requests"] == 7


def test_each_page_is_told_what_sits_on_the_gpus_whatever_it_shows(fresh: Publisher) -> None:
    gpu = GpuReport(0, "H200", 1, 2, 3, 40, 70.0, "GPU-1", "cuda:0")
    rows = (InstanceReport("net/3#1", "net", 3, 7, "ready", "cuda:0", 1.0, 1, 0, None),)
    fresh.on_second(replace(report(1, net=1), instances=rows, machine=MachineReport(5.0, (), 1, 2, (gpu,))))
    message = fresh.message_after(None, View(frozenset(), has_instances=False))
    assert message is not None
    said = json.loads(message.text)
    assert (said["models"], said["instances"]) == ({}, [])
    (shown,) = said["machine"]["gpus"]
    assert (shown["device"], shown["held_versions"]) == ("cuda:0", 1)
    assert shown["holds"] == [{"model": "net", "version": 3, "instances": 1}]


async def test_a_view_of_too_many_models_is_refused(socket: Make, cookie: bytes) -> None:
    names = ",".join(f"m{number}" for number in range(views.MAX_NAMES + 1))
    one = socket(cookie, query=f"models={names}")
    await one.connect()
    assert dict(await one.receive_output())["code"] == consumer.CLOSE_POLICY


class Protocol:
    """A server's protocol as a pipe sees it; keeps what it is written."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.is_behind = False
        self.is_aborted = False
        self.on_caught_up: Any = None

    def write_frame(self, frame: bytes) -> None:
        self.frames.append(frame)

    def abort(self) -> None:
        self.is_aborted = True


def said(frame: bytes) -> Any:
    """The message of a server's text frame."""
    return json.loads(frame[{126: 4, 127: 10}.get(frame[1], 2) :])
