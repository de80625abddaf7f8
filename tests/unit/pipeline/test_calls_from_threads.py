"""What another thread wants done on the event loop is done in time or not at all."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.core.reports import SecondReport
from proxy.core.snapshot import EMPTY_SNAPSHOT
from proxy.runtime import Runtime, RuntimeConfig


def ignore(_: SecondReport) -> None:
    """No report is kept."""


@pytest.fixture
def runtime() -> Runtime:
    """One that is not started; its loop is the test's."""
    return Runtime(RuntimeConfig(), lambda _: EMPTY_SNAPSHOT, ignore)  # type: ignore[arg-type]


def test_what_the_loop_does_at_once_is_given_back(runtime: Runtime) -> None:
    runtime.loop = SimpleNamespace(call_soon_threadsafe=lambda call: call())  # type: ignore[assignment]
    assert runtime.on_loop(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        runtime.on_loop(lambda: 1 // 0)


def test_who_was_told_that_it_took_too_long_finds_nothing_done_later(runtime: Runtime) -> None:
    held: list[Callable[[], Any]] = []
    done: list[str] = []
    runtime.loop = SimpleNamespace(call_soon_threadsafe=held.append)  # type: ignore[assignment]
    with pytest.raises(TimeoutError):
        runtime.on_loop(lambda: done.append("ordered"), limit_s=0.0)
    held[0]()
    assert not done
