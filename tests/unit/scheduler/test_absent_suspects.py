"""Whoever was in an execution that failed and does not run again: the same inputs run alone when they come again."""

from __future__ import annotations

import pytest

from proxy.core.batches import BatchFault
from proxy.core.errors import Reason
from proxy.core.policies import RetryPolicy
from proxy.core.units import NS_PER_S
from proxy.scheduler import recovery
from tests.unit.scheduler.rig import Rig, policy

KILLER = 7


def crash(rig, request):
    victim = next(one for one in rig.instances if one.current and request in one.current.requests)
    rig.group.lose(victim)
    rig.group.add()


def running(rig):
    return [list(one.current.requests) for one in rig.instances if one.current]


def finish_all(rig):
    while busy := [one for one in rig.instances if one.current]:
        busy[0].finish()


def proven(instances=2, **options):
    """A rig whose instances have all answered somebody."""
    rig = Rig(instances, **options)
    for _ in rig.instances:
        rig.submit(number=1)
    for one in rig.instances:
        one.finish()
    return rig


def in_company(rig, number=KILLER):
    """(the request of `number`, two beside it), running in one execution."""
    busy = [rig.submit(number=2) for _ in rig.instances]
    target, *others = rig.submit(number=number), rig.submit(number=3), rig.submit(number=4)
    next(one for one in rig.instances if one.current and busy[0] in one.current.requests).finish()
    assert [target, *others] in running(rig)
    return target, others


def test_f4_inputs_whose_client_leaves_while_they_end_an_instance_in_company_end_one_more_at_most():
    rig = proven()
    killer, others = in_company(rig)
    rig.scheduler.cancel(killer)
    crash(rig, others[0])
    finish_all(rig)
    assert all(rig.is_right(request) for request in others)
    for _ in rig.instances:
        rig.submit(number=1)
    finish_all(rig)
    repeat, beside = rig.submit(number=KILLER), rig.submit(number=5)
    assert [repeat] in running(rig), "known, so nobody shares its execution"
    rig.scheduler.cancel(repeat)
    crash(rig, repeat)
    finish_all(rig)
    assert rig.is_right(beside)
    assert rig.reason(rig.submit(number=KILLER)) is Reason.REPEAT_OFFENDER


def test_who_left_beside_the_culprit_is_served_as_any_other():
    rig = proven()
    killer, others = in_company(rig)
    rig.scheduler.cancel(others[0])
    crash(rig, killer)
    while [killer] not in running(rig):  # its trial waits for an instance that has answered somebody
        next(one for one in rig.instances if one.current).finish()
    crash(rig, killer)
    finish_all(rig)
    assert rig.reason(rig.submit(number=KILLER)) is Reason.REPEAT_OFFENDER
    again = rig.submit(number=3)
    finish_all(rig)
    assert rig.is_right(again)
    offenders = rig.scheduler._lanes[rig.version.key].offenders
    assert not offenders.is_known(again, rig.clock.now_ns()), "it was answered, alone"


def test_whom_a_kill_from_outside_met_is_no_suspect_though_nobody_waits_for_it():
    rig = proven()
    left, others = in_company(rig)
    rig.scheduler.cancel(left)
    victim = next(one for one in rig.instances if one.current and others[0] in one.current.requests)
    rig.group.lose(victim, from_outside=True)
    finish_all(rig)
    assert not rig.scheduler._lanes[rig.version.key].offenders.are_known


def test_who_is_not_run_again_since_too_much_is_runs_alone_when_it_comes_again():
    rig = proven(the_policy=policy(retry=RetryPolicy(budget_ratio=0.0)))
    killer, others = in_company(rig)
    crash(rig, killer)
    assert {rig.reason(request) for request in (killer, *others)} == {Reason.INSTANCE_LOST}
    repeat = rig.submit(number=KILLER)
    rig.submit(number=5)
    assert [repeat] in running(rig)


def test_f5_inputs_that_hang_in_company_hang_alone_when_they_come_again():
    rig = proven()
    hanging, others = in_company(rig)
    victim = next(one for one in rig.instances if one.current and hanging in one.current.requests)
    rig.group.lose(victim, timed_out=True)
    rig.group.add()
    assert {rig.reason(request) for request in (hanging, *others)} == {Reason.EXECUTION_TIMEOUT}
    finish_all(rig)
    [rig.submit(number=2) for _ in rig.instances]
    repeat, beside = rig.submit(number=KILLER, timeout_ns=60 * NS_PER_S), rig.submit(number=5)
    rig.instances[0].finish()
    assert not any(repeat in batch and beside in batch for batch in running(rig))


@pytest.mark.parametrize("is_alone", [True, False])
def test_f4_inputs_that_make_the_model_raise_and_leave_run_alone_when_they_come_again(is_alone):
    rig = proven()
    if is_alone:
        poison, others = rig.submit(number=KILLER), []
    else:
        poison, others = in_company(rig)
    rig.scheduler.cancel(poison)
    victim = next(one for one in rig.instances if one.current and poison in one.current.requests)
    victim.finish(BatchFault("index out of range", lost=False))
    finish_all(rig)
    assert all(rig.is_right(request) for request in others)
    [rig.submit(number=2) for _ in rig.instances]
    repeat, beside = rig.submit(number=KILLER), rig.submit(number=5)
    rig.instances[0].finish()
    assert not any(repeat in batch and beside in batch for batch in running(rig))


def test_nobody_is_remembered_for_an_execution_that_was_too_large():
    rig = proven()
    left, others = in_company(rig)
    rig.scheduler.cancel(left)
    victim = next(one for one in rig.instances if one.current and others[0] in one.current.requests)
    victim.finish(BatchFault("out of memory", lost=False, out_of_memory=True))
    finish_all(rig)
    assert not rig.scheduler._lanes[rig.version.key].offenders.are_known


@pytest.mark.parametrize("is_hung", [True, False])
def test_after_a_failed_execution_the_loop_digests_no_more_inputs_than_it_may(monkeypatch, is_hung):
    rig = proven(the_policy=policy(retry=RetryPolicy(budget_ratio=0.0)))
    first, others = in_company(rig)
    size_bytes = len(first.inputs[0].data)
    monkeypatch.setattr(recovery, "MOST_DIGESTED_BYTES", 2 * size_bytes)
    victim = next(one for one in rig.instances if one.current and first in one.current.requests)
    rig.group.lose(victim, timed_out=is_hung)
    offenders = rig.scheduler._lanes[rig.version.key].offenders
    known = [offenders.is_known(request, rig.clock.now_ns()) for request in (first, *others)]
    assert known == [True, True, False]
