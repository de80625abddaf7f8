"""Loading and unloading: the answer tells how the change went."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.core.errors import NotFound, ProxyError, Reason
from proxy.core.principals import Principal
from proxy.core.reports import VersionReport
from proxy.core.requests import Answer
from proxy.core.snapshot import ModelSnapshot, Snapshot
from proxy.endpoint.extensions import LONGEST_CHANGE_NS, Extensions, no_control_plane
from proxy.testing.clock import ManualClock
from proxy.testing.instances import fake_version

ADMIN = Principal("key:1", "key:ci", is_admin=True)
VERSIONS = {1: fake_version("echo", 1), 2: fake_version("echo", 2)}


class Plane:
    """A data plane whose state the test sets; a change of it has generation 2."""

    def __init__(self, *states: str, default: int | None = 2, set_loaded: Any = lambda *_: 2) -> None:
        self.clock = ManualClock()
        self.states = list(states)
        versions = VERSIONS if default else {}
        model = ModelSnapshot("echo", versions, default, 1)
        self.view = SimpleNamespace(snapshot=Snapshot(2, {"echo": model}, {}), latest_report=None)
        self.fed = 0
        self.extensions = Extensions(self.view, self, {}, self.clock, set_loaded, self.feed)  # type: ignore[arg-type]

    def feed(self) -> None:
        self.fed += 1

    def statistics(self) -> tuple[VersionReport, ...]:
        return tuple(
            VersionReport("echo", number, state, number == 2, 1, 1, 0, f"{state} because")
            for number, state in enumerate(self.states, 1)
        )

    async def change(self, *, loaded: bool = True, meanwhile: Any = None) -> Answer | ProxyError:
        future: asyncio.Future[Answer | ProxyError] = asyncio.get_running_loop().create_future()
        self.extensions.change(ADMIN, "echo", loaded=loaded, respond=future.set_result)
        if meanwhile is not None:
            for _ in range(20):
                await asyncio.sleep(0.005)
            assert not future.done()
            meanwhile()
        return await asyncio.wait_for(future, 10)


async def test_a_load_is_answered_when_every_version_is_settled() -> None:
    plane = Plane("failed", "loading")

    def ready() -> None:
        plane.states[1] = "ready"

    answer = await plane.change(meanwhile=ready)
    assert isinstance(answer, Answer)
    assert (answer.status, plane.fed) == (200, 1)


async def test_a_load_waits_for_the_state_that_holds_it() -> None:
    plane = Plane("ready", "ready", set_loaded=lambda *_: 3)

    def arrives() -> None:
        plane.view.snapshot = Snapshot(3, plane.view.snapshot.models, {})

    assert isinstance(await plane.change(meanwhile=arrives), Answer)


async def test_a_load_whose_default_version_fails_says_why() -> None:
    error = await Plane("ready", "failed").change()
    assert isinstance(error, ProxyError)
    assert (error.status, error.message) == (400, "echo version 2 could not be loaded: failed because")


async def test_a_model_without_a_version_to_serve_cannot_be_loaded() -> None:
    error = await Plane(default=None).change()
    assert isinstance(error, ProxyError)
    assert (error.status, "no version to serve" in error.message) == (400, True)


async def test_an_unload_is_answered_when_nothing_answers_any_more() -> None:
    plane = Plane("ready", "draining")

    def drained() -> None:
        plane.states[0] = "draining"

    assert isinstance(await plane.change(loaded=False, meanwhile=drained), Answer)


async def test_a_change_that_takes_too_long_goes_on_without_its_client() -> None:
    plane = Plane("ready", "loading")
    error = await plane.change(meanwhile=lambda: plane.clock.advance(LONGEST_CHANGE_NS + 1))
    assert isinstance(error, ProxyError)
    assert (error.status, error.retry_after_ns is not None) == (503, True)


async def test_refusals_and_faults_of_the_control_plane_are_answers(caplog: pytest.LogCaptureFixture) -> None:
    def unknown(*_: object) -> int:
        raise NotFound(Reason.UNKNOWN_MODEL, "There is no such model.")

    def broken(*_: object) -> int:
        raise RuntimeError("database is locked at /secret")

    answers = [await Plane(set_loaded=one).change() for one in (unknown, broken, no_control_plane)]
    assert [one.status for one in answers] == [404, 500, 503]
    assert "secret" not in answers[1].message  # type: ignore[union-attr]
    assert "database is locked" in caplog.text


async def test_a_client_that_leaves_is_not_answered() -> None:
    plane = Plane("ready", "loading")
    answers: list[Any] = []
    leave = plane.extensions.change(ADMIN, "echo", loaded=True, respond=answers.append)
    await asyncio.sleep(0.05)
    leave()
    plane.states[1] = "ready"
    await asyncio.sleep(0.05)
    assert answers == []
