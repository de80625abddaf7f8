"""The pure decisions of the scheduler, by table."""

from __future__ import annotations

import pytest

from proxy.core.batches import BatchFault
from proxy.core.errors import Reason
from proxy.core.policies import BatchingPolicy, Placement
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.scheduler.admission import Reject, admit, predict_wait_ns
from proxy.scheduler.batching import BatchReason, Dispatch, WaitUntil, form_batch
from proxy.scheduler.isolation import Verdict, halves, judge
from proxy.scheduler.latency_model import LatencyModel
from proxy.scheduler.placement import InstanceRecord, PeakEwma, place


@pytest.mark.parametrize(
    ("depth", "wait_ns", "service_ns", "deadline_ns", "expected"),
    [
        (0, 0, 0, 100, None),
        (9, 0, 0, 100, None),
        (10, 7, 0, 100, Reject(Reason.QUEUE_FULL, 7)),
        (11, 7, 0, 100, Reject(Reason.QUEUE_FULL, 7)),
        (1, 50, 30, 100, None),
        (1, 50, 31, 100, Reject(Reason.PREDICTED_LATE, 50)),
        (1, 0, 0, 10, None),
    ],
)
def test_admission_refuses_a_full_queue_and_what_would_be_late(depth, wait_ns, service_ns, deadline_ns, expected):
    assert admit(depth, 10, wait_ns, service_ns, deadline_ns, now_ns=10) == expected


@pytest.mark.parametrize(
    ("rows_ahead", "ready", "expected"), [(0, 1, 50), (16, 1, 100), (32, 1, 150), (64, 2, 125), (64, 0, 250)]
)
def test_the_wait_is_what_is_ahead_at_the_pace_of_full_batches_and_what_runs_over_the_instances(
    rows_ahead, ready, expected
):
    assert predict_wait_ns(rows_ahead, 32, 100, 50, ready) == expected


def batching(rows=1, oldest_ns=0, deadline_ns=NS_PER_S, service_ns=0, delay_ns=5, now_ns=0):
    return form_batch(rows, oldest_ns, deadline_ns, service_ns, BatchingPolicy(4, delay_ns), now_ns)


def test_without_a_delay_a_batch_leaves_at_once():
    assert batching(delay_ns=0) == Dispatch(BatchReason.NO_DELAY)


def test_a_full_batch_leaves_at_once():
    assert batching(rows=4) == Dispatch(BatchReason.FULL)
    assert batching(rows=9) == Dispatch(BatchReason.FULL)


def test_a_batch_waits_for_company_no_longer_than_the_delay_of_its_first_request():
    assert batching(oldest_ns=100, now_ns=103) == WaitUntil(105)
    assert batching(oldest_ns=100, now_ns=105) == Dispatch(BatchReason.DELAY_OVER)


def test_a_batch_never_waits_past_the_last_moment_at_which_its_first_request_can_meet_its_deadline():
    assert batching(delay_ns=1_000, deadline_ns=500, service_ns=100, now_ns=0) == WaitUntil(400)
    assert batching(delay_ns=1_000, deadline_ns=500, service_ns=100, now_ns=400) == Dispatch(BatchReason.DEADLINE_NEAR)


def test_peak_ewma_matches_the_vectors_of_its_source():
    ewma = PeakEwma()
    ewma.observe(100 * NS_PER_MS, 0)
    assert ewma.cost_ns(10 * NS_PER_S) / NS_PER_MS == pytest.approx(36.79, abs=0.01)
    assert ewma.cost_ns(10 * NS_PER_S) * (2 + 1) / NS_PER_MS == pytest.approx(110.4, abs=0.1)


def test_peak_ewma_follows_a_rise_at_once_and_a_fall_slowly():
    ewma = PeakEwma()
    ewma.observe(100, 0)
    ewma.observe(500, 1)
    assert ewma.cost_ns(1) == 500
    ewma.observe(100, 1 + NS_PER_S)
    assert 400 < ewma.cost_ns(1 + NS_PER_S) < 500


class Idle:
    def __init__(self, instance_id, outstanding=0):
        self.instance_id = instance_id
        self.outstanding = outstanding


def records(**turns_and_costs):
    made = {}
    for key, (turn, cost_ns) in turns_and_costs.items():
        made[key] = InstanceRecord()
        made[key].last_turn = turn
        if cost_ns:
            made[key].response.observe(cost_ns, 0)
    return made


@pytest.mark.parametrize(
    ("placement", "chosen"),
    [
        (Placement.ROUND_ROBIN, "c"),
        (Placement.LEAST_OUTSTANDING, "b"),
        (Placement.LEAST_RESPONSE_TIME, "a"),
    ],
)
def test_each_placement_prefers_what_its_name_says(placement, chosen):
    instances = [Idle("a", 1), Idle("b", 0), Idle("c", 1)]
    known = records(a=(3, 10), b=(2, 1_000), c=(1, 500))
    assert place(instances, placement, known, now_ns=0).instance_id == chosen


@pytest.mark.parametrize("placement", list(Placement))
def test_an_instance_never_tried_comes_first_and_equals_go_round(placement):
    instances = [Idle("a"), Idle("b"), Idle("c")]
    assert place(instances, placement, records(a=(1, 5), b=(2, 5)), 0).instance_id == "c"
    assert place(instances, placement, records(a=(4, 5), b=(2, 5), c=(3, 5)), 0).instance_id == "b"


def test_one_idle_instance_needs_no_choice():
    assert place([Idle("a")], Placement.ROUND_ROBIN, {}, 0).instance_id == "a"


def test_the_latency_model_predicts_nothing_before_it_has_seen_anything():
    assert LatencyModel().predict_ns(10) == 0


def test_the_latency_model_recovers_a_line():
    model = LatencyModel()
    for rows in (1, 8, 3, 32, 16, 2, 20, 11):
        model.observe(rows, 1_000_000 + 50_000 * rows)
    assert model.predict_ns(32) == pytest.approx(2_600_000, rel=0.001)
    assert model.predict_ns(1) == pytest.approx(1_050_000, rel=0.001)


def test_the_latency_model_predicts_the_mean_where_sizes_do_not_vary_and_never_below_zero():
    model = LatencyModel()
    for _ in range(5):
        model.observe(8, 2_000)
    assert model.predict_ns(1) == model.predict_ns(32) == 2_000
    assert model.mean_rows == 8
    model.observe(1, 100_000)
    assert model.alpha_ns >= 0
    assert model.beta_ns >= 0
    assert model.predict_ns(0) >= 0


def test_the_latency_model_forgets_an_outlier():
    model = LatencyModel()
    model.observe(1, NS_PER_S)
    for _ in range(200):
        model.observe(1, 1_000)
    assert model.predict_ns(1) < 100_000


@pytest.mark.parametrize(
    ("fault", "requests", "verdict"),
    [
        (BatchFault("x", lost=False), 2, Verdict.BISECT),
        (BatchFault("x", lost=False), 1, Verdict.FAIL_MODEL_ERROR),
        (BatchFault("x", lost=True), 1, Verdict.RETRY_ALONE),
        (BatchFault("x", lost=True), 9, Verdict.RETRY_ALONE),
        (BatchFault("x", lost=True, timed_out=True), 9, Verdict.FAIL_TIMED_OUT),
    ],
)
def test_a_faulted_batch_is_judged_by_its_fault_and_its_size(fault, requests, verdict):
    assert judge(fault, requests) is verdict


def test_halves_lose_nothing_and_differ_by_at_most_one():
    for size in range(2, 20):
        left, right = halves(list(range(size)))
        assert left + right == list(range(size))
        assert 0 <= len(left) - len(right) <= 1
