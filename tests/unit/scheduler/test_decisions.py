"""The pure decisions of the scheduler, by table."""

from __future__ import annotations

import random

import pytest

from proxy.core.batches import BatchFault
from proxy.core.errors import Reason
from proxy.core.hints import LONGEST_RETRY_NS
from proxy.core.policies import BatchingPolicy, Placement
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.scheduler.admission import Bounds, Reject, admit, margin_ns, retry_after_ns
from proxy.scheduler.batching import BatchReason, Dispatch, Waiting, WaitUntil, form_batch
from proxy.scheduler.gradient_limit import GradientLimit, next_limit
from proxy.scheduler.isolation import Verdict, halves, judge
from proxy.scheduler.latency_model import LatencyModel, padded_size
from proxy.scheduler.measurements import Measurements
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
    assert admit(Bounds(depth, 10), wait_ns, service_ns, deadline_ns, now_ns=10) == expected


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (Bounds(5, 10, 3, 3), Reject(Reason.QUEUE_FULL, 7, level=True)),
        (Bounds(5, 10, 2, 3), None),
        (Bounds(5, 10, in_lane=8, limit=8), Reject(Reason.CONCURRENCY_LIMIT, 7)),
        (Bounds(5, 10, in_lane=7, limit=8), None),
        (Bounds(10, 10), Reject(Reason.QUEUE_FULL, 7)),
        (Bounds(9, 10), None),
    ],
)
def test_admission_names_the_bound_that_was_met(bounds, expected):
    assert admit(bounds, 7, 0, NS_PER_S, now_ns=0) == expected


def test_hints_to_return_are_spread_and_never_before_the_predicted_drain():
    chance = random.Random(1)
    hints = [retry_after_ns(2 * NS_PER_S, chance) for _ in range(200)]
    assert 2 * NS_PER_S <= min(hints) < 2.2 * NS_PER_S
    assert 3.8 * NS_PER_S < max(hints) <= 4 * NS_PER_S
    assert {-(-hint // NS_PER_S) for hint in hints} == {3, 4}  # what the header says
    assert retry_after_ns(NS_PER_S * 3_600, chance) == LONGEST_RETRY_NS


def test_the_gradient_limit_matches_the_vector_of_its_source():
    assert next_limit(100, 10, 20, 50, 20, 200) == pytest.approx(95.8)
    assert next_limit(100, 10, 20, 49, 20, 200) == 100
    assert next_limit(100, 10, 10, 100, 20, 200) == pytest.approx(100.8)
    assert next_limit(20, 10, 1_000, 20, 20, 200) == 20


def test_the_gradient_limit_grows_while_service_times_hold_and_falls_when_they_rise():
    limit = GradientLimit(20)
    now_ns = 0
    for _ in range(300):
        now_ns += NS_PER_S // 10
        limit.observe(NS_PER_MS, 1_000, 20, 100, now_ns)
    grown = limit.limit
    assert grown > 35
    for _ in range(100):
        now_ns += NS_PER_S // 10
        limit.observe(10 * NS_PER_MS, 1_000, 20, 100, now_ns)
    assert limit.limit < grown


def line(alpha_ns=0, beta_ns=0, padded=()):
    model = LatencyModel()
    model.alpha_ns, model.beta_ns, model.padded = alpha_ns, beta_ns, padded
    return model


def batching(rows=1, oldest_ns=0, deadline_ns=NS_PER_S, delay_ns=5, now_ns=0, preferred=(), pace=None, **more):
    waiting = Waiting(rows, rows, oldest_ns, deadline_ns, **more)
    return form_batch(waiting, pace or line(), 4, BatchingPolicy(4, delay_ns, preferred), now_ns)


def test_without_a_delay_a_batch_leaves_at_once():
    assert batching(delay_ns=0) == Dispatch(BatchReason.NO_DELAY)


def test_a_full_batch_leaves_at_once():
    assert batching(rows=4) == Dispatch(BatchReason.FULL)
    assert batching(rows=9) == Dispatch(BatchReason.FULL)


def test_a_preferred_size_leaves_at_once_and_no_larger():
    assert batching(rows=3, preferred=(2,)) == Dispatch(BatchReason.PREFERRED, 2)
    assert batching(rows=3, preferred=(2, 3)) == Dispatch(BatchReason.PREFERRED, 3)
    assert batching(rows=1, preferred=(2, 3)) == WaitUntil(5)
    assert batching(rows=3, preferred=(2,), now_ns=5) == Dispatch(BatchReason.DELAY_OVER)


def test_a_batch_waits_for_company_no_longer_than_the_delay_of_its_first_request():
    assert batching(oldest_ns=100, now_ns=103) == WaitUntil(105)
    assert batching(oldest_ns=100, now_ns=105) == Dispatch(BatchReason.DELAY_OVER)


def test_a_batch_never_waits_past_the_last_moment_at_which_its_first_request_can_meet_its_deadline():
    pace = line(100)
    assert batching(delay_ns=1_000, deadline_ns=500, pace=pace, now_ns=0) == WaitUntil(400)
    assert batching(delay_ns=1_000, deadline_ns=500, pace=pace, now_ns=400) == Dispatch(BatchReason.DEADLINE_NEAR)


def test_a_batch_waits_only_while_the_fitted_line_says_that_waiting_pays():
    """One waits, the fixed cost is 100, a row takes 10: waiting pays while the next is expected within 45."""
    pace = line(100, 10)
    not_worth = Dispatch(BatchReason.NOT_WORTH_WAITING)
    assert batching(delay_ns=1_000, pace=pace, gap_ns=44, arrived_ns=0) == WaitUntil(45)
    assert batching(delay_ns=1_000, pace=pace, gap_ns=45, arrived_ns=0) == not_worth
    assert batching(delay_ns=1_000, pace=pace, gap_ns=10, arrived_ns=0, now_ns=45) == not_worth
    assert batching(delay_ns=1_000, pace=pace, gap_ns=10, arrived_ns=0, idle=2) == not_worth
    assert batching(delay_ns=30, pace=pace, gap_ns=10, arrived_ns=0) == WaitUntil(30)
    assert batching(rows=3, delay_ns=1_000, pace=line(20, 10), gap_ns=1, arrived_ns=0) == not_worth


def test_rows_are_padded_to_the_next_allowed_size_and_predicted_so():
    assert [padded_size(rows, (4, 8)) for rows in (1, 4, 5, 8, 9)] == [4, 4, 8, 8, 9]
    pace = line(100, 10, (4, 8))
    assert [pace.predict_ns(rows) for rows in (1, 4, 5, 9)] == [140, 140, 180, 190]
    assert [pace.rows_within(ns) for ns in (99, 130, 140, 179, 180, 500)] == [0, 0, 4, 4, 8, 40]


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
        self.idle = not outstanding


def records(**turns_and_costs):
    made = {}
    for key, (turn, cost) in turns_and_costs.items():
        made[key] = InstanceRecord()
        made[key].last_turn = turn
        if cost:
            made[key].response.observe(cost, 0)
    return made


def chosen(ready, placement, known, batches=1.0):
    idle = [instance for instance in ready if instance.idle]
    found = place(ready, idle, placement, known, batches, 0, random.Random(1))
    return found and found.instance_id


def test_each_placement_prefers_what_its_name_says():
    ready = [Idle("a"), Idle("b"), Idle("c")]
    known = records(a=(3, 10), b=(2, 1_000), c=(1, 500))
    assert chosen(ready, Placement.ROUND_ROBIN, known) == "c"
    assert chosen(ready, Placement.LEAST_OUTSTANDING, known) == "c"
    assert chosen(ready, Placement.LEAST_RESPONSE_TIME, known) == "a"
    rng = random.Random(1)
    drawn = [place(ready, ready, Placement.RANDOM, known, 1, 0, rng).instance_id for _ in range(300)]
    assert all(80 < drawn.count(name) < 120 for name in "abc")
    drawn = [place(ready, ready, Placement.POWER_OF_TWO_CHOICES, known, 1, 0, rng).instance_id for _ in range(300)]
    assert drawn.count("b") == 0  # the slowest wins no pair
    assert drawn.count("a") > 1.5 * drawn.count("c")


@pytest.mark.parametrize(
    "placement", [Placement.ROUND_ROBIN, Placement.LEAST_OUTSTANDING, Placement.LEAST_RESPONSE_TIME]
)
def test_an_instance_never_tried_comes_first_and_equals_go_round(placement):
    instances = [Idle("a"), Idle("b"), Idle("c")]
    assert chosen(instances, placement, records(a=(1, 5), b=(2, 5))) == "c"
    assert chosen(instances, placement, records(a=(4, 5), b=(2, 6), c=(3, 5))) == "b"


@pytest.mark.parametrize("placement", list(Placement))
def test_one_idle_instance_needs_no_choice(placement):
    assert chosen([Idle("a")], placement, {}) == "a"


def test_least_response_time_waits_for_a_fast_instance_unless_much_waits():
    ready = [Idle("fast", 1), Idle("slow")]
    known = records(fast=(1, 1), slow=(2, 5))
    assert chosen(ready, Placement.LEAST_RESPONSE_TIME, known) is None
    assert chosen(ready, Placement.LEAST_RESPONSE_TIME, known, batches=9) == "slow"
    assert chosen(ready, Placement.LEAST_RESPONSE_TIME, records(fast=(1, 1), slow=(2, 2))) == "slow"
    assert chosen(ready, Placement.LEAST_OUTSTANDING, known) == "slow"


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
        (BatchFault("x", lost=True, out_of_memory=True), 9, Verdict.RETRY_HALVES),
        (BatchFault("x", lost=False, out_of_memory=True), 9, Verdict.BISECT),
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


def test_the_error_of_the_line_is_by_how_much_executions_miss_it_and_an_outlier_is_one_execution():
    model = LatencyModel()
    for service_ns in [80, 120] * 40:
        model.observe(4, service_ns)
    assert model.error_ns == pytest.approx(20, abs=2)
    model.observe(4, 10**12)
    assert model.error_ns <= 0.06 * model.predict_ns(4), "it moved the line; as an error it is one execution of that"


def test_the_margin_is_an_eighth_and_more_where_executions_differ():
    assert [margin_ns(800, error_ns) for error_ns in (0, 10, 33, 50)] == [100, 100, 100, 150]
    assert admit(Bounds(0, 10), 300, 500, 905, 0) is None
    late = admit(Bounds(0, 10), 300, 500, 905, 0, 50)
    assert late is not None
    assert late.reason is Reason.PREDICTED_LATE


def test_a_step_is_known_once_more_came_than_by_chance_and_no_clock_makes_the_rate_raise():
    measured = Measurements(0)
    measured.requests = 1
    assert measured.rate_per_ns(1_000) == 0, "one says nothing"
    measured.requests = 100
    assert measured.rate_per_ns(1_000) == pytest.approx(0.08)
    assert measured.rate_per_ns(0) == measured.rate_per_ns(-5) == 0
    measured.began(1, 1, -5)
    measured.began(2, 1, 1_000)
    assert measured.came_per_ns == pytest.approx(0.1)
    assert measured.rate_per_ns(2_000) == pytest.approx(0.1)
