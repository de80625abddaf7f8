"""The scheduler under open-loop load, on a clock that stands still: instances that take 2 ms and 0.1 ms a row."""

from __future__ import annotations

import random

import pytest

from proxy.core.errors import Reason, Rejected
from proxy.core.requests import InferenceResult
from proxy.core.units import NS_PER_MS, NS_PER_S, NS_PER_US
from tests.unit.scheduler.rig import Rig, policy

# 32 rows in 5.2 ms, on two instances.
PEAK_PER_S = 2 * 32 / 0.0052


def service_ns(batch):
    return 2 * NS_PER_MS + 100 * NS_PER_US * batch.rows


def run(load_ratio, *, seconds=0.4, timeout_ns=100 * NS_PER_MS, seed=1):
    """Poisson arrivals at `load_ratio` × peak; returns (rig, latencies of the answered in ns, arrivals)."""
    rig = Rig(2, the_policy=policy(max_rows=32), service_ns=service_ns)
    chance = random.Random(seed)
    latencies_ns = []
    end_ns = rig.clock.now_ns() + int(seconds * NS_PER_S)

    def on_done(request, outcome):
        rig.on_done(request, outcome)
        if isinstance(outcome, InferenceResult):
            latencies_ns.append(rig.clock.now_ns() - request.arrival_ns)

    arrivals = 0
    while rig.clock.now_ns() < end_ns:
        rig.clock.advance(int(chance.expovariate(load_ratio * PEAK_PER_S) * NS_PER_S))
        request = rig.request(timeout_ns=timeout_ns, number=arrivals)
        arrivals += 1
        rig.scheduler.submit(request, on_done)
    return rig, latencies_ns, arrivals


def test_below_peak_everyone_is_answered_in_time():
    rig, latencies_ns, arrivals = run(0.7)
    rig.clock.advance(NS_PER_S)
    assert len(latencies_ns) == arrivals
    assert sorted(latencies_ns)[int(0.99 * arrivals)] < 20 * NS_PER_MS


@pytest.mark.slow
@pytest.mark.parametrize("load_ratio", [2, 10])
def test_f27_overload_costs_neither_goodput_nor_the_deadlines_of_the_accepted(load_ratio):
    rig, latencies_ns, arrivals = run(load_ratio)
    goodput_per_s = len(latencies_ns) / 0.4
    assert goodput_per_s >= 0.95 * PEAK_PER_S
    refused = [outcome for outcome in rig.answers.values() if isinstance(outcome, Rejected)]
    late = [outcome for outcome in rig.answers.values() if getattr(outcome, "reason", None) is Reason.DEADLINE_EXCEEDED]
    accepted = arrivals - len(refused)
    assert len(late) <= 0.01 * accepted
    assert all(0 < error.retry_after_ns <= 60 * NS_PER_S for error in refused)
    rig.clock.advance(NS_PER_S)
    assert rig.lane.queue_depth == rig.lane.in_flight == 0


def test_f27_service_is_back_to_normal_at_once_after_the_load_ends():
    rig, _, _ = run(10, seconds=0.1)
    rig.clock.advance(100 * NS_PER_MS)
    request = rig.request(timeout_ns=10 * NS_PER_MS, number=0)
    rig.scheduler.submit(request, rig.on_done)
    rig.clock.advance(3 * NS_PER_MS)
    assert rig.is_right(request)
