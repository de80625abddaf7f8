"""The watchdog goes on whatever a change of an instance led to; a process that cannot be started is tried again."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import pytest

from proxy.core.policies import ExecutionPolicy
from proxy.core.units import NS_PER_S
from proxy.instances import group as groups
from proxy.instances.group import InstanceGroup
from proxy.instances.state import Event, InstanceState
from proxy.instances.supervisor import InstanceView
from proxy.testing.clock import ManualClock
from proxy.testing.instances import fake_version

POLICY = ExecutionPolicy(timeout_ns=NS_PER_S, load_timeout_ns=NS_PER_S)


class Instance:
    """One that loads for ever, until the watchdog ends it."""

    made: ClassVar[list[Instance]] = []
    refusals: ClassVar[list[Exception]] = []

    def __init__(self, version, policy, *, clock, on_event, **_more):
        self.instance_id = f"fake#{len(self.made)}"
        self.state = InstanceState.STARTING
        self.outstanding = self.executions = 0
        self.idle = self.was_ready = self.loss_is_explained = False
        self.message = ""
        self.started_ns = clock.now_ns()
        self._on_event = on_event

    def start(self):
        if self.refusals:
            raise self.refusals.pop(0)
        self.made.append(self)

    def view(self, *, with_memory):
        return InstanceView(self.state, self.started_ns, self.started_ns, 0, 0, 0)

    def tend(self, now_ns):
        pass

    def set_threads(self, count):
        pass

    def become_ready(self):
        self.state, self.was_ready, self.idle, self.sandbox = InstanceState.READY, True, True, {}
        self._on_event(self, Event.READY)

    def printed(self):
        return b""

    def drain(self):
        self.kill(None)

    def kill(self, verdict):
        if self.state is InstanceState.FAILED:
            return
        self.state, self.message = InstanceState.FAILED, "killed"
        self._on_event(self, Event.LOST)
        self._on_event(self, Event.ENDED)


class Loop:
    """A loop on a clock that stands still; a callback's exception is noted, as the real one's handler does."""

    def __init__(self, clock):
        self.clock = clock
        self.faults: list[Exception] = []

    def call_later(self, delay_s, function, *args):
        return self.clock.call_later(delay_s, lambda: self._run(function, *args))

    def call_soon(self, function, *args):
        return self.call_later(0, function, *args)

    def _run(self, function, *args):
        try:
            function(*args)
        except Exception as error:
            self.faults.append(error)


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(groups, "Instance", Instance)
    Instance.made, Instance.refusals = [], []
    return ManualClock()


def make(clock, on_change):
    loop = Loop(clock)
    group = InstanceGroup(fake_version(), POLICY, loop=loop, clock=clock, on_change=on_change)
    return group, loop


def run(clock, seconds):
    for _ in range(seconds * 20):
        clock.advance(NS_PER_S // 20)


def test_f5_instances_are_watched_and_replaced_though_a_change_could_not_be_followed(clock):
    def on_change(_group):
        raise RuntimeError("a fault of ours")

    group, loop = make(clock, on_change)
    group.set_wanted(1)
    run(clock, 5)
    assert len(Instance.made) >= 2, "the one that loaded too long was replaced"
    assert Instance.made[0].state is InstanceState.FAILED
    assert loop.faults


@pytest.mark.parametrize("refusal", [OSError("no process"), MemoryError()])
def test_f40_a_start_that_the_machine_refuses_is_tried_again(clock, refusal):
    Instance.refusals = [refusal, refusal]
    group, loop = make(clock, lambda _group: None)
    group.set_wanted(1)
    assert not Instance.made
    run(clock, 5)
    assert Instance.made
    assert not group.failed
    assert not loop.faults


def test_a_server_that_stood_still_hears_its_instances_before_it_judges_them(clock):
    """A frozen machine, a stopped process: what they said meanwhile is still unread when the timer comes first."""
    group, _ = make(clock, lambda _group: None)
    group.set_wanted(1)
    (instance,) = Instance.made
    clock.skip(5 * NS_PER_S)
    clock.advance(0)
    assert instance.state is InstanceState.STARTING
    instance.become_ready()  # the message that had been waiting
    run(clock, 2)
    assert instance.state is InstanceState.READY
    assert Instance.made == [instance]


def test_a_server_that_always_comes_late_judges_them_all_the_same(clock):
    group, _ = make(clock, lambda _group: None)
    group.set_wanted(1)
    (instance,) = Instance.made
    for _ in range(2):
        clock.skip(5 * NS_PER_S)
        clock.advance(0)
    assert instance.state is InstanceState.FAILED


def test_an_instance_that_is_wanted_later_replaces_none_that_was_lost_before(clock):
    group, _ = make(clock, lambda _group: None)
    group.set_wanted(2)
    for instance in Instance.made:
        instance.become_ready()
    Instance.made[0].kill(None)
    group.set_wanted(1)
    run(clock, 1)
    assert (len(Instance.made), group.restarts) == (2, 0), "one less was wanted, so nobody was missing"
    group.set_wanted(2)
    while len(Instance.made) < 3:
        clock.advance(NS_PER_S // 10)
    assert group.restarts == 0
    Instance.made[2].become_ready()
    Instance.made[2].kill(None)
    run(clock, 5)
    assert group.restarts >= 1


async def test_a_group_that_stops_while_it_starts_ends_all(clock):
    group, _ = make(clock, lambda _group: None)
    group.set_wanted(2)
    async with asyncio.timeout(60):
        await group.stop()
    assert not group.all_instances()
