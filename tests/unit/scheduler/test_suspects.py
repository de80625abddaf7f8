"""Requests that may have ended their instance: run again alone, where their instance can be spared, and once."""

from __future__ import annotations

import pytest

from proxy.core.errors import QuotaExceeded, Reason
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.scheduler.again import may_run
from proxy.scheduler.offenders import REMEMBERED_NS
from tests.unit.scheduler.rig import Rig, policy


def crash(rig, request):
    """The instance that runs `request` crashes."""
    victim = next(one for one in rig.instances if one.current and request in one.current.requests)
    rig.group.lose(victim)


def running(rig):
    return [list(one.current.requests) for one in rig.instances if one.current]


@pytest.mark.parametrize(
    ("ready", "wanted", "suspects_running", "others_wait", "expected"),
    [
        (2, 2, 0, True, True),  # another goes on serving
        (2, 2, 1, False, False),  # the other one may die, too
        (3, 3, 1, True, True),
        (1, 2, 0, False, False),  # the last one; another will come
        (1, 1, 0, True, False),  # the only one: innocents first
        (1, 1, 0, False, True),
        (1, 1, 1, False, False),
    ],
)
def test_a_suspect_runs_where_its_instance_can_be_spared(ready, wanted, suspects_running, others_wait, expected):
    assert may_run(ready, wanted, suspects_running, others_wait=others_wait) is expected


def test_f4_suspects_leave_the_last_instance_to_others_until_another_is_there():
    rig = Rig(2)
    killer = rig.submit()
    other = rig.submit()  # the second instance
    crash(rig, killer)
    (last,) = rig.instances
    last.finish()
    assert rig.is_right(other)
    assert last.idle, "the suspect must not be given the last instance"
    innocent = rig.submit()
    last.finish()
    assert rig.is_right(innocent)
    rig.group.add()
    assert running(rig) == [[killer]]
    crash(rig, killer)
    assert rig.reason(killer) is Reason.INSTANCE_LOST
    assert killer.attempts == 2
    assert len(rig.instances) == 1, "one instance for one request, after the first"


def test_f4_no_two_suspects_run_where_they_could_end_all_instances():
    rig = Rig(2)
    rig.submit()
    rig.submit()
    first, second = rig.submit(), rig.submit()
    rig.instances[0].finish()  # takes both that wait
    crash(rig, first)
    rig.group.add()
    assert running(rig)[-1] == [first]
    rig.instances[0].finish()
    assert sum(second in batch for batch in running(rig)) == 0
    next(one for one in rig.instances if one.current).finish()
    assert running(rig) == [[second]]


def test_f4_the_only_instance_runs_a_suspect_when_nobody_else_waits():
    rig = Rig(1)
    killer = rig.submit()
    waiting = [rig.submit() for _ in range(6)]
    crash(rig, killer)
    rig.group.add()
    while len(running(rig)[0]) > 1 or running(rig) != [[killer]]:
        rig.instances[0].finish()
    assert all(rig.is_right(request) for request in waiting)


def test_a_suspect_waits_for_half_of_the_time_it_had_left_and_then_runs():
    rig = Rig(2)
    suspect = rig.submit(timeout_ns=NS_PER_S)
    crash(rig, suspect)
    rig.clock.advance(499 * NS_PER_MS)
    assert running(rig) == []
    rig.clock.advance(2 * NS_PER_MS)
    assert running(rig) == [[suspect]]
    rig.instances[0].finish()
    assert rig.is_right(suspect)


def test_no_suspect_waits_behind_one_that_has_more_time():
    rig = Rig(2)
    patient, hasty = rig.submit(timeout_ns=60 * NS_PER_S), rig.submit(timeout_ns=NS_PER_S)
    crash(rig, patient)
    crash(rig, hasty)
    rig.group.add()  # the last one, for a while
    rig.clock.advance(501 * NS_PER_MS)
    assert running(rig) == [[hasty]]
    rig.instances[0].finish()
    assert rig.is_right(hasty)


def test_whose_instance_was_killed_from_outside_is_no_suspect():
    rig = Rig(2)
    request = rig.submit()
    rig.group.lose(rig.instances[0], from_outside=True)
    assert running(rig) == [[request]]
    rig.group.lose(rig.instances[0], from_outside=True)
    assert rig.reason(request) is Reason.INSTANCE_LOST
    rig.group.add()
    again = rig.submit(number=0)
    rig.instances[0].finish()
    assert rig.is_right(again), "chance is no reason to refuse inputs"


def test_a_suspect_that_left_or_ended_is_not_run():
    rig = Rig(2)
    left, late = rig.submit(), rig.submit(timeout_ns=100 * NS_PER_MS)
    crash(rig, left)
    crash(rig, late)
    rig.scheduler.cancel(left)
    rig.clock.advance(200 * NS_PER_MS)
    assert rig.reason(late) is Reason.DEADLINE_EXCEEDED
    rig.group.add()
    rig.group.add()
    assert running(rig) == []
    assert rig.scheduler.is_idle(rig.version.key)


class Killed(Rig):
    """Three instances, one ended in a batch by inputs that then ended another alone."""

    def __init__(self):
        super().__init__(3)
        self.first = self.submit(number=7)
        crash(self, self.first)
        crash(self, self.first)

    def request(self, *args, **more):
        return super().request(*args, **{"number": 7, **more})


def test_f4_inputs_that_ended_two_instances_are_refused_and_cost_no_third():
    rig = Killed()
    assert rig.reason(rig.first) is Reason.INSTANCE_LOST
    repeat = rig.submit()
    assert isinstance(rig.answers[repeat], QuotaExceeded)
    assert rig.reason(repeat) is Reason.REPEAT_OFFENDER
    assert rig.answers[repeat].retry_after_ns
    other = rig.submit(number=8)
    rig.instances[0].finish()
    assert rig.is_right(other)
    rig.clock.advance(REMEMBERED_NS)
    rig.submit()
    assert len(running(rig)) == 1


def test_f4_the_same_inputs_that_wait_already_are_answered_and_not_run():
    rig = Rig(3)
    twins = [rig.submit(number=7) for _ in range(2)]
    busy = rig.submit()
    waiting, innocent = rig.submit(number=7), rig.submit()
    crash(rig, twins[0])  # both now suspects, or waiting for an instance
    rig.group.add()
    for _ in range(10):
        for one in rig.instances:
            if one.current and any(request in (*twins, waiting) for request in one.current.requests):
                rig.group.lose(one)
                rig.group.add()
            elif one.current:
                one.finish()
    assert rig.is_right(busy)
    assert rig.is_right(innocent)
    reasons = {rig.reason(request) for request in (*twins, waiting)}
    assert reasons <= {Reason.INSTANCE_LOST, Reason.REPEAT_OFFENDER}
    assert all(request.attempts <= 2 for request in (*twins, waiting))


def test_f4_a_part_that_ends_instances_takes_the_other_part_beside_it_and_nobody_else():
    rig = Rig(3, the_policy=policy(2))
    killer, *busy = rig.submit(rows=2, number=7), rig.submit(), rig.submit()
    whole = rig.submit(rows=4, number=7)  # its first part has the killer's inputs
    innocent = rig.submit()
    crash(rig, killer)
    rig.instances[0].finish()
    assert [killer] in running(rig)
    crash(rig, killer)
    rig.scheduler.update_policy(rig.version.key, policy(8))  # both parts and the other fit one execution now
    rig.instances[0].finish()
    assert rig.reason(whole) is Reason.REPEAT_OFFENDER
    rig.instances[0].finish()
    assert all(rig.is_right(request) for request in (*busy, innocent))


def test_a_loss_is_explained_just_where_the_model_works_for_others():
    faults = []

    class Watched(Rig):
        def lose(self):
            instance = next(one for one in self.instances if one.current)
            batch, on_done = instance._current
            instance._current = batch, lambda work, fault: (on_done(work, fault), faults.append(fault.is_explained))
            self.group.lose(instance)

    rig = Watched(4)
    rig.submit()
    rig.lose()
    rig.lose()  # alone, the second time: but nothing was ever answered
    rig.submit()
    rig.instances[0].finish()
    rig.submit()
    for _ in range(2):
        rig.group.add()
        rig.lose()
    assert faults == [False, False, False, True]
