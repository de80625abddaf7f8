"""Work beside the event loop: done in order, answered once, bounded, and taken back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.core.errors import Cancelled, InvalidRequest, ProxyError, Reason
from proxy.offload import MAX_WAITING_BYTES, Offload


@pytest.fixture
def offload() -> Iterator[Offload]:
    made = Offload()
    yield made
    made.close()


class Results:
    """Collects what comes back, and what of it is taken back later."""

    def __init__(self, expected: int = 1) -> None:
        self.all: list[Any] = []
        self.cancelled = 0
        self._expected = expected
        self._done = asyncio.Event()

    def take(self, result: Any) -> Any:
        self.all.append(result)
        if len(self.all) == self._expected:
            self._done.set()
        return self._cancel

    def _cancel(self) -> None:
        self.cancelled += 1

    async def wait(self) -> list[Any]:
        await asyncio.wait_for(self._done.wait(), 10)
        return self.all


async def test_work_is_done_in_another_thread_in_order_and_answered_on_the_loop(offload: Offload) -> None:
    results = Results(3)
    for number in range(3):
        offload.begin(lambda number=number: (number, threading.get_ident()), 1, results.take)  # type: ignore[misc]
    found = await results.wait()
    assert [number for number, _ in found] == [0, 1, 2]
    assert {thread for _, thread in found} != {threading.get_ident()}


async def test_refusals_and_faults_come_back_as_errors(offload: Offload, caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> None:
        raise InvalidRequest(Reason.INVALID_DATA, "no")

    def fail() -> None:
        raise ZeroDivisionError("secret")

    results = Results(2)
    offload.begin(refuse, 1, results.take)
    offload.begin(fail, 1, results.take)
    refusal, fault = await results.wait()
    assert isinstance(refusal, InvalidRequest)
    assert (fault.status, "secret" in fault.message) == (500, False)
    assert "ZeroDivisionError" in caplog.text


async def test_what_waits_is_bounded_by_its_bytes_and_more_is_refused_at_once(offload: Offload) -> None:
    gate = threading.Event()
    results = Results(4)
    for _ in range(4):
        offload.begin(gate.wait, MAX_WAITING_BYTES // 4, results.take)
    refused: list[Any] = []
    assert offload.begin(gate.wait, 1, refused.append) is None
    assert isinstance(refused[0], ProxyError)
    assert (refused[0].status, refused[0].reason) == (503, Reason.QUEUE_FULL)
    assert refused[0].retry_after_ns
    gate.set()
    assert await results.wait() == [True] * 4
    results = Results()
    offload.begin(gate.wait, MAX_WAITING_BYTES + 1, results.take)  # alone, anything is done
    assert await results.wait() == [True]


async def test_work_that_is_taken_back_is_answered_cancelled_once(offload: Offload) -> None:
    gate = threading.Event()
    results = Results(2)
    cancel = offload.begin(gate.wait, 1, results.take)
    assert cancel is not None
    cancel()
    assert isinstance(results.all[0], Cancelled)
    gate.set()
    offload.begin(lambda: "next", 1, results.take)
    assert (await results.wait())[1] == "next"


async def test_once_it_is_done_the_next_step_is_taken_back_instead(offload: Offload) -> None:
    results = Results()
    cancel = offload.begin(lambda: 1, 1, results.take)
    await results.wait()
    assert cancel is not None
    cancel()
    assert (results.all, results.cancelled) == ([1], 1)
