"""A fault of the scheduler's own (placement, composition, the meter) loses no answer and leaves nobody waiting."""

from __future__ import annotations

import pytest

from proxy.core.batches import BatchFault
from proxy.core.errors import Reason
from proxy.core.own_faults import Place
from proxy.core.units import NS_PER_S
from proxy.scheduler import register, scheduler
from proxy.scheduler.flows import Flow
from proxy.scheduler.lane import Lane
from proxy.scheduler.queue import RequestQueue
from proxy.testing.instances import FakeInstance
from tests.unit.scheduler.rig import Rig, policy


def broken(*_args, **_more):
    msg = "a fault of ours"
    raise RuntimeError(msg)


def once(real):
    """Breaks the first time, after it has done its work."""
    calls = []

    def call(*args, **more):
        result = real(*args, **more)
        calls.append(result)
        return broken() if len(calls) == 1 else result

    return call


def run_all(rig):
    while busy := [one for one in rig.instances if one.current]:
        busy[0].finish()
        rig.clock.advance(NS_PER_S // 100)


def is_at_rest(rig):
    return rig.scheduler.is_idle(rig.version.key) and not rig.scheduler._register.entries and not rig.lane.in_flight


def test_the_answers_of_an_execution_are_given_though_the_next_cannot_be_placed(monkeypatch):
    rig = Rig(2)
    first, second, waiting = rig.submit(), rig.submit(), rig.submit()
    monkeypatch.setattr(scheduler, "place", broken)
    rig.instances[0].finish()
    assert rig.is_right(first)
    assert rig.reason(waiting) is Reason.INTERNAL
    rig.instances[1].finish()
    assert rig.is_right(second)
    assert is_at_rest(rig)


def test_who_waits_is_served_again_once_the_fault_is_gone(monkeypatch):
    rig = Rig(2)
    rig.submit(), rig.submit(), rig.submit()
    with monkeypatch.context() as patch:
        patch.setattr(scheduler, "place", broken)
        rig.instances[0].finish()
    later = rig.submit()
    run_all(rig)
    assert rig.is_right(later)
    assert is_at_rest(rig)


@pytest.mark.parametrize("where", ["taken", "begun"])
def test_those_in_an_execution_that_could_not_be_formed_are_told_and_the_others_run(monkeypatch, where):
    rig = Rig(1, the_policy=policy(2))
    running = rig.submit()
    taken = [rig.submit(), rig.submit()]
    others = [rig.submit(), rig.submit()]
    if where == "taken":
        monkeypatch.setattr(RequestQueue, "take", once(RequestQueue.take))
    else:
        real = scheduler.begin
        monkeypatch.setattr(scheduler, "begin", lambda *args: broken() if args[2][0].request in taken else real(*args))
    rig.instances[0].finish()
    assert rig.is_right(running)
    assert [rig.reason(request) for request in taken] == [Reason.INTERNAL] * 2
    rig.clock.advance(NS_PER_S // 100)
    run_all(rig)
    assert all(rig.is_right(request) for request in others)
    assert is_at_rest(rig)


def test_what_cannot_be_counted_is_answered(monkeypatch):
    rig = Rig(1)
    monkeypatch.setattr(rig, "on_execution", broken)
    first, second = rig.submit(), rig.submit()
    run_all(rig)
    assert rig.is_right(first)
    assert rig.is_right(second)
    assert is_at_rest(rig)


def test_who_was_in_a_failed_execution_that_cannot_be_sorted_is_told(monkeypatch):
    rig = Rig(1)
    rig.submit()
    members = [rig.submit() for _ in range(3)]
    rig.instances[0].finish()
    waiting = rig.submit()
    monkeypatch.setattr(scheduler, "recover", broken)
    rig.instances[0].finish(BatchFault("the model raised", lost=False))
    assert [rig.reason(request) for request in members] == [Reason.INTERNAL] * 3
    run_all(rig)
    assert rig.is_right(waiting)
    assert is_at_rest(rig)


def test_a_request_that_cannot_be_cut_for_its_memory_is_told(monkeypatch):
    rig = Rig(1)
    large = rig.submit(rows=4)
    monkeypatch.setattr(register, "cut", broken)
    rig.instances[0].finish(BatchFault("out of memory", lost=False, out_of_memory=True))
    assert rig.reason(large) is Reason.INTERNAL
    assert is_at_rest(rig)


def test_deadlines_go_on_ending_requests_though_nothing_can_be_formed(monkeypatch):
    rig = Rig(2)
    hasty, patient = rig.submit(timeout_ns=NS_PER_S), rig.submit(timeout_ns=3 * NS_PER_S)
    waiting = rig.submit(timeout_ns=NS_PER_S // 2)
    monkeypatch.setattr(scheduler, "place", broken)
    later = rig.submit(timeout_ns=2 * NS_PER_S)
    rig.clock.advance(4 * NS_PER_S)
    assert {rig.reason(request) for request in (hasty, patient)} == {Reason.DEADLINE_EXCEEDED}
    assert {rig.reason(request) for request in (waiting, later)} <= {Reason.DEADLINE_EXCEEDED, Reason.INTERNAL}
    run_all(rig)
    assert is_at_rest(rig)


def test_an_instance_that_took_a_batch_though_handing_it_over_failed_is_counted_once(monkeypatch):
    rig = Rig(1)
    (instance,) = rig.instances
    monkeypatch.setattr(instance, "execute", once(instance.execute))
    given_up = rig.submit()
    assert rig.reason(given_up) is Reason.INTERNAL
    waiting = rig.submit()
    assert rig.lane.running == 1, "what it took is still there"
    run_all(rig)
    assert rig.is_right(waiting)
    assert is_at_rest(rig)


def test_a_suspect_that_an_instance_took_though_handing_it_over_failed_is_counted_once(monkeypatch):
    rig = Rig(1)
    suspect = rig.submit()
    rig.group.lose(rig.instances[0])
    again = rig.scheduler._lanes[rig.version.key].again
    monkeypatch.setattr(FakeInstance, "execute", once(FakeInstance.execute))
    instance = rig.group.add()
    assert rig.reason(suspect) is Reason.INTERNAL
    assert again.suspects_running == 1
    instance.finish()
    assert again.suspects_running == 0
    assert is_at_rest(rig)


def test_who_expired_is_told_so_though_the_next_execution_could_not_be_formed(monkeypatch):
    rig = Rig(1, the_policy=policy(2))
    rig.submit(timeout_ns=60 * NS_PER_S)
    late = [rig.submit(), rig.submit()]
    waiting = rig.submit(timeout_ns=60 * NS_PER_S)
    monkeypatch.setattr(rig.clock, "_now_ns", rig.clock.now_ns() + 2 * NS_PER_S)  # the timer is late
    monkeypatch.setattr(scheduler, "begin", broken)
    rig.instances[0].finish()
    assert [rig.reason(request) for request in late] == [Reason.DEADLINE_EXCEEDED] * 2
    assert rig.reason(waiting) is Reason.INTERNAL
    assert rig.lane.expired == rig.lane.reasons[Reason.DEADLINE_EXCEEDED] == 2
    assert is_at_rest(rig)


def test_a_queue_that_counts_more_than_it_holds_is_emptied_and_keeps_nothing_busy(monkeypatch):
    rig = Rig(1, the_policy=policy(2))
    rig.submit()
    taken = [rig.submit(), rig.submit()]
    others = [rig.submit(), rig.submit()]
    with monkeypatch.context() as patch:
        patch.setattr(Flow, "served", broken)  # between taking them out and counting them out
        rig.instances[0].finish()
    assert [rig.reason(request) for request in taken] == [Reason.INTERNAL] * 2
    rig.clock.advance(NS_PER_S // 100)
    run_all(rig)
    assert all(request in rig.answers for request in others)
    later = rig.submit()
    run_all(rig)
    assert rig.is_right(later)
    assert is_at_rest(rig)


@pytest.mark.parametrize(
    ("of", "broken_name"), [(RequestQueue, "push"), (register, "retry_after_ns")], ids=["not queued", "not told"]
)
def test_nobody_gives_a_place_up_for_one_not_queued_nor_without_a_word(monkeypatch, of, broken_name):
    rig = Rig(1, the_policy=policy(4, max_requests=1))
    running = rig.submit(priority=2)
    waiting = rig.submit(priority=2)
    with monkeypatch.context() as patch:
        patch.setattr(of, broken_name, broken)
        with pytest.raises(RuntimeError):
            rig.submit(priority=1)
    assert waiting not in rig.answers
    for request in [request for request in rig.scheduler._register.entries if request not in (running, waiting)]:
        rig.scheduler.cancel(request)  # as whoever sees `submit` raise does
    run_all(rig)
    assert rig.is_right(running)
    assert rig.is_right(waiting)
    assert rig.lane.displaced == 0
    assert is_at_rest(rig)


def test_who_gives_its_place_up_is_told_so_before_submit_returns():
    rig = Rig(1, the_policy=policy(4, max_requests=1))
    rig.submit(priority=2)
    waiting = rig.submit(priority=2)
    newcomer = rig.submit(priority=1)
    assert rig.reason(waiting) is Reason.FAIR_SHARE
    assert rig.lane.queue_depth == 1
    run_all(rig)
    assert rig.is_right(newcomer)


def test_a_place_that_could_not_be_lent_leaves_the_execution_where_it_waits(monkeypatch):
    rig = Rig(1, the_policy=policy(4))
    rig.submit()
    leader = rig.submit(priority=2)
    monkeypatch.setattr(Lane, "shape_key", broken)
    with pytest.raises(RuntimeError):
        rig.scheduler.join(leader, rig.request(priority=1))
    run_all(rig)
    assert rig.is_right(leader)


def test_a_lasting_fault_is_counted_each_time_and_said_now_and_then(monkeypatch, caplog):
    rig = Rig(2)
    rig.submit(), rig.submit()
    monkeypatch.setattr(scheduler, "place", broken)
    rig.instances[0].finish()
    told = [rig.submit() for _ in range(500)]
    assert {rig.reason(request) for request in told} == {Reason.INTERNAL}
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is not None
    assert rig.scheduler.faults.counts[Place.FORMING] >= 500
    rig.clock.advance(60 * NS_PER_S)
    rig.submit()
    assert len(caplog.records) == 2
    assert "499 more" in caplog.text or "500 more" in caplog.text
