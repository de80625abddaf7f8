"""Single flight with a shared cache behind it, with tenants, and while the cache is bypassed (F25, C3)."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import pytest

from proxy.answering import Answering
from proxy.cache.bypass import CacheState
from proxy.cache.cache import ResultCache
from proxy.cache.second_level_model import SharedAnswer
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy, ModelPolicy
from proxy.core.requests import InferenceRequest
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_S
from proxy.metrics.metrics import Metrics
from proxy.offload import Offload
from proxy.rollout.rollout import Shadows
from proxy.scheduler.scheduler import Scheduler
from proxy.testing.clock import ManualClock
from proxy.testing.instances import FakeGroup, fake_version

HERD = 1_000


class HeldSecondLevel:
    """Redis whose answers the test gives."""

    def __init__(self) -> None:
        self.asked: list = []
        self.left: dict[bytes, BatchOutputs] = {}
        self.is_used = True

    def configure(self, model, policy) -> None:
        pass

    def look_up(self, model, key, service_ns, found) -> bool:
        if self.is_used:
            self.asked.append((key, found))
        return self.is_used

    def put(self, model, key, outputs, saved_ns) -> None:
        self.left[key] = outputs

    def report(self, model) -> None:
        return None

    def answer(self, outputs=None, age_ns=0) -> None:
        _, found = self.asked.pop(0)
        found(None if outputs is None else SharedAnswer(outputs, age_ns, 5))


class Rig:
    def __init__(self, policy: CachePolicy) -> None:
        self.clock = ManualClock()
        self.version = fake_version(trailing=(2,))
        self.metrics = Metrics()
        self.redis = HeldSecondLevel()
        self.cache = ResultCache(self.clock, second=self.redis)
        self.cache.configure("echo", policy)
        self.scheduler = Scheduler(self.clock, self.clock.call_later, meter=self.metrics)
        self.group = FakeGroup(self.version, self.clock, 1, on_change=lambda g: self.scheduler.wake("echo/1"))
        self.scheduler.attach("echo/1", self.group, ModelPolicy())
        offload = Offload()
        shadows = Shadows(self.clock, self.scheduler, lambda model, number: None, offload, lambda: 0.0)
        self.answering = Answering(self.clock, self.cache, self.scheduler, self.metrics, offload, shadows)
        self.answers: list = []

    @property
    def instance(self):
        return self.group.all_instances()[0]

    def send(self, number: float = 7.0, tenant: str = "a", timeout_ns: int = NS_PER_S):
        now_ns = self.clock.now_ns()
        tensor = Tensor("x", "FP32", (1, 2), struct.pack("<f", number) * 2)
        request = InferenceRequest(self.version, (tensor,), 1, now_ns, now_ns + timeout_ns, tenant=tenant)
        return self.answering.begin(request, self.answers.append)

    def values(self) -> list[list[float]]:
        return [json.loads(answer.body)["outputs"][0]["data"] for answer in self.answers]

    def bypass(self) -> None:
        watch = self.cache._watches["echo"]
        watch._bypass.state = CacheState.BYPASSED
        watch._bypass._probe_ns = 1 << 62
        watch._open(CacheState.BYPASSED)


def outputs(number: float) -> BatchOutputs:
    return BatchOutputs((Tensor("y", "FP32", (1, 2), struct.pack("<f", number) * 2),), 1, batched=True)


@pytest.fixture
def rig() -> Rig:
    return Rig(CachePolicy(second_level=True))


def test_f25_a_herd_is_one_look_into_the_shared_cache_and_its_hit_answers_all(rig: Rig):
    for _ in range(HERD):
        rig.send()
    assert len(rig.redis.asked) == 1
    rig.redis.answer(outputs(3.0))
    assert rig.values() == [[3.0, 3.0]] * HERD
    assert rig.instance.executions == 0
    rig.send()
    assert rig.values()[-1] == [3.0, 3.0]
    assert not rig.redis.asked, "it is kept here now"
    assert not rig.redis.left, "and is not written back"


def test_f25_a_herd_that_misses_there_is_one_execution_which_is_left_for_others(rig: Rig):
    for _ in range(HERD):
        rig.send()
    rig.redis.answer(None)
    rig.instance.finish()
    assert rig.values() == [[7.0, 7.0]] * HERD
    assert rig.instance.executions == 1
    assert len(rig.redis.left) == 1


def test_a_leader_whose_client_leaves_during_the_look_up_cancels_nobody_else(rig: Rig):
    leave = rig.send()
    rig.send()
    leave()
    rig.redis.answer(None)
    rig.instance.finish()
    assert rig.values() == [[7.0, 7.0]]


def test_when_all_have_left_during_the_look_up_nothing_is_executed(rig: Rig):
    for leave in [rig.send(), rig.send()]:
        leave()
    rig.send(8.0)
    rig.redis.answer(None)
    assert rig.instance.executions == 0
    assert rig.instance.idle
    rig.redis.answer(None)
    rig.instance.finish()
    assert rig.values() == [[8.0, 8.0]]


def test_a_version_that_leaves_waits_for_who_is_in_the_look_up(rig: Rig):
    rig.send()
    rig.send(8.0)()
    assert not rig.scheduler.is_idle("echo/1"), "so its lane stays open"
    rig.redis.answer(None)
    rig.redis.answer(None)
    assert not rig.scheduler.is_idle("echo/1")
    rig.instance.finish()
    assert rig.values() == [[7.0, 7.0]]
    assert rig.scheduler.is_idle("echo/1")


def test_who_waits_is_answered_though_what_was_found_cannot_be_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise MemoryError

    rig.send()
    rig.send()
    monkeypatch.setattr("proxy.cache.store.Store.put", fail)
    rig.redis.answer(outputs(3.0))
    assert rig.values() == [[3.0, 3.0]] * 2
    assert rig.scheduler.is_idle("echo/1")


def test_one_who_asks_after_all_left_leads_a_flight_of_its_own(rig: Rig):
    rig.send()()
    rig.send()
    rig.redis.answer(outputs(1.0))  # the first look-up's, for nobody
    assert rig.answers == []
    rig.redis.answer(outputs(2.0))
    assert rig.values() == [[2.0, 2.0]]


def test_a_leader_that_expires_hands_over_without_asking_redis_again(rig: Rig):
    rig.redis.is_used = False
    rig.send(0.0, timeout_ns=10 * NS_PER_S)  # keeps the instance busy
    rig.redis.is_used = True
    rig.send(timeout_ns=NS_PER_S)
    rig.send(timeout_ns=5 * NS_PER_S)
    rig.redis.answer(None)
    rig.clock.advance(2 * NS_PER_S)
    assert [answer.status for answer in rig.answers] == [504]
    rig.instance.finish()
    rig.instance.finish()
    assert [answer.status for answer in rig.answers] == [504, 200, 200]
    assert not rig.redis.asked


def test_a_redis_that_is_left_alone_changes_nothing(rig: Rig):
    rig.redis.is_used = False
    rig.send()
    rig.send()
    rig.instance.finish()
    assert rig.values() == [[7.0, 7.0]] * 2
    assert rig.instance.executions == 1


def test_what_another_server_left_is_as_old_here_as_it_is_there():
    rig = Rig(CachePolicy(second_level=True, ttl_ns=60 * NS_PER_S))
    rig.clock.advance(100 * NS_PER_S)
    rig.send()
    rig.redis.answer(outputs(3.0), age_ns=50 * NS_PER_S)
    rig.clock.advance(11 * NS_PER_S)
    rig.send()
    assert len(rig.redis.asked) == 1, "its own copy has aged"


def test_c3_two_tenants_are_two_executions_and_one_where_the_model_is_shared():
    for is_shared, executions in ((False, 2), (True, 1)):
        rig = Rig(CachePolicy(is_shared=is_shared))
        for at in range(HERD):
            rig.send(tenant="ab"[at % 2])
        while len(rig.answers) < HERD:
            rig.instance.finish()
        assert rig.values() == [[7.0, 7.0]] * HERD
        counts = rig.metrics.totals_of("echo/1")
        assert counts.inferences == executions
        assert rig.cache.statistics()["echo"].entries == executions


def test_f25_identical_requests_share_one_execution_while_the_cache_is_bypassed():
    rig = Rig(CachePolicy(second_level=True))
    rig.bypass()
    for _ in range(HERD):
        rig.send()
    rig.instance.finish()
    assert rig.values() == [[7.0, 7.0]] * HERD
    assert rig.instance.executions == 1
    report = rig.cache.statistics()["echo"]
    assert (report.entries, report.hits, report.misses) == (0, 0, 0)
    assert not rig.redis.asked
    assert report.state == "bypassed"
    assert rig.metrics.totals_of("echo/1").misses == 0, "no look-up was made"


def test_a_bypassed_caches_curve_still_sees_what_would_hit_and_opens_it_again():
    rig = Rig(CachePolicy())
    for number in range(40):  # costs are measured first
        rig.send(1_000.0 + number)
        rig.clock.advance(NS_PER_S // 1_000)
        rig.instance.finish()
    rig.cache.statistics()
    rig.bypass()
    states = set()
    for second in range(12):
        for number in range(100):
            rig.send(float(number % 10))
            rig.clock.advance(NS_PER_S // 100)
            while not rig.instance.idle:
                rig.instance.finish()
        states.add(rig.cache.statistics()["echo"].state)
        if second == 0:
            assert rig.instance.executions == 140, "bypassed: all are executed"
    assert "probing" in states


def test_a_policy_with_another_bound_opens_a_bypassed_cache():
    rig = Rig(CachePolicy())
    rig.bypass()
    rig.cache.configure("echo", replace(CachePolicy(), max_bytes=1_000_000))
    assert rig.cache.is_in_use("echo")
