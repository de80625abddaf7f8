"""Requests that may have ended their instance: run again alone, where their instance can be spared, and once."""

from __future__ import annotations

import pytest

from proxy.core.errors import QuotaExceeded, Reason
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.scheduler.again import may_run
from proxy.scheduler.culprits import TRIAL_NS
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


def prove(rig):
    """Each instance answers somebody."""
    for _ in rig.instances:
        rig.submit(number=1)
    for one in rig.instances:
        one.finish()


class Killed(Rig):
    """Three instances, one ended by inputs that then ended another, alone, while the third answered somebody."""

    def __init__(self):
        super().__init__(3)
        prove(self)
        self.first = self.submit(number=7)
        other = self.submit(number=1)
        crash(self, self.first)
        next(one for one in self.instances if one.current and other in one.current.requests).finish()
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
    assert rig.lane.executions == 0
    rig.clock.advance(TRIAL_NS)
    prove(rig)
    killer = rig.submit(number=7)
    rig.lose()
    rig.group.add()
    other = rig.submit(number=1)
    next(one for one in rig.instances if one.current and other in one.current.requests).finish()
    assert running(rig) == [[killer]]
    rig.lose()
    assert faults == [False, False, False, True]


def test_a_suspect_is_tried_on_an_instance_that_has_answered_others():
    """One that dies before it ever answered says little about what it ran."""
    rig = Rig(2)
    prove(rig)
    killer = rig.submit(number=7)
    other = rig.submit()
    proven = next(one for one in rig.instances if other in one.current.requests)
    crash(rig, killer)
    fresh = rig.group.add()
    assert fresh.idle
    assert running(rig) == [[other]], "the proven one is busy"
    proven.finish()
    assert proven.current.requests == [killer]


def test_a_version_that_dies_of_everything_makes_nobody_a_killer():
    """A bad driver, say: what was sent then is served as soon as instances live again."""
    rig = Rig(2)
    prove(rig)
    numbers = range(10, 16)
    for _ in range(3):  # clients ask again
        for number in numbers:
            rig.submit(number=number, timeout_ns=60 * NS_PER_S, principal_id="key:innocent")
        for _ in range(40):
            for one in rig.instances:
                if one.current:
                    rig.group.lose(one)
            while len(rig.instances) < 2:
                rig.group.add()
    assert {outcome.reason for outcome in rig.answers.values() if hasattr(outcome, "reason")} == {Reason.INSTANCE_LOST}
    again = [rig.submit(number=number, principal_id="key:innocent") for number in numbers]
    while busy := [one for one in rig.instances if one.current]:
        busy[0].finish()
    assert all(rig.is_right(request) for request in again)
    assert not rig.scheduler._lanes[rig.version.key].offenders.are_known, "they were answered right since"


def test_whom_another_s_end_speaks_for_is_a_killer_no_more():
    rig = Killed()
    assert rig.reason(rig.submit()) is Reason.REPEAT_OFFENDER
    for number in (8, 9):
        victim = rig.submit(number=number)
        while victim not in rig.answers:
            crash(rig, victim)
            rig.group.add()
            rig.group.add()
    again = rig.submit()
    while busy := [one for one in rig.instances if one.current]:
        busy[0].finish()
    assert rig.is_right(again)


def test_other_instances_of_the_same_version_know_no_killers():
    rig = Killed()
    assert rig.reason(rig.submit()) is Reason.REPEAT_OFFENDER
    rig.group.version = rig.version
    rig.scheduler.attach(rig.version.key, rig.group, policy())
    again = rig.submit()
    rig.instances[0].finish()
    assert rig.is_right(again)
