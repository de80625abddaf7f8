"""Shadows beside real work: who is copied, what a copy may cost, and what becomes of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from proxy.core.batches import BatchOutputs
from proxy.core.errors import ExecutionFailed, ProxyError, Reason
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.snapshot import ModelSnapshot, RolloutMode, RolloutSnapshot, Snapshot, VersionSnapshot
from proxy.core.tensors import Signature, Tensor, TensorSpec
from proxy.offload import Offload
from proxy.rollout import rollout as room
from proxy.rollout.rollout import Shadows
from proxy.testing.clock import ManualClock

SIGNATURE = Signature(
    (TensorSpec("a", "FP32", (-1, 1)), TensorSpec("b", "FP32", (-1, 1))), (TensorSpec("y", "FP32", (-1, 1)),)
)
TURNED = Signature(SIGNATURE.inputs[::-1], SIGNATURE.outputs)


class Lanes:
    """A scheduler that keeps what it is given until the test answers it."""

    def __init__(self) -> None:
        self.copies: list[tuple[InferenceRequest, Callable]] = []
        self.busy = False
        self.fault: Exception | None = None
        self.cancelled: list[InferenceRequest] = []

    def submit(self, request: InferenceRequest, on_done: Callable) -> None:
        self.copies.append((request, on_done))
        if self.fault is not None:
            raise self.fault

    def cancel(self, request: InferenceRequest) -> None:
        self.cancelled.append(request)

    def is_idle(self, version_key: str) -> bool:
        assert version_key == "digits/2"
        return not self.busy

    def answer(self, outcome: InferenceResult | ProxyError) -> None:
        request, on_done = self.copies.pop(0)
        on_done(request, outcome)


def version(number: int, signature: Signature = SIGNATURE) -> VersionSnapshot:
    return VersionSnapshot("digits", number, "d", "/artifact", "torchscript", signature)


def tensor(name: str, values: list[float]) -> Tensor:
    return Tensor(name, "FP32", (len(values), 1), np.array(values, "<f4").tobytes())


def request(number: int = 1, rows: int = 1) -> InferenceRequest:
    inputs = (tensor("a", [1.0] * rows), tensor("b", [2.0] * rows))
    return InferenceRequest(version(number), inputs, rows, 0, 10**12, priority=1)


def result(values: list[float], first: int = 0, rows: int = 1, *, number: int = 1, hit: bool = False):
    outputs = BatchOutputs((tensor("y", values),), len(values), batched=True)
    return InferenceResult(version(number), outputs, first, rows, compute_ns=5_000_000, cache_hit=hit)


class Rig:
    def __init__(self, weight: float = 100.0) -> None:
        self.lanes = Lanes()
        self.candidate: VersionSnapshot | None = version(2)
        self.drawn = 0.0
        self.offload = Offload()
        self.shadows = Shadows(
            ManualClock(), self.lanes, lambda model, number: self.candidate, self.offload, lambda: self.drawn
        )
        self.want(RolloutSnapshot(9, 2, RolloutMode.SHADOW, weight))

    def want(self, rollout: RolloutSnapshot | None) -> None:
        versions = {1: version(1), 2: version(2)}
        model = ModelSnapshot("digits", versions, 1, 1, rollout=rollout)
        self.shadows.apply(Snapshot(1, {"digits": model}, {}))

    @property
    def report(self):
        return self.shadows.reports()[0]


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.offload.close()


def test_an_answer_is_compared_with_the_candidates_and_discarded(rig: Rig) -> None:
    rig.shadows.offer(request(), result([7.0, 3.0], first=1))
    rig.lanes.answer(result([3.0], number=2))
    rig.shadows.offer(request(), result([1.0]))
    rig.lanes.answer(result([2.0], number=2))
    report = rig.report
    assert (report.compared, report.differing, report.failed) == (2, 1, 0)
    assert report.largest_difference == 0.5 and report.mean_difference == 0.25
    assert sum(report.differences) == 2 and sum(report.candidate_histogram.values()) == 2


def test_a_copy_has_the_lowest_priority_and_no_ones_name(rig: Rig) -> None:
    rig.shadows.offer(request(), result([1.0]))
    copy = rig.lanes.copies[0][0]
    assert copy.priority > 10 and copy.principal_id == "" and copy.version.number == 2


def test_the_weight_says_how_many_are_copied() -> None:
    rig = Rig(weight=25)
    for rig.drawn in (0.0, 0.249, 0.25, 0.9):
        rig.shadows.offer(request(), result([1.0]))
    assert len(rig.lanes.copies) == 2
    rig.offload.close()


def test_nothing_is_copied_while_the_candidate_has_work_or_does_not_answer(rig: Rig) -> None:
    rig.lanes.busy = True
    rig.shadows.offer(request(), result([1.0]))
    rig.lanes.busy, rig.candidate = False, None
    rig.shadows.offer(request(), result([1.0]))
    assert not rig.lanes.copies and rig.report.skipped == 2


def test_copies_are_bounded_and_their_places_come_back(rig: Rig) -> None:
    for _ in range(room.MAX_IN_FLIGHT + 3):
        rig.shadows.offer(request(), result([1.0]))
    assert len(rig.lanes.copies) == room.MAX_IN_FLIGHT and rig.report.skipped == 3
    for _ in range(room.MAX_IN_FLIGHT):
        rig.lanes.answer(ExecutionFailed(Reason.MODEL_ERROR, "raised"))
    rig.shadows.offer(request(), result([1.0]))
    assert len(rig.lanes.copies) == 1 and rig.report.failed == room.MAX_IN_FLIGHT


@pytest.mark.parametrize(
    ("reason", "failed"),
    [
        (Reason.QUEUE_FULL, 0),
        (Reason.NO_ROOM, 0),
        (Reason.OVERSIZE, 0),
        (Reason.REPEAT_OFFENDER, 0),
        (Reason.DEADLINE_EXCEEDED, 1),
        (Reason.INSTANCE_LOST, 1),
    ],
)
def test_a_copy_that_was_refused_says_nothing_of_the_candidate(rig: Rig, reason: Reason, failed: int) -> None:
    rig.shadows.offer(request(), result([1.0]))
    rig.lanes.answer(ProxyError(reason, "words"))
    assert (rig.report.failed, rig.report.skipped) == (failed, 1 - failed)


def test_a_copy_that_could_not_be_scheduled_gives_its_place_back_once(rig: Rig) -> None:
    rig.lanes.fault = RuntimeError("planted")
    for _ in range(3 * room.MAX_IN_FLIGHT):
        rig.shadows.offer(request(), result([1.0]))  # what it raises would be the real answer's fault
    assert rig.report.skipped == 3 * room.MAX_IN_FLIGHT
    assert len(rig.lanes.cancelled) == 3 * room.MAX_IN_FLIGHT, "it may stand in the queue all the same"
    while rig.lanes.copies:
        rig.lanes.answer(ExecutionFailed(Reason.CANCELLED, "taken back"))
    assert rig.report.skipped == 3 * room.MAX_IN_FLIGHT
    rig.lanes.fault = None
    for _ in range(2 * room.MAX_IN_FLIGHT):
        rig.shadows.offer(request(), result([1.0]))
    assert len(rig.lanes.copies) == room.MAX_IN_FLIGHT


def test_answers_of_the_candidate_itself_and_of_the_cache_are_not_copied(rig: Rig) -> None:
    rig.shadows.offer(request(2), result([1.0], number=2))
    rig.shadows.offer(request(), result([1.0], hit=True))
    assert not rig.lanes.copies


def test_inputs_come_in_the_candidates_order(rig: Rig) -> None:
    rig.candidate = version(2, TURNED)
    rig.shadows.offer(request(), result([1.0]))
    assert [given.name for given in rig.lanes.copies[0][0].inputs] == ["b", "a"]


def test_a_candidate_that_does_not_take_the_inputs_has_failed(rig: Rig) -> None:
    rig.candidate = version(2, Signature(SIGNATURE.inputs[:1], SIGNATURE.outputs))
    rig.shadows.offer(request(), result([1.0]))
    assert not rig.lanes.copies and rig.report.failed == 1


def test_statistics_live_as_long_as_the_rollout(rig: Rig) -> None:
    rig.shadows.offer(request(), result([1.0]))
    rig.lanes.answer(result([1.0], number=2))
    rig.want(RolloutSnapshot(9, 2, RolloutMode.SHADOW, 50.0, tolerance=1.0))
    assert rig.report.compared == 1
    rig.want(RolloutSnapshot(10, 2, RolloutMode.SHADOW, 50.0))
    assert rig.report.compared == 0
    rig.want(RolloutSnapshot(10, 2, RolloutMode.CANARY, 50.0))
    assert not rig.shadows.is_active and not rig.shadows.reports()
    rig.shadows.offer(request(), result([1.0]))
    assert not rig.lanes.copies


def test_large_outputs_are_compared_beside_the_loop(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LIGHT_BYTES", 4)

    async def run() -> None:
        rig.shadows.offer(request(), result([1.0]))
        rig.lanes.answer(result([1.0], number=2))
        assert rig.report.compared == 0
        async with asyncio.timeout(60):
            while not rig.report.compared:
                await asyncio.sleep(0)

    asyncio.run(run())
