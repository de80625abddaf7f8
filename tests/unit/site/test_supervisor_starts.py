"""A child that cannot be started just now, since the machine is short of memory or processes."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from dlproxy_site import supervisor
from dlproxy_site.supervisor import ChildSpec, Supervisor


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> tuple[Supervisor, list[str]]:
    """A supervisor of one child on a machine that gives no process, and what it says."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(supervisor.subprocess, "Popen", refuse)
    said: list[str] = []
    return Supervisor([ChildSpec("worker", [sys.executable])], lambda _, line: said.append(line)), said


def test_of_a_ready_node_it_is_tried_again_with_growing_pauses(failing: tuple[Supervisor, list[str]]) -> None:
    node, said = failing
    node._ready = True
    (child,) = node._children
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208  names only
    for _ in range(2):
        node._start(child)
        assert child.start_at_s is not None
    assert [line.rpartition("trying again")[2] for line in said] == [" in 1 s", " in 2 s"]
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_of_a_node_that_is_starting_it_ends_the_start(failing: tuple[Supervisor, list[str]]) -> None:
    node, _ = failing
    with pytest.raises(OSError, match="temporarily"):
        node._start(node._children[0])
