"""Scale to zero and back, on the real scheduler: one load for any number of requests, and none of them lost."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.core.errors import ProxyError, Reason
from proxy.core.policies import ModelPolicy, QueuePolicy, ScalingPolicy
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_S
from proxy.scheduler.scheduler import Scheduler
from tests.unit.model_manager.rig import Rig

POLICY = ModelPolicy(scaling=ScalingPolicy(zero_after_ns=60 * NS_PER_S), queue=QueuePolicy(max_requests=100))


class Plane(Rig):
    """The rig with a scheduler, and requests that go the pipeline's way: route or wake, then submit."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, lanes=lambda clock: Scheduler(clock, clock.call_later))
        self.answers: list[InferenceResult | ProxyError] = []
        self.sent = 0

    def ask(self) -> bool:
        """False if it was refused for want of a version."""
        routes = self.manager.routes
        number = routes.defaults.get("echo")
        version = routes.ready["echo"][number] if number else self.manager.wake("echo", None)
        if version is None:
            return False
        self.sent += 1
        data = struct.pack("<2f", 1.0, 2.0)
        now_ns = self.clock.now_ns()
        limit_ns = self.manager.waking.get(version.key, 60 * NS_PER_S)
        inputs = (Tensor("x", "FP32", (1, 2), data),)
        request = InferenceRequest(version, inputs, 1, now_ns, now_ns + limit_ns)
        self.lanes.submit(request, lambda _, outcome: self.answers.append(outcome))
        return True

    def finish(self) -> None:
        """Let whatever runs be answered."""
        for group in self.groups:
            for instance in group.all_instances():
                while instance.current is not None:
                    instance.finish()

    @property
    def right(self) -> int:
        return sum(isinstance(answer, InferenceResult) for answer in self.answers)

    def reasons(self) -> set[Reason]:
        return {answer.reason for answer in self.answers if isinstance(answer, ProxyError)}


@pytest.fixture
def plane(tmp_path: Path) -> Plane:
    return Plane(tmp_path)


async def asleep(plane: Plane) -> None:
    plane.want(plane.version(1), default=1, policy=POLICY, instances=0)
    assert plane.states() == {1: "asleep"}


async def test_a_version_wanted_with_no_instance_sleeps_without_a_process(plane: Plane) -> None:
    await asleep(plane)
    assert not plane.groups
    assert plane.manager.is_settled()
    assert plane.manager.would_wake("echo", None)
    assert plane.manager.would_wake("echo", "1")
    assert plane.manager.woken == ()


async def test_f26_a_thousand_requests_to_a_cold_model_cause_one_load_and_the_rest_is_refused_with_a_time(
    plane: Plane,
) -> None:
    await asleep(plane)
    for _ in range(1_000):
        assert plane.ask()
    assert plane.manager.woken == ("echo",)
    await plane.until(lambda: plane.groups)
    assert len(plane.answers) == 900, "the queue holds a hundred"
    assert plane.reasons() == {Reason.QUEUE_FULL}
    assert all(isinstance(answer, ProxyError) and answer.status == 503 for answer in plane.answers)
    assert all(isinstance(answer, ProxyError) and answer.retry_after_ns for answer in plane.answers)
    (group,) = plane.groups
    assert group.wanted == 1
    group.add()
    while plane.right < 100:
        plane.finish()
    assert len(plane.groups) == 1
    assert not plane.manager.waking


async def test_f26_a_request_waits_no_longer_than_the_policy_says(plane: Plane) -> None:
    await asleep(plane)
    plane.ask()
    await plane.until(lambda: plane.groups)
    plane.clock.advance(POLICY.scaling.wake_timeout_ns - 1)
    assert not plane.answers
    plane.clock.advance(1)
    assert plane.reasons() == {Reason.DEADLINE_EXCEEDED}
    plane.groups[0].add()
    assert plane.states() == {1: "ready"}, "the load goes on for those who come back"


async def test_a_load_that_fails_answers_those_who_waited(plane: Plane) -> None:
    await asleep(plane)
    plane.ask()
    await plane.until(lambda: plane.groups)
    plane.groups[0].message = "It crashed on load."
    plane.groups[0].fail()
    assert plane.reasons() == {Reason.NOT_READY}
    assert plane.states() == {1: "quarantined"}
    assert not plane.ask(), "a quarantined version is not started by requests"


async def test_a_woken_model_stays_awake_until_the_control_plane_has_caught_up_and_may_then_sleep_again(
    plane: Plane,
) -> None:
    await asleep(plane)
    plane.ask()
    await plane.until(lambda: plane.groups)
    plane.groups[0].add()
    plane.finish()
    plane.want(plane.version(1), default=1, policy=POLICY, instances=0)  # news from before the request
    assert plane.states() == {1: "ready"}
    assert plane.manager.woken == ("echo",)
    plane.want(plane.version(1), default=1, policy=POLICY, instances=1)
    assert plane.manager.woken == ()
    plane.want(plane.version(1), default=1, policy=POLICY, instances=0)
    assert plane.states() == {1: "asleep"}
    await plane.until(lambda: plane.groups[0].stopped)
    assert plane.right == plane.sent == 1


async def test_a_model_with_a_request_on_its_way_is_not_put_to_sleep(plane: Plane) -> None:
    plane.want(plane.version(1), default=1, policy=POLICY, instances=1)
    await plane.until(lambda: plane.groups)
    plane.groups[0].add()
    plane.ask()
    plane.want(plane.version(1), default=1, policy=POLICY, instances=0)
    assert plane.states() == {1: "ready"}
    assert plane.manager.woken == ("echo",)
    plane.finish()
    assert plane.right == 1


async def test_without_scale_to_zero_a_request_wakes_nothing(plane: Plane) -> None:
    plane.want(plane.version(1), default=1, instances=0)
    assert not plane.ask()
    assert plane.states() == {1: "asleep"}
    assert not plane.manager.would_wake("echo", None)


async def test_the_decided_number_wakes_a_model_as_a_request_does(plane: Plane) -> None:
    await asleep(plane)
    plane.want(plane.version(1), default=1, policy=POLICY, instances=2)
    assert plane.ask(), "it waits for the instance that is starting"
    await plane.until(lambda: plane.groups)
    assert plane.groups[0].wanted == 2
    assert plane.manager.woken == ()


async def test_a_model_that_sleeps_is_promoted_and_unloaded_without_waking(plane: Plane) -> None:
    await asleep(plane)
    plane.want(plane.version(2), default=2, policy=POLICY, instances=0)
    await plane.until(lambda: plane.states() == {2: "asleep"})
    plane.want(default=None)
    await plane.until(lambda: not plane.states())
    assert not plane.groups


async def test_a_version_put_to_sleep_while_its_bytes_are_read_is_not_started(plane: Plane) -> None:
    plane.want(plane.version(1), default=1, policy=POLICY, instances=1)
    plane.want(plane.version(1), default=1, policy=POLICY, instances=0)
    assert plane.states() == {1: "asleep"}
    await plane.manager._versions.all_done()
    assert not plane.groups
    assert plane.states() == {1: "asleep"}


async def test_f19_a_version_whose_bytes_were_damaged_while_it_slept_is_not_woken(plane: Plane) -> None:
    await asleep(plane)
    plane.artifact.write_bytes(b"other")
    plane.ask()
    await plane.until(lambda: plane.states() == {1: "failed"})
    assert plane.reasons() == {Reason.NOT_READY}


async def test_a_change_of_bytes_that_cannot_be_read_leaves_what_answers(plane: Plane) -> None:
    plane.want(plane.version(1), default=1, policy=POLICY, instances=1)
    await plane.until(lambda: plane.groups)
    plane.groups[0].add()
    plane.want(replace(plane.version(1), digest="0" * 64), default=1, policy=POLICY, instances=1)
    await plane.until(lambda: "differs" in plane.manager.statistics()[0].message)
    assert plane.states() == {1: "ready"}
    plane.ask()
    plane.finish()
    assert plane.right == 1


EVENTS = st.lists(st.sampled_from(["ask", "sleep", "want", "finish", "add", "turn", "second"]), max_size=30)


async def happen(plane: Plane, event: str) -> None:
    """One step of the story."""
    match event:
        case "ask":
            plane.ask()
        case "sleep" | "want":
            plane.want(plane.version(1), default=1, policy=POLICY, instances=0 if event == "sleep" else 1)
        case "finish":
            plane.finish()
        case "add":
            start_one(plane)
        case "turn":
            await asyncio.sleep(0.002)
        case "second":
            plane.clock.advance(NS_PER_S // 10)


def start_one(plane: Plane) -> None:
    """The instance that is being started becomes ready."""
    present = plane.manager.groups().get("echo/1")
    if present is not None and not present.all_instances():
        present.add()


async def play(folder: Path, events: list[str]) -> None:
    plane = Plane(folder)
    plane.want(plane.version(1), default=1, policy=POLICY, instances=0)
    for event in events:
        await happen(plane, event)
    async with asyncio.timeout(60):
        while len(plane.answers) < plane.sent:
            await asyncio.sleep(0)
            start_one(plane)
            plane.finish()
    assert plane.right == plane.sent
    await plane.manager.stop()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS)
def test_no_request_is_lost_between_sleep_and_wake_whatever_the_order_of_events(
    tmp_path: Path, events: list[str]
) -> None:
    """Each request that found a version is answered with outputs, and exactly once."""
    asyncio.run(play(tmp_path, events))


async def test_who_waits_for_a_version_to_wake_is_told_at_once_when_it_is_not_wanted_any_more(plane: Plane) -> None:
    await asleep(plane)
    plane.ask()
    await plane.until(lambda: plane.groups)
    plane.want(default=None)
    assert plane.reasons() == {Reason.NOT_READY}
    assert not plane.right
    plane.groups[-1].add()  # too late, and for nobody
    await plane.until(lambda: not plane.states())
    assert plane.groups[-1].stopped


async def test_who_asked_while_bytes_were_read_is_told_at_once_when_it_is_not_wanted_any_more(plane: Plane) -> None:
    await asleep(plane)
    plane.ask()
    plane.want(default=None)
    assert plane.reasons() == {Reason.NOT_READY}
    await plane.until(lambda: not plane.states())
    assert not plane.groups


async def test_f21_what_an_instance_lost_while_its_version_drains_is_run_again_by_the_one_that_follows(
    plane: Plane,
) -> None:
    group = await plane.ready(plane.version(1), default=1)
    plane.ask()
    plane.want(default=None)
    assert plane.states() == {1: "draining"}
    group.lose(group.all_instances()[0], from_outside=True)
    assert not plane.answers
    group.add()
    plane.finish()
    assert plane.right == 1
    await plane.until(lambda: not plane.states())


async def test_who_waits_in_a_draining_version_is_told_at_once_when_its_instances_are_given_up(plane: Plane) -> None:
    group = await plane.ready(plane.version(1), default=1)
    plane.ask()
    plane.want(default=None)
    group.lose(group.all_instances()[0], from_outside=True)
    group.fail()
    assert plane.reasons() == {Reason.NOT_READY}
    await plane.until(lambda: not plane.states())
