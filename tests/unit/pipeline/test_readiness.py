"""Whether the server is ready: about the server by default, about every model where it was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.core.snapshot import Snapshot
from proxy.metrics.metrics import Metrics
from proxy.views import Views
from tests.unit.model_manager.rig import Rig


class Watched(Rig):
    """A manager on fake groups, and what is said of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.views = Views(self.manager, Metrics())

    def say(self) -> bool:
        self.views.snapshot = Snapshot(self.generation, {}, {})
        return self.views.is_ready()

    async def started(self) -> None:
        """Version 1 answers."""
        self.want(self.version(1), default=1)
        assert not self.say()
        await self.until(lambda: self.groups)
        assert not self.say()
        self.groups[0].add()

    async def give_up(self) -> None:
        """Version 2 is wanted, too, and is given up."""
        self.want(self.version(1), self.version(2), default=1)
        await self.until(lambda: len(self.groups) == 2)
        self.groups[1].failed = True
        self.groups[1].on_change(self.groups[1])
        assert self.states()[2] == "quarantined"


@pytest.fixture
def rig(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


async def test_a_model_that_loads_or_was_given_up_takes_nothing_from_the_server(rig: Watched) -> None:
    assert not rig.views.is_ready()
    await rig.started()
    assert rig.say()
    rig.want(rig.version(1), rig.version(2), default=1)
    assert rig.say(), "a version is on its way up"
    await rig.give_up()
    assert rig.say()
    assert not rig.views.model_ready("echo", 2)


async def test_what_fails_at_the_start_holds_the_server_up_only_until_it_is_given_up(rig: Watched) -> None:
    rig.want(rig.version(1, digest="0" * 64), default=1)
    assert not rig.say()
    await rig.until(lambda: rig.states() == {1: "failed"})
    assert rig.say()


async def test_strict_readiness_is_about_every_model(rig: Watched) -> None:
    rig.views.strict_readiness = True
    await rig.started()
    assert rig.say()
    await rig.give_up()
    assert not rig.say()
    rig.want(rig.version(1), default=1)
    assert rig.say(), "what leaves does not count"


async def test_a_server_that_stops_is_not_ready(rig: Watched) -> None:
    await rig.started()
    assert rig.say()
    rig.views.is_leaving = True
    assert not rig.say()
