"""An execution for which a better placed request waits goes when that would have gone."""

from __future__ import annotations

import pytest

from proxy.core.requests import InferenceResult
from proxy.core.units import NS_PER_MS, NS_PER_S
from tests.unit.scheduler.rig import Rig, policy


def crowded(**more):
    """An instance that is busy, and twenty requests of one key that wait, of the lowest of two priorities."""
    rig = Rig(the_policy=policy(max_rows=1, priority_levels=2, default_priority=2, **more))
    rig.submit(principal_id="key:crowd")
    return rig, [rig.submit(principal_id="key:crowd") for _ in range(20)]


def order(rig):
    """Numbers in the order in which they are executed."""
    while rig.instances[0].current:
        rig.instances[0].finish()
    return [numbers[0] for numbers in rig.batch_numbers()][1:]


@pytest.mark.parametrize("at", [0, 10, 19])
def test_the_place_of_another_key_is_lent(at):
    rig, crowd = crowded()
    leader = crowd[at]
    number = rig.numbers[leader]
    rig.scheduler.join(leader, rig.request(principal_id="key:quiet"))
    executed = order(rig)
    # A newcomer's credit of 8 rows puts it in front; what stands in front already is not moved.
    assert executed.index(number) == 0
    assert sorted(executed) == list(range(1, 21))
    assert all(isinstance(rig.answers[request], InferenceResult) for request in crowd)


def test_a_higher_priority_is_lent():
    rig, crowd = crowded(fair_share=False)
    rig.scheduler.join(crowd[15], rig.request(priority=1))
    assert order(rig)[0] == 16


@pytest.mark.parametrize("follower", [{"principal_id": "key:crowd"}, {"principal_id": "key:crowd", "priority": 2}])
def test_the_same_place_moves_nothing(follower):
    rig, crowd = crowded()
    rig.scheduler.join(crowd[15], rig.request(**follower))
    assert order(rig) == list(range(1, 21))


def test_a_worse_place_moves_nothing():
    rig, _ = crowded()
    quick = rig.submit(principal_id="key:quiet", priority=1)
    number = rig.numbers[quick]
    rig.scheduler.join(quick, rig.request(principal_id="key:crowd"))
    rig.scheduler.join(quick, rig.request(principal_id="key:other", priority=2))
    assert order(rig)[0] == number


def test_a_key_with_as_long_a_line_lends_nothing():
    rig, crowd = crowded()
    for _ in range(30):
        rig.submit(principal_id="key:other")
    rig.scheduler.join(crowd[3], rig.request(principal_id="key:other"))
    executed = [number for number in order(rig) if number <= 20]
    assert executed == list(range(1, 21))


def test_its_deadline_stays_the_leaders():
    rig, _ = crowded()
    leader = rig.submit(principal_id="key:crowd", timeout_ns=50 * NS_PER_MS)
    rig.scheduler.join(leader, rig.request(principal_id="key:quiet", timeout_ns=NS_PER_S))
    rig.clock.advance(60 * NS_PER_MS)
    assert rig.reason(leader) == "deadline_exceeded"


def test_what_runs_or_is_answered_or_unknown_is_left_alone():
    rig, crowd = crowded()
    running = next(iter(rig.numbers))
    for leader in (running, rig.request()):
        rig.scheduler.join(leader, rig.request(principal_id="key:quiet"))
    assert order(rig) == list(range(1, 21))
    rig.scheduler.join(crowd[0], rig.request(principal_id="key:quiet"))


def test_with_ageing_a_level_counts_as_much_as_its_time():
    rig, crowd = crowded(fair_share=False, ageing_ns=100 * NS_PER_MS)
    rig.clock.advance(150 * NS_PER_MS)
    rig.scheduler.join(crowd[15], rig.request(priority=1))
    assert order(rig) == list(range(1, 21)), "it has waited for longer than the level is worth"
