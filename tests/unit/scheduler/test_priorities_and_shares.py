"""Who goes first, who gives way: priorities with ageing, fair shares between keys, displacement from a full queue."""

from __future__ import annotations

import pytest
from rig import Rig, policy

from proxy.core.errors import Reason, Rejected
from proxy.core.requests import InferenceResult
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.scheduler.flows import CREDIT
from proxy.testing.instances import echo, fake_version

LONG = 60 * NS_PER_S


def finish_all(rig):
    while rig.instances[0].current:
        rig.instances[0].finish()


def order(rig):
    return [number for batch in rig.batch_numbers() for number in batch]


def test_a_higher_priority_goes_first_and_within_one_the_first_come():
    rig = Rig(the_policy=policy(max_rows=1))
    rig.submit()
    for priority in (3, 2, 1, 3, 1, 0):
        rig.submit(priority=priority)
    finish_all(rig)
    assert order(rig) == [0, 3, 5, 2, 6, 1, 4]  # one that names none is in level 2


def test_a_priority_below_the_lowest_level_is_the_lowest():
    rig = Rig(the_policy=policy(max_rows=1, priority_levels=2))
    rig.submit()
    for priority in (9, 2, 1):
        rig.submit(priority=priority)
    finish_all(rig)
    assert order(rig) == [0, 3, 1, 2]


def test_waiting_one_ageing_time_counts_as_much_as_one_level():
    rig = Rig(the_policy=policy(max_rows=1, ageing_ns=10 * NS_PER_MS))
    rig.submit(timeout_ns=LONG)
    rig.submit(timeout_ns=LONG, priority=2)
    rig.clock.advance(9 * NS_PER_MS)
    rig.submit(timeout_ns=LONG, priority=1)  # came within the ageing time: goes first
    rig.clock.advance(2 * NS_PER_MS)
    rig.submit(timeout_ns=LONG, priority=1)
    finish_all(rig)
    assert order(rig) == [0, 2, 1, 3]


def test_without_ageing_priorities_are_strict():
    rig = Rig(the_policy=policy(max_rows=1, ageing_ns=0))
    rig.submit(timeout_ns=LONG)
    rig.submit(timeout_ns=LONG, priority=2)
    rig.clock.advance(20 * NS_PER_S)
    rig.submit(timeout_ns=LONG, priority=1)
    finish_all(rig)
    assert order(rig) == [0, 2, 1]


def test_a_batch_is_filled_from_lower_levels_when_the_higher_ones_are_empty():
    rig = Rig(the_policy=policy(max_rows=3))
    rig.submit()
    for priority in (3, 2, 1):
        rig.submit(priority=priority)
    rig.instances[0].finish()
    assert rig.batch_numbers() == [[0], [3, 2, 1]]


def test_keys_take_turns_in_proportion_to_their_weights():
    rig = Rig(the_policy=policy(max_rows=1))
    rig.submit()
    for _ in range(12):
        rig.submit(principal_id="a", weight=1)
    for _ in range(12):
        rig.submit(principal_id="b", weight=3)
    for _ in range(8):
        rig.instances[0].finish()
    keys = ["a" if 1 <= number <= 12 else "b" for number in order(rig)[1:]]
    assert keys.count("b") == 6
    assert keys.count("a") == 2


def test_a_share_counts_rows_not_requests():
    rig = Rig(the_policy=policy(max_rows=4))
    rig.submit(rows=4)
    for _ in range(4):
        rig.submit(rows=4, principal_id="a")
    for _ in range(8):
        rig.submit(rows=1, principal_id="b")
    for _ in range(4):
        rig.instances[0].finish()
    executed = order(rig)[1:]
    assert sum(4 for number in executed if number <= 4) == 8
    assert sum(1 for number in executed if number > 4) == 8


def test_a_key_that_was_idle_saves_up_no_more_turns_than_its_credit():
    rig = Rig(the_policy=policy(max_rows=1))
    for _ in range(100):
        rig.submit(principal_id="a")
    for _ in range(40):
        rig.instances[0].finish()
    for _ in range(30):
        rig.submit(principal_id="b")
    for _ in range(int(CREDIT) + 20):
        rig.instances[0].finish()
    keys = ["a" if number < 100 else "b" for number in order(rig)[41:]]
    assert keys[: int(CREDIT)] == ["b"] * int(CREDIT)
    assert keys[int(CREDIT) :].count("b") in (10, 11)


def test_without_fair_share_first_come_goes_first():
    rig = Rig(the_policy=policy(max_rows=1, fair_share=False))
    rig.submit()
    for key in "aaabb":
        rig.submit(principal_id=key)
    finish_all(rig)
    assert order(rig) == [0, 1, 2, 3, 4, 5]


def test_f29_a_newcomer_takes_the_place_of_the_newest_of_the_key_that_has_most():
    rig = Rig(the_policy=policy(max_rows=1, max_requests=4))
    rig.submit(principal_id="a")
    crowd = [rig.submit(principal_id="a") for _ in range(4)]
    newcomer = rig.submit(principal_id="b")
    error = rig.answers[crowd[-1]]
    assert isinstance(error, Rejected)
    assert error.reason is Reason.FAIR_SHARE
    assert error.retry_after_ns > 0
    assert rig.lane.displaced == 1
    again = rig.submit(principal_id="b")
    assert rig.reason(crowd[-2]) is Reason.FAIR_SHARE  # two each now
    third = rig.submit(principal_id="b")
    assert rig.reason(third) is Reason.QUEUE_FULL  # b would have more than a
    own = rig.submit(principal_id="a")
    assert rig.reason(own) is Reason.QUEUE_FULL
    finish_all(rig)
    assert all(isinstance(rig.answers[request], InferenceResult) for request in (*crowd[:2], newcomer, again))
    assert rig.lane.reasons[Reason.FAIR_SHARE] == 2


def test_a_heavier_key_may_hold_more_places():
    rig = Rig(the_policy=policy(max_rows=1, max_requests=6))
    rig.submit()
    light = [rig.submit(principal_id="a", weight=1) for _ in range(6)]
    for _ in range(4):
        rig.submit(principal_id="b", weight=2)
    assert sum(request in rig.answers for request in light) == 4
    refused = rig.submit(principal_id="b", weight=2)
    assert rig.reason(refused) is Reason.QUEUE_FULL


def test_a_higher_priority_takes_the_place_of_the_newest_of_the_lowest():
    rig = Rig(the_policy=policy(max_rows=1, max_requests=3))
    rig.submit()
    low = [rig.submit(priority=3), rig.submit(priority=3)]
    middle = rig.submit(priority=2)
    high = rig.submit(priority=1)
    assert rig.reason(low[1]) is Reason.FAIR_SHARE
    refused = rig.submit(priority=3)
    assert rig.reason(refused) is Reason.QUEUE_FULL
    assert not {low[0], middle, high} & set(rig.answers)


def test_each_priority_has_its_own_bound_and_gives_way_only_within_itself():
    rig = Rig(the_policy=policy(max_rows=1, max_requests=10, max_requests_per_priority=2))
    rig.submit()
    low = [rig.submit(priority=3, principal_id="a") for _ in range(2)]
    refused = rig.submit(priority=3, principal_id="a")
    assert rig.reason(refused) is Reason.QUEUE_FULL
    assert "this priority" in rig.answers[refused].message
    high = [rig.submit(priority=1, principal_id="a") for _ in range(2)]
    assert not {*low, *high} & set(rig.answers)
    full = rig.submit(priority=1, principal_id="a")
    assert rig.reason(full) is Reason.QUEUE_FULL  # the low ones keep their places


def test_a_displaced_request_was_never_run_and_its_place_is_counted_once():
    rig = Rig(the_policy=policy(max_rows=1, max_requests=2))
    rig.submit(principal_id="a")
    displaced = [rig.submit(principal_id="a") for _ in range(2)][-1]
    rig.submit(principal_id="b")
    assert displaced.attempts == 0
    assert rig.lane.queue_depth == 2


def test_whoever_is_sent_again_by_a_displaced_answer_finds_the_queue_as_full_as_it_is():
    rig = Rig(the_policy=policy(max_rows=1, max_requests=4))
    followers = []

    def hand_over(request, outcome):  # as an identical request does that waited for this one's execution
        rig.on_done(request, outcome)
        followers.append(rig.submit(principal_id="b"))

    rig.submit(principal_id="a")
    for _ in range(4):
        rig.scheduler.submit(rig.request(principal_id="a", timeout_ns=LONG), hand_over)
    newcomer = rig.submit(principal_id="b")
    assert newcomer not in rig.answers
    assert rig.lane.queue_depth == 4
    finish_all(rig)
    assert all(request in rig.answers for request in followers)


@pytest.mark.parametrize("keys", [2, 50])
def test_what_was_learnt_of_crowds_is_forgotten_when_they_have_gone(keys):
    rig = Rig(the_policy=policy(max_rows=1, max_requests=20))
    for turn in range(5):
        for index in range(30 * keys):
            rig.submit(principal_id=f"{turn}-{index % keys}", timeout_ns=LONG)
        finish_all(rig)
    queue = rig.scheduler._lanes["echo/1"].queue
    assert queue._longest == {}
    assert len(queue._levels[2].flows) < 4 * keys + 70
    assert queue.places == 0


@pytest.mark.parametrize("trailing", [None, (1,)])
def test_keys_that_came_once_are_not_remembered_for_ever(trailing):
    rig = Rig(service_ns=NS_PER_MS, version=fake_version(trailing=(-1,)) if trailing else None)
    for index in range(3_000):
        rig.submit(principal_id=f"key:{index}", timeout_ns=LONG, trailing=trailing or (2,))
        rig.submit(principal_id=f"key:{index + 1}", timeout_ns=LONG, trailing=(1 + index % 3,) if trailing else (2,))
        rig.clock.advance(3 * NS_PER_MS)
    queue = rig.scheduler._lanes["echo/1"].queue
    level = queue._levels[2]
    assert rig.lane.queue_depth == 0
    assert len(level.flows) < 200
    assert len(level.listed) < 200
    assert all(len(listed) < 200 for group in queue._groups.values() for listed in group.levels.values())
    assert all(len(group.lines) < 200 for group in queue._groups.values())


def test_keys_that_came_once_to_a_queue_that_never_empties_are_not_remembered_for_ever():
    rig = Rig(service_ns=NS_PER_MS, the_policy=policy(max_rows=1))
    for _ in range(50):
        rig.submit(principal_id="a", timeout_ns=LONG)
    for index in range(3_000):
        rig.submit(principal_id=f"key:{index}", timeout_ns=LONG)
        rig.clock.advance(NS_PER_MS)
    level = rig.scheduler._lanes["echo/1"].queue._levels[2]
    assert rig.lane.queue_depth > 40
    assert len(level.flows) < 200
    assert len(level.listed) < 200


def test_a_key_under_its_share_is_not_predicted_late_for_the_backlog_of_another():
    rig = Rig(the_policy=policy(max_rows=1), service_ns=10 * NS_PER_MS)
    rig.submit(timeout_ns=LONG)
    rig.clock.advance(10 * NS_PER_MS)
    for _ in range(500):
        rig.submit(principal_id="a", timeout_ns=LONG)
    quiet = rig.submit(principal_id="b", timeout_ns=100 * NS_PER_MS)
    late = rig.submit(principal_id="a", timeout_ns=100 * NS_PER_MS)
    assert rig.reason(late) is Reason.PREDICTED_LATE
    rig.clock.advance(100 * NS_PER_MS)
    assert rig.is_right(quiet)


def test_while_keys_contend_a_full_execution_waits_for_no_callers():
    rig = Rig(the_policy=policy(16, contended_rows=2), service_ns=4 * NS_PER_MS)
    rig.submit(principal_id="flood")
    for key in ("quiet", "flood", "flood"):
        rig.submit(principal_id=key)
    rig.clock.advance(4 * NS_PER_MS)  # who is quiet has gone while others waited: they contend
    for _ in range(4):
        rig.submit(principal_id="flood")
    rig.clock.advance(4 * NS_PER_MS)  # three callers were answered and may be back soon
    assert rig.instances[0].current.rows == 2


def test_while_keys_contend_a_shape_that_fills_an_execution_waits_behind_no_other_shapes_company():
    def slow(batch):
        result = echo(batch)
        result.service_ns = NS_PER_S  # so that waiting for company pays
        return result

    the_policy = policy(8, 10 * NS_PER_MS, contended_rows=2)
    rig = Rig(the_policy=the_policy, version=fake_version(trailing=(-1,)), respond=slow)
    for key in ("flood", "quiet", "flood"):
        rig.submit(principal_id=key, trailing=(1,))
    rig.clock.advance(10 * NS_PER_MS)
    rig.instances[0].finish()
    rig.submit(principal_id="flood", timeout_ns=LONG, trailing=(1,))
    assert not rig.instances[0].current
    for _ in range(2):
        rig.submit(principal_id="flood", timeout_ns=LONG, trailing=(2,))
    assert rig.instances[0].current.rows == 2
