"""The scheduler under open-loop load, on a clock that stands still: instances that take 2 ms and 0.1 ms a row."""

from __future__ import annotations

import random

import pytest

from proxy.core.errors import DeadlineExceeded, Rejected
from proxy.core.requests import InferenceResult
from proxy.core.units import NS_PER_MS, NS_PER_S, NS_PER_US
from tests.unit.scheduler.rig import Rig, policy

# 32 rows in 5.2 ms, on two instances.
PEAK_PER_S = 2 * 32 / 0.0052


def service_ns(batch):
    return 2 * NS_PER_MS + 100 * NS_PER_US * batch.rows


class Load:
    """Poisson arrivals at a ratio of the peak, after a warm-up in which the lane learns what an execution takes."""

    def __init__(self, load_ratio, *, seconds=0.4, timeout_ns=100 * NS_PER_MS, seed=1):
        self.seconds = seconds
        self.rig = Rig(2, the_policy=policy(max_rows=32), service_ns=service_ns)
        self.latencies_ns = []
        for _ in range(200):
            self.rig.submit()
        self.rig.clock.advance(NS_PER_S)
        self.rig.answers.clear()
        self.timeout_ns = timeout_ns
        self.arrivals_per_s = load_ratio * PEAK_PER_S
        self.chance = random.Random(seed)
        self.arrivals = 0
        self.go_on(seconds)

    def go_on(self, seconds):
        end_ns = self.rig.clock.now_ns() + int(seconds * NS_PER_S)
        while self.rig.clock.now_ns() < end_ns:
            self.rig.clock.advance(int(self.chance.expovariate(self.arrivals_per_s) * NS_PER_S))
            self.arrivals += 1
            request = self.rig.request(timeout_ns=self.timeout_ns, number=self.arrivals)
            self.rig.scheduler.submit(request, self.on_done)

    def on_done(self, request, outcome):
        self.rig.on_done(request, outcome)
        if isinstance(outcome, InferenceResult):
            self.latencies_ns.append(self.rig.clock.now_ns() - request.arrival_ns)

    @property
    def goodput_per_s(self):
        return len(self.latencies_ns) / self.seconds

    def count(self, kind):
        return sum(isinstance(outcome, kind) for outcome in self.rig.answers.values())


def test_below_peak_everyone_is_answered_in_time():
    load = Load(0.7)
    load.rig.clock.advance(NS_PER_S)
    assert len(load.latencies_ns) == load.arrivals
    assert sorted(load.latencies_ns)[int(0.99 * load.arrivals)] < 20 * NS_PER_MS


@pytest.mark.slow
@pytest.mark.parametrize("timeout_ms", [20, 40, 100])
@pytest.mark.parametrize("load_ratio", [2, 10])
def test_f27_overload_costs_neither_goodput_nor_the_deadlines_of_the_accepted(load_ratio, timeout_ms):
    """A short deadline is refused by prediction, a long one by the queue's bound; both must hold."""
    load = Load(load_ratio, timeout_ns=timeout_ms * NS_PER_MS)
    assert load.goodput_per_s >= 0.95 * PEAK_PER_S
    accepted = load.arrivals - load.count(Rejected)
    assert load.count(DeadlineExceeded) <= 0.01 * accepted
    assert all(
        0 < outcome.retry_after_ns <= 60 * NS_PER_S
        for outcome in load.rig.answers.values()
        if isinstance(outcome, Rejected)
    )
    load.rig.clock.advance(NS_PER_S)
    assert load.rig.lane.queue_depth == load.rig.lane.in_flight == 0


def test_f27_service_is_back_to_normal_at_once_after_the_load_ends():
    rig = Load(10, seconds=0.1).rig
    rig.clock.advance(100 * NS_PER_MS)
    request = rig.request(timeout_ns=10 * NS_PER_MS, number=0)
    rig.scheduler.submit(request, rig.on_done)
    rig.clock.advance(3 * NS_PER_MS)
    assert rig.is_right(request)


@pytest.mark.slow
def test_f27_executions_that_suddenly_take_longer_cost_no_goodput_once_that_is_known():
    """Three times as slow in the middle of twice the peak; what waits was admitted on the old promise."""
    load = Load(2, seconds=0.1, timeout_ns=60 * NS_PER_MS)
    for instance in load.rig.instances:
        instance.service_ns = lambda batch: 3 * service_ns(batch)
    load.go_on(0.2)
    answered = len(load.latencies_ns)
    load.go_on(0.4)
    assert (len(load.latencies_ns) - answered) / 0.4 >= 0.95 * PEAK_PER_S / 3


@pytest.mark.slow
@pytest.mark.parametrize("slower", [3, 10])
def test_f38_starved_instances_are_shed_for_by_their_measured_times_and_nothing_collapses(slower):
    """A neighbour takes the core (cpu.max 10 %): what is still accepted is answered in time, and all of it is used."""
    load = Load(0.8, timeout_ns=300 * NS_PER_MS)
    for instance in load.rig.instances:
        instance.service_ns = lambda batch: slower * service_ns(batch)
    load.go_on(2.0)  # the prediction learns it; who was accepted before that is known may be late
    before, late = len(load.latencies_ns), load.count(DeadlineExceeded)
    load.go_on(1.0)
    starved_peak_per_s = PEAK_PER_S / slower
    assert len(load.latencies_ns) - before >= 0.9 * starved_peak_per_s
    assert load.count(DeadlineExceeded) - late <= 0.02 * starved_peak_per_s
    for instance in load.rig.instances:
        instance.service_ns = service_ns
    load.go_on(0.5)
    before = len(load.latencies_ns)
    load.go_on(0.5)
    assert len(load.latencies_ns) - before >= 0.95 * 0.8 * PEAK_PER_S * 0.5, "no metastable tail"
