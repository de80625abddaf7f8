"""Cache, single flight and answers around the real scheduler, on a clock that stands still with fake instances."""

from __future__ import annotations

import asyncio
import json
import random
import struct
from dataclasses import replace

import pytest

from proxy.answering import Answering
from proxy.cache.cache import ResultCache
from proxy.call import Respond
from proxy.core.batches import BatchFault
from proxy.core.policies import BatchingPolicy, CachePolicy, ModelPolicy
from proxy.core.principals import Principal
from proxy.core.requests import Answer, InferenceRequest
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_S
from proxy.metrics.metrics import Metrics
from proxy.offload import Offload
from proxy.open_call import OpenCall
from proxy.rollout.rollout import Shadows
from proxy.scheduler.entries import OnDone
from proxy.scheduler.scheduler import Scheduler
from proxy.testing.clock import ManualClock
from proxy.testing.instances import FakeGroup, fake_version


class Rig:
    """One echo model with a cache, and every answer by the number that was sent. All chance in it comes of `seed`."""

    def __init__(
        self, *, cacheable: bool = True, width: int = 2, scheduler: type[Scheduler] = Scheduler, seed: int = 0
    ) -> None:
        self.clock = ManualClock()
        self.width = width
        self.version = replace(fake_version(trailing=(width,)), cacheable=cacheable)
        self.metrics = Metrics()
        self.cache = ResultCache(self.clock)
        self.cache.configure("echo", CachePolicy())
        chance = random.Random(seed)
        self.scheduler = scheduler(self.clock, self.clock.call_later, meter=self.metrics, chance=chance)
        self.group = FakeGroup(self.version, self.clock, 1, on_change=lambda g: self.scheduler.wake("echo/1"))
        self.scheduler.attach("echo/1", self.group, ModelPolicy())
        offload = Offload()
        self.shadows = Shadows(self.clock, self.scheduler, lambda model, number: None, offload, lambda: 0.0)
        self.answering = Answering(self.clock, self.cache, self.scheduler, self.metrics, offload, self.shadows)
        self.answers: list[Answer] = []

    @property
    def instance(self):
        return self.group.all_instances()[0]

    def send(
        self,
        number: float,
        timeout_ns: int = NS_PER_S,
        body: bytes | None = None,
        respond: Respond | None = None,
        **more: str,
    ):
        now_ns = self.clock.now_ns()
        data = struct.pack("<f", number) * self.width
        tensor = Tensor("x", "FP32", (1, self.width), data)
        request = InferenceRequest(self.version, (tensor,), 1, now_ns, now_ns + timeout_ns, **more)
        return self.answering.begin(request, respond or self.answers.append, body=body)

    def values(self) -> list[list[float]]:
        return [json.loads(a.body)["outputs"][0]["data"] for a in self.answers]

    def statuses(self) -> list[int]:
        return [a.status for a in self.answers]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_repeated_input_is_answered_from_the_cache_without_an_execution(rig: Rig) -> None:
    rig.send(3.0)
    rig.instance.finish()
    assert rig.send(3.0) is None
    assert rig.values() == [[3.0, 3.0], [3.0, 3.0]]
    assert rig.instance.executions == 1
    assert (b"x-dlproxy-cache", b"hit") in rig.answers[1].headers


def test_a_repeated_body_is_not_read_again_while_some_model_has_a_shadow(rig: Rig) -> None:
    rig.send(3.0, body=b"raw")
    rig.instance.finish()
    rig.send(3.0, body=b"raw")
    rig.shadows.is_active = True
    call = OpenCall(Principal("key:1", "test"), rig.version, None, rig.clock.now_ns(), 99)
    repeated = rig.answering.repeat(call, b"raw")
    assert repeated is not None
    assert repeated.body == rig.answers[1].body


def test_f25_a_thousand_identical_requests_in_flight_share_one_execution(rig: Rig) -> None:
    for _ in range(1_000):
        rig.send(7.0)
    rig.instance.finish()
    assert rig.instance.executions == 1
    assert rig.values() == [[7.0, 7.0]] * 1_000


def test_who_waits_for_an_identical_request_is_neither_a_hit_nor_a_miss(rig: Rig) -> None:
    for _ in range(10):
        rig.send(7.0)
    rig.instance.finish()
    rig.send(7.0)
    told = rig.cache.statistics()["echo"]
    assert (told.hits, told.coalesced, told.misses) == (1, 9, 1)
    exposed = rig.metrics.exposition(None).decode()
    assert 'dlproxy_coalesced_requests_total{model="echo"} 9' in exposed
    assert 'dlproxy_cache_lookups_total{model="echo",result="miss"} 1' in exposed
    assert 'dlproxy_cache_lookups_total{model="echo",result="hit"} 1' in exposed


def test_one_whose_answer_cannot_be_delivered_keeps_nobody_else_from_theirs(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    def torn(answer: Answer) -> None:
        raise OSError("the transport is gone")

    rig.send(7.0, respond=torn)
    rig.send(7.0)
    rig.instance.finish()
    assert rig.values() == [[7.0, 7.0]]
    assert "the transport is gone" in caplog.text


class BrokenScheduler(Scheduler):
    """Raises at the first `failures` submissions: before it took the request on, or (`late`) after."""

    failures = 0
    late = False

    def submit(self, request: InferenceRequest, on_done: OnDone) -> None:
        is_broken = self.failures > 0
        self.failures -= is_broken
        if not is_broken or self.late:
            super().submit(request, on_done)
        if is_broken:
            raise RuntimeError("a fault of the scheduler's own")


@pytest.mark.parametrize("late", [False, True])
def test_a_scheduler_that_raises_leaves_nobody_waiting_for_ever(late: bool, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(scheduler=BrokenScheduler)
    assert isinstance(rig.scheduler, BrokenScheduler)
    rig.scheduler.failures, rig.scheduler.late = 1, late
    rig.send(7.0)
    assert rig.statuses() == [500]
    assert "a fault of the scheduler's own" in caplog.text
    rig.send(7.0)  # no flight is left open: this one executes
    while rig.instance.current:
        rig.instance.finish()
    assert rig.statuses() == [500, 200]


def test_followers_that_a_scheduler_which_raises_cannot_take_over_are_answered_too() -> None:
    rig = Rig(scheduler=BrokenScheduler)
    assert isinstance(rig.scheduler, BrokenScheduler)
    rig.send(0.0, timeout_ns=10 * NS_PER_S)  # occupies the instance
    rig.send(5.0, timeout_ns=NS_PER_S)
    for _ in range(3):
        rig.send(5.0, timeout_ns=5 * NS_PER_S)
    rig.scheduler.failures = 2
    rig.clock.advance(2 * NS_PER_S)
    assert rig.statuses() == [504, 500, 500]
    rig.instance.finish()
    rig.instance.finish()
    assert rig.statuses() == [504, 500, 500, 200, 200]


def test_a_follower_whose_place_cannot_be_lent_waits_all_the_same(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def torn(leader: InferenceRequest, follower: InferenceRequest) -> None:
        raise RuntimeError("a fault of the scheduler's own")

    monkeypatch.setattr(rig.scheduler, "join", torn)
    rig.send(7.0)
    rig.send(7.0)
    rig.instance.finish()
    assert rig.statuses() == [200, 200]
    assert "a fault of the scheduler's own" in caplog.text


def test_different_inputs_in_flight_do_not_share(rig: Rig) -> None:
    rig.send(1.0)
    rig.send(2.0)
    rig.instance.finish()
    rig.instance.finish()
    assert rig.values() == [[1.0, 1.0], [2.0, 2.0]]


def test_a_leader_whose_client_leaves_cancels_nobody_else(rig: Rig) -> None:
    rig.send(0.0)  # occupies the instance
    leave = rig.send(5.0)
    rig.send(5.0)
    leave()
    rig.instance.finish()
    rig.instance.finish()
    assert rig.values() == [[0.0, 0.0], [5.0, 5.0]]


def test_r26_work_that_nobody_waits_for_any_more_never_runs(rig: Rig) -> None:
    rig.send(0.0)
    first, second = rig.send(5.0), rig.send(5.0)
    first()
    second()
    rig.instance.finish()
    assert rig.instance.current is None
    assert rig.instance.executions == 1
    assert len(rig.answers) == 1


def test_a_leader_that_expires_hands_its_followers_on(rig: Rig) -> None:
    rig.send(0.0, timeout_ns=10 * NS_PER_S)
    rig.send(5.0, timeout_ns=NS_PER_S)
    rig.send(5.0, timeout_ns=5 * NS_PER_S)
    rig.clock.advance(2 * NS_PER_S)
    assert rig.statuses() == [504]
    rig.instance.finish()
    rig.instance.finish()
    assert rig.statuses() == [504, 200, 200]


def test_a_request_with_an_earlier_deadline_does_not_wait_for_a_patient_leader(rig: Rig) -> None:
    rig.send(5.0, timeout_ns=10 * NS_PER_S)
    rig.send(5.0, timeout_ns=NS_PER_S)
    rig.clock.advance(NS_PER_S)
    assert rig.statuses() == [504]


def test_a_quiet_key_does_not_wait_in_the_line_of_a_crowd_that_asked_the_same_before(rig: Rig) -> None:
    rig.scheduler.update_policy("echo/1", ModelPolicy(batching=BatchingPolicy(max_rows=1)))
    for number in range(20):
        rig.send(float(number), tenant="shop", principal_id="key:crowd")
    rig.send(15.0, tenant="shop", principal_id="key:quiet")
    rig.instance.finish()
    rig.instance.finish()
    assert rig.values() == [[0.0, 0.0], [15.0, 15.0], [15.0, 15.0]]
    while rig.instance.current:
        rig.instance.finish()
    assert rig.statuses() == [200] * 21
    assert rig.instance.executions == 20


def test_c4_an_error_is_shared_by_those_who_waited_but_never_kept(rig: Rig) -> None:
    rig.send(5.0)
    rig.send(5.0)
    rig.instance.finish(BatchFault("index out of range", lost=False))
    assert rig.statuses() == [500, 500]
    rig.send(5.0)
    rig.instance.finish()
    assert rig.statuses() == [500, 500, 200]


def test_c4_a_version_that_is_not_cacheable_is_neither_kept_nor_shared() -> None:
    rig = Rig(cacheable=False)
    rig.send(5.0)
    rig.send(5.0)
    rig.instance.finish()
    rig.instance.finish()
    rig.send(5.0)
    rig.instance.finish()
    assert rig.statuses() == [200, 200, 200]
    assert sum(len(b.requests) for b in rig.instance.batches) == 3


def test_a_switched_off_cache_is_not_asked(rig: Rig) -> None:
    rig.cache.configure("echo", CachePolicy(enabled=False))
    rig.send(5.0)
    rig.instance.finish()
    rig.send(5.0)
    rig.instance.finish()
    assert rig.instance.executions == 2


def test_u18_an_output_that_is_not_finite_is_an_error_that_names_it_and_is_not_kept(rig: Rig) -> None:
    rig.send(float("nan"))
    rig.instance.finish()
    rig.send(float("nan"))
    rig.instance.finish()
    assert rig.statuses() == [500, 500]
    assert rig.instance.executions == 2
    assert "'y'" in json.loads(rig.answers[0].body)["error"] or '"y"' in json.loads(rig.answers[0].body)["error"]


async def test_c04_a_large_answer_that_could_not_be_written_is_not_remembered_and_one_that_could_is() -> None:
    rig = Rig(width=300_000)  # written beside the event loop

    async def ask(number: float) -> int:
        before = len(rig.answers)
        if rig.send(number) is not None:
            rig.instance.finish()
        async with asyncio.timeout(60):
            while len(rig.answers) == before:
                await asyncio.sleep(0.001)
        return rig.answers[-1].status

    assert [await ask(float("nan")), await ask(float("nan"))] == [500, 500]
    assert rig.instance.executions == 2
    assert [await ask(1.0), await ask(1.0)] == [200, 200]
    assert rig.instance.executions == 3


async def test_many_classes_are_written_beside_the_event_loop() -> None:
    """A MiB of outputs may come to a quarter of a million strings."""
    rig = Rig(width=2)
    rows = 4_097
    tensor = Tensor("x", "FP32", (rows, 2), struct.pack("<ff", 1.0, 2.0) * rows)
    now_ns = rig.clock.now_ns()
    request = InferenceRequest(rig.version, (tensor,), rows, now_ns, now_ns + 60 * NS_PER_S, top_classes={"y": 2})
    rig.answering.begin(request, rig.answers.append)
    while rig.instance.current:
        rig.instance.finish()
    assert not rig.answers
    async with asyncio.timeout(60):
        while not rig.answers:
            await asyncio.sleep(0.001)
    assert rig.answers[0].status == 200
    assert json.loads(rig.answers[0].body)["outputs"][0]["shape"] == [rows, 2]
