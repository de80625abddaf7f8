"""What the line notes of requests for the page of requests: parts, batches, hits, errors; never inputs."""

from __future__ import annotations

import struct
from dataclasses import fields

import pytest

from proxy.answering import Answering
from proxy.cache.cache import ResultCache
from proxy.core.batches import BatchFault
from proxy.core.policies import CachePolicy, ModelPolicy
from proxy.core.request_ids import MAX_CHARACTERS
from proxy.core.requests import Answer, InferenceRequest
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.metrics.metrics import Metrics
from proxy.metrics.requests import Kept
from proxy.offload import Offload
from proxy.rollout.rollout import Shadows
from proxy.scheduler.scheduler import Scheduler
from proxy.testing.clock import ManualClock
from proxy.testing.instances import FakeGroup, fake_version


class Line:
    """One echo model on a clock that stands still."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.version = fake_version()
        cache = ResultCache(self.clock)
        cache.configure("echo", CachePolicy())
        self.scheduler = Scheduler(self.clock, self.clock.call_later, meter=self.metrics)
        self.group = FakeGroup(self.version, self.clock, 1, on_change=lambda g: self.scheduler.wake("echo/1"))
        self.scheduler.attach("echo/1", self.group, ModelPolicy())
        offload = Offload()
        shadows = Shadows(self.clock, self.scheduler, lambda model, number: None, offload, lambda: 0.0)
        self.answering = Answering(self.clock, cache, self.scheduler, self.metrics, offload, shadows)
        self.answers: list[Answer] = []

    @property
    def instance(self):
        return self.group.all_instances()[0]

    def send(self, number: float, request_id: str | None = None, rows: int = 1, timeout_ns: int = NS_PER_S):
        now_ns = self.clock.now_ns()
        tensor = Tensor("x", "FP32", (rows, 2), struct.pack("<ff", number, number) * rows)
        request = InferenceRequest(
            self.version, (tensor,), rows, now_ns, now_ns + timeout_ns, request_id=request_id, principal_id="key:5"
        )
        return self.answering.begin(request, self.answers.append, received_ns=now_ns)

    def kept(self) -> list[Kept]:
        return self.metrics.requests.recent()


def test_a_request_is_noted_with_its_parts_its_instance_and_who_asked() -> None:
    line = Line()
    line.send(1.0, "order-1", rows=2)
    line.clock.advance(3 * NS_PER_MS)
    line.instance.finish()
    (kept,) = line.kept()
    assert (kept.request_id, kept.model, kept.version, kept.principal_id) == ("order-1", "echo", 1, "key:5")
    assert (kept.status, kept.rows, kept.cache, kept.attempts) == (200, 2, "miss", 1)
    assert kept.run is not None
    assert (kept.run.instance_id, kept.run.requests, kept.run.rows) == (line.instance.instance_id, 1, 2)
    assert sum(part_ns for _, part_ns in kept.parts) == kept.total_ns == 3 * NS_PER_MS


def test_requests_of_one_batch_know_the_same_run() -> None:
    line = Line()
    line.send(0.0, "first")
    for number in range(1, 4):
        line.send(float(number), f"r{number}")
    line.instance.finish()
    line.instance.finish()
    kept = {one.request_id: one for one in line.kept()}
    runs = {kept[name].run for name in ("r1", "r2", "r3")}
    assert len(runs) == 1
    assert next(iter(runs)) is not kept["first"].run
    assert next(iter(runs)).requests == 3  # type: ignore[union-attr]


def test_a_hit_has_neither_queue_nor_compute() -> None:
    line = Line()
    line.send(1.0, "miss")
    line.instance.finish()
    line.send(1.0, "hit")
    hit = line.kept()[0]
    assert (hit.request_id, hit.cache, hit.run, hit.attempts) == ("hit", "hit", None, 0)
    assert not {"queue", "compute"} & {name for name, _ in hit.parts}


def test_one_that_waits_for_an_identical_request_names_it() -> None:
    line = Line()
    line.send(7.0, "leader")
    line.send(7.0, "follower")
    line.clock.advance(NS_PER_MS)
    line.instance.finish()
    kept = {one.request_id: one for one in line.kept()}
    assert kept["follower"].leader_id == "leader"
    assert kept["follower"].run is kept["leader"].run
    assert dict(kept["follower"].parts) == {"shared": NS_PER_MS}


def test_errors_are_noted_with_status_and_reason() -> None:
    line = Line()
    line.send(1.0, "bad")
    line.instance.finish(BatchFault("index out of range", lost=False))
    line.send(2.0, "runs", timeout_ns=10 * NS_PER_S)
    line.send(3.0, "late")
    leave = line.send(4.0, "left")
    leave()
    line.clock.advance(2 * NS_PER_S)
    seen = {one.request_id: (one.status, one.reason) for one in line.kept()}
    assert seen == {"bad": (500, "model_error"), "late": (504, "deadline_exceeded"), "left": (499, "cancelled")}
    failed = next(one for one in line.kept() if one.request_id == "bad")
    assert failed.run is not None


def test_a_long_id_is_cut_and_one_without_gets_a_number() -> None:
    line = Line()
    line.send(1.0, "x" * 5_000)
    line.instance.finish()
    line.send(2.0)
    line.instance.finish()
    without, long = line.kept()
    assert len(long.request_id) == MAX_CHARACTERS
    assert without.request_id == f"auto-{without.number}"


@pytest.mark.parametrize("body_id", [None, "order-1", "not for a header"])
def test_an_error_carries_the_id_by_which_it_is_found_here_and_in_the_log(
    caplog: pytest.LogCaptureFixture, body_id: str | None
) -> None:
    line = Line()
    line.send(1.0, body_id)
    line.instance.finish(BatchFault("index out of range", lost=False))
    carried = dict(line.answers[0].headers)[b"x-request-id"].decode()
    (kept,) = line.kept()
    assert carried == (body_id if body_id == "order-1" else f"auto-{kept.number}")
    assert kept.is_called(carried)
    assert kept.is_called(body_id or "")
    assert [record.getMessage() for record in caplog.records] == [
        f"request {carried} of echo/1 was answered 500 model_error"
    ]


def test_the_name_of_one_process_is_no_other_ones() -> None:
    first, second = Metrics("a1").requests, Metrics("b2").requests
    assert first.next_mark() == (1, "auto-a1-1")
    assert second.next_mark() == (1, "auto-b2-1")


def test_nothing_of_inputs_or_outputs_is_kept() -> None:
    line = Line()
    line.send(1234.5, "r")
    line.instance.finish()
    (kept,) = line.kept()
    values = [getattr(kept, one.name) for one in fields(kept)]
    assert not any(isinstance(value, bytes | memoryview | Tensor | InferenceRequest) for value in values)
