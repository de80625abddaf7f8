"""The parts of a request's time: never negative, and their sum is the total, whatever came of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.batches import BatchOutputs, BatchResult, Run
from proxy.core.requests import InferenceRequest
from proxy.metrics.request_parts import Moments, split
from proxy.testing.instances import fake_version

OUTPUTS = BatchOutputs((), 1, batched=True)
MOMENT = st.integers(min_value=0, max_value=1_000)


def asked(queued: int = 0, idle: int = 0, dispatched: int = 0, *, run: bool = True) -> InferenceRequest:
    request = InferenceRequest(fake_version(), (), 1, 100, 10_000)
    request.queued_ns, request.idle_ns, request.dispatched_ns = queued, idle, dispatched
    request.run = Run(1, "echo/1#1", 1, 1) if run and dispatched else None
    return request


def test_an_executed_request() -> None:
    execution = BatchResult(OUTPUTS, 40, 60, input_ns=5, output_ns=5)
    parts = split(asked(140, 150, 170), Moments(110, 0, 0, 240, 250), execution)
    assert parts == (
        ("body", 10), ("parse", 30), ("queue", 10), ("batch", 20),
        ("input", 5), ("compute", 40), ("output", 5), ("message", 20), ("write", 10),
    )  # fmt: skip


def test_a_miss_says_what_the_look_up_took() -> None:
    parts = dict(split(asked(140, 130, 140), Moments(110, 120, 135, 200, 210), BatchResult(OUTPUTS, 60, 60)))
    assert parts == {"body": 10, "parse": 15, "cache": 15, "compute": 60, "write": 10}


def test_a_hit_has_no_queue_and_no_compute() -> None:
    parts = dict(split(asked(), Moments(110, 120, 135, 136, 150), None))
    assert parts == {"body": 10, "parse": 10, "cache": 15, "write": 15}


def test_one_that_waited_for_an_identical_request() -> None:
    parts = dict(split(asked(), Moments(110, 120, 135, 300, 310), BatchResult(OUTPUTS, 90, 100), is_follower=True))
    assert parts == {"body": 10, "parse": 10, "cache": 15, "shared": 165, "write": 10}


def test_one_that_expired_in_the_queue_and_one_whose_execution_failed() -> None:
    assert dict(split(asked(140), Moments(110, 0, 0, 0, 500), None)) == {"body": 10, "parse": 30, "queue": 360}
    failed = dict(split(asked(140, 120, 150), Moments(110, 0, 0, 0, 500), None))
    assert failed == {"body": 10, "parse": 30, "batch": 10, "failed": 350}


def test_one_in_pieces() -> None:
    parts = dict(split(asked(140, 120, 140, run=False), Moments(110, 0, 0, 400, 420), BatchResult(OUTPUTS, 90, 100)))
    assert parts == {"body": 10, "parse": 30, "pieces": 260, "write": 20}


@given(
    moments=st.builds(Moments, MOMENT, MOMENT, MOMENT, MOMENT, st.integers(min_value=100, max_value=1_000)),
    queued=MOMENT,
    idle=MOMENT,
    dispatched=MOMENT,
    times=st.tuples(MOMENT, MOMENT, MOMENT),
    is_follower=st.booleans(),
)
def test_parts_are_positive_and_end_where_the_last_moment_is(
    moments: Moments, queued: int, idle: int, dispatched: int, times: tuple[int, int, int], is_follower: bool
) -> None:
    execution = BatchResult(OUTPUTS, times[0], 1_000, times[1], times[2])
    parts = split(asked(queued, idle, dispatched), moments, execution, is_follower=is_follower)
    assert all(part_ns > 0 for _, part_ns in parts)
    assert sum(part_ns for _, part_ns in parts) >= moments.answered_ns - 100
    assert len({name for name, _ in parts}) == len(parts)
