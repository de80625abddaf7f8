"""The feed hands over changes, holds the last state through failures, and looks at once when poked."""

from __future__ import annotations

import asyncio
import logging

import pytest

from proxy.control.feed import Feed
from proxy.core.snapshot import Snapshot


def snapshot(generation: int) -> Snapshot:
    return Snapshot(generation, {}, {})


class Source:
    """Answers one prepared item per look, then None; an exception is raised."""

    def __init__(self, *items: Snapshot | Exception | None) -> None:
        self.items = list(items)
        self.known: list[int | None] = []

    def load(self, known: int | None) -> Snapshot | None:
        self.known.append(known)
        item = self.items.pop(0) if self.items else None
        if isinstance(item, Exception):
            raise item
        return item


async def run_until(feed: Feed, reached: asyncio.Event) -> None:
    task = asyncio.create_task(feed.run())
    try:
        async with asyncio.timeout(60):
            await reached.wait()
    finally:
        task.cancel()


async def test_each_new_generation_is_applied_and_named_at_the_next_look() -> None:
    source, applied, reached = Source(snapshot(1), None, snapshot(2)), [], asyncio.Event()

    def apply(new: Snapshot) -> None:
        applied.append(new.generation)
        if new.generation == 2:
            reached.set()

    await run_until(Feed(source.load, apply, 0.001), reached)
    assert applied == [1, 2]
    assert source.known[:3] == [None, 1, 1]


async def test_f13_a_failing_source_changes_nothing_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    source, applied, reached = Source(OSError("gone"), OSError("gone"), snapshot(3)), [], asyncio.Event()

    def apply(new: Snapshot) -> None:
        applied.append(new.generation)
        reached.set()

    with caplog.at_level(logging.INFO):
        await run_until(Feed(source.load, apply, 0.001), reached)
    assert applied == [3]
    said = [(record.levelname, bool(record.exc_info)) for record in caplog.records]
    assert said == [("ERROR", False), ("INFO", False)]  # that something is away needs no trace


async def test_a_snapshot_that_cannot_be_applied_is_asked_for_again_and_later_ones_are_still_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source, applied, reached = Source(snapshot(1), snapshot(2), snapshot(3)), [], asyncio.Event()

    def apply(new: Snapshot) -> None:
        if new.generation == 2:
            raise RuntimeError("a fault of ours")
        applied.append(new.generation)
        if new.generation == 3:
            reached.set()

    with caplog.at_level(logging.INFO):
        await run_until(Feed(source.load, apply, 0.001), reached)
    assert applied == [1, 3]
    assert source.known[:3] == [None, 1, 1]
    said = [(record.levelname, bool(record.exc_info)) for record in caplog.records]
    assert said == [("ERROR", True), ("INFO", False)]  # a fault of ours has one


async def test_a_poke_does_not_wait_for_the_interval() -> None:
    source, reached = Source(snapshot(1), snapshot(2)), asyncio.Event()

    def apply(new: Snapshot) -> None:
        if new.generation == 1:
            asyncio.get_running_loop().call_soon(feed.soon)
        else:
            reached.set()

    feed = Feed(source.load, apply, 3_600)
    await run_until(feed, reached)
