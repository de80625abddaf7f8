"""Clients that call again when they are answered, on a clock that stands still: how full batches are, and at what cost.

`docs/decisions/0015-waiting-for-callers.md` quotes the table that this prints:
PYTHONPATH=. python tests/simulation/test_returning_callers.py
"""

from __future__ import annotations

import random

import pytest

from proxy.core.units import NS_PER_MS, NS_PER_S, NS_PER_US
from proxy.scheduler.callers import Callers
from tests.unit.scheduler.rig import Rig, policy

MEDIUM = (3 * NS_PER_MS, 100 * NS_PER_US)  # fixed cost and cost of a row
SMALL = (80 * NS_PER_US, 2 * NS_PER_US)


def closed_loop(clients, cost, *, instances=1, round_trip_us=300, max_rows=32, seconds=1.0, learning_s=0.5, seed=1):
    """Requests/s and rows an execution, once the lane has learnt for `learning_s`."""
    fixed_ns, row_ns = cost
    chance = random.Random(seed)
    rig = Rig(instances, the_policy=policy(max_rows=max_rows), service_ns=lambda b: fixed_ns + row_ns * b.rows)
    clock, answered = rig.clock, [0]

    def call():
        rig.scheduler.submit(rig.request(timeout_ns=10 * NS_PER_S), back)

    def back(request, outcome):
        answered[0] += 1
        clock.call_later(chance.uniform(0.5, 1.5) * round_trip_us / 1e6, call)

    for _ in range(clients):
        call()
    clock.advance(int(learning_s * NS_PER_S))
    answered[0] = 0
    before = len(rig.executions)
    clock.advance(int(seconds * NS_PER_S))
    rows = [execution[1] for execution in rig.executions[before:]]
    return answered[0] / seconds, sum(rows) / len(rows)


def without_waiting(monkeypatch):
    monkeypatch.setattr(Callers, "expected", lambda self, now_ns: 0)


@pytest.mark.parametrize("instances", [1, 2])
@pytest.mark.parametrize("clients", [16, 24])
def test_batches_fill_where_callers_come_back(clients, instances, monkeypatch):
    waiting, rows = closed_loop(clients, MEDIUM, instances=instances)
    without_waiting(monkeypatch)
    plain, plain_rows = closed_loop(clients, MEDIUM, instances=instances)
    assert rows > 1.3 * plain_rows
    assert waiting > plain


def test_one_caller_never_waits(monkeypatch):
    waiting = closed_loop(1, MEDIUM)
    without_waiting(monkeypatch)
    assert waiting == closed_loop(1, MEDIUM)


@pytest.mark.parametrize("clients", [1, 2, 16, 64])
def test_a_fast_model_never_waits(clients, monkeypatch):
    """Nearly 400 executions or more: one wait among them makes the numbers differ."""
    waiting = closed_loop(clients, SMALL, seconds=0.15, learning_s=0.05)
    without_waiting(monkeypatch)
    assert waiting == closed_loop(clients, SMALL, seconds=0.15, learning_s=0.05)


@pytest.mark.parametrize("clients", [2, 4, 64])
def test_waiting_costs_next_to_nothing_where_it_cannot_help(clients, monkeypatch):
    """Callers that take 20 ms to come back are not waited for, once that is known."""
    waiting, _ = closed_loop(clients, MEDIUM, round_trip_us=20_000)
    without_waiting(monkeypatch)
    plain, _ = closed_loop(clients, MEDIUM, round_trip_us=20_000)
    assert waiting > 0.97 * plain


@pytest.mark.parametrize("clients", [2, 8, 32])
def test_instances_share_the_work_where_rows_take_the_time(clients, monkeypatch):
    heavy_rows = (2 * NS_PER_MS, NS_PER_MS)
    waiting, _ = closed_loop(clients, heavy_rows, instances=2)
    without_waiting(monkeypatch)
    plain, _ = closed_loop(clients, heavy_rows, instances=2)
    assert waiting > 0.97 * plain


if __name__ == "__main__":
    patch = pytest.MonkeyPatch()
    for clients in (1, 4, 16, 24, 64, 128):
        for instances in (1, 2):
            new = closed_loop(clients, MEDIUM, instances=instances)
            with patch.context() as context:
                without_waiting(context)
                old = closed_loop(clients, MEDIUM, instances=instances)
            print(
                f"{clients:4} clients, {instances} instances: {old[0]:7.0f}/s {old[1]:5.1f} rows -> "
                f"{new[0]:7.0f}/s {new[1]:5.1f} rows"
            )
