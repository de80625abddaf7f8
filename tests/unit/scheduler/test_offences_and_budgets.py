"""What a failing request costs its neighbours, its key and the instances: fingerprints, refusals, budgets, memory."""

from __future__ import annotations

import pytest
from rig import Rig, policy

from proxy.core.batches import BatchFault
from proxy.core.errors import ExecutionFailed, QuotaExceeded, Reason
from proxy.core.policies import AdmissionPolicy, RetryPolicy
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.scheduler.offenders import MOST_KNOWN, OFFENCES, REFUSED_NS, REMEMBERED_NS, Offenders, fingerprint
from proxy.scheduler.retry_budget import MOST, RetryBudget
from proxy.scheduler.row_cap import QUIET_NS, RowCap
from proxy.testing.instances import echo, fake_version

LONG = 60 * NS_PER_S


class Poisoned(Rig):
    """Requests with number 9999 make the model raise."""

    def __init__(self, **options):
        super().__init__(respond=self.respond, **options)

    def respond(self, batch):
        if any(bytes(request.inputs[0].data[:8]) == self.poison for request in batch.requests):
            return BatchFault("index out of range", lost=False)
        return echo(batch)

    @property
    def poison(self):
        return bytes(self.request(number=9_999).inputs[0].data[:8])

    def send(self, number=None, **more):
        request = self.request(number=number, timeout_ns=LONG, **more)
        self.submitted += 1
        self.scheduler.submit(request, self.on_done)
        return request

    def round(self, **more):
        """A batch of three good ones and a poisoned one, after the instance was busy."""
        first = self.send()
        bad = self.send(9_999, **more)
        good = [self.send() for _ in range(3)]
        before = self.instances[0].executions
        while self.instances[0].current:
            self.instances[0].finish()
        assert all(self.is_right(request) for request in (first, *good))
        assert isinstance(self.answers[bad], ExecutionFailed)
        return self.instances[0].executions - before


def test_f4_a_culprit_is_remembered_and_runs_alone_the_next_time():
    rig = Poisoned()
    assert rig.round() == 5  # a batch of four, halves of two, the two alone; and what was right
    rig.clock.advance(NS_PER_S)
    assert rig.round() == 2  # the culprit alone, its three neighbours together
    rig.clock.advance(REMEMBERED_NS)
    assert rig.round() == 5


def test_f4_a_key_that_keeps_harming_others_is_refused_for_a_while_and_nobody_else_is():
    rig = Poisoned()
    for index in range(OFFENCES):
        rig.scheduler._lanes["echo/1"].offenders._known.clear()  # as if each were another one
        rig.scheduler._lanes["echo/1"].offenders._samples.clear()
        rig.round(principal_id="key:bad")
        assert index < OFFENCES
    refused = rig.send(principal_id="key:bad")
    error = rig.answers[refused]
    assert isinstance(error, QuotaExceeded)
    assert error.reason is Reason.REPEAT_OFFENDER
    assert error.retry_after_ns >= REFUSED_NS
    other = rig.send(principal_id="key:good")
    rig.instances[0].finish()
    assert rig.is_right(other)
    rig.clock.advance(REFUSED_NS)
    back = rig.send(principal_id="key:bad")
    rig.instances[0].finish()
    assert rig.is_right(back)


def test_a_model_that_fails_for_one_key_s_requests_among_themselves_never_has_it_refused():
    """A version that raises for half of what its only client sends is the version's fault."""
    rig = Poisoned()
    for _ in range(2 * OFFENCES):
        rig.scheduler._lanes["echo/1"].offenders._known.clear()  # as if each were another one
        rig.scheduler._lanes["echo/1"].offenders._samples.clear()
        rig.round()
    again = rig.send()
    rig.instances[0].finish()
    assert rig.is_right(again)


def test_f4_a_key_whose_requests_hang_does_not_escape_by_short_deadlines():
    """They are answered 504 long before their execution is stopped; each costs an instance all the same."""
    rig = Rig()
    for number in range(OFFENCES):
        bad = rig.submit(timeout_ns=NS_PER_MS, principal_id="key:bad", number=number)
        running = next(instance for instance in rig.instances if instance.current)
        rig.clock.advance(NS_PER_MS)
        assert rig.reason(bad) is Reason.DEADLINE_EXCEEDED
        rig.group.lose(running, timed_out=True)
        rig.group.add()
    assert rig.reason(rig.submit(principal_id="key:bad")) is Reason.REPEAT_OFFENDER


def test_a_few_bad_requests_among_many_good_ones_never_have_their_key_refused():
    offenders = Offenders()
    for index in range(100):
        for _ in range(40):
            assert offenders.refused_until_ns("key:honest", index) == 0
        tensor = Tensor("x", "FP32", (1, 2), index.to_bytes(8, "little"))
        request = InferenceRequest(fake_version(), (tensor,), 1, 0, 1, principal_id="key:honest")
        offenders.found(request, index, harmed_others=True)


def test_who_fails_alone_harms_nobody_and_is_never_refused():
    rig = Poisoned()
    for _ in range(10 * OFFENCES):
        bad = rig.send(9_999, principal_id="key:bad")
        rig.instances[0].finish()
        assert rig.reason(bad) is Reason.MODEL_ERROR


def test_what_is_remembered_of_culprits_is_bounded():
    offenders = Offenders()
    version = fake_version()
    for index in range(3 * MOST_KNOWN):
        tensor = Tensor("x", "FP32", (1, 2), index.to_bytes(8, "little"))
        request = InferenceRequest(version, (tensor,), 1, 0, 1, principal_id=f"key:{index}")
        offenders.found(request, index, harmed_others=True)
        assert offenders.is_known(request, index)
    assert len(offenders._known) == MOST_KNOWN
    assert len(offenders._samples) == MOST_KNOWN
    assert len(offenders._keys) <= MOST_KNOWN


def test_f4_who_surely_ends_instances_is_forgotten_after_everybody_who_only_may():
    offenders = Offenders()
    killer, *others = (
        InferenceRequest(fake_version(), (Tensor("x", "FP32", (1, 2), index.to_bytes(8, "little")),), 1, 0, 1)
        for index in range(1 + 2 * MOST_KNOWN)
    )
    assert offenders.ended(killer, 0, crashes=2, results_then=0, results=5, is_proven=True)
    for request in others:
        offenders.untried(request, 0, None)
        assert offenders.is_known(request, 0)
    assert offenders.killer_until_ns(killer, 0) == REMEMBERED_NS
    assert len(offenders._known) == MOST_KNOWN


def test_a_fingerprint_tells_inputs_apart_by_every_byte_and_shape():
    version = fake_version()

    def of(data, shape=(1, 2), datatype="FP32"):
        return fingerprint(InferenceRequest(version, (Tensor("x", datatype, shape, data),), 1, 0, 1))

    assert of(b"12345678") == of(memoryview(b"12345678"))
    assert len({of(b"12345678"), of(b"12345679"), of(b"12345678", (2, 1)), of(b"12345678", datatype="INT32")}) == 4


def test_f28_retries_stay_within_their_share_of_the_requests():
    budget = RetryBudget(0)
    taken = sum(budget.take(0.1, 0, 0) for _ in range(1_000))
    assert taken == MOST
    assert sum(budget.take(0.1, 500, 0) for _ in range(1_000)) == 50
    assert sum(budget.take(0.1, 500, NS_PER_S) for _ in range(1_000)) == 10
    assert not budget.take(0.0, 10**9, 2 * NS_PER_S)


def test_f28_a_request_beyond_the_budget_is_answered_with_the_rule_and_runs_once():
    rig = Rig(2, the_policy=policy(retry=RetryPolicy(0.0)))
    request = rig.submit()
    rig.group.lose(next(instance for instance in rig.instances if instance.current))
    assert rig.reason(request) is Reason.INSTANCE_LOST
    assert "too many requests are being retried" in rig.answers[request].message
    assert request.attempts == 1


def test_f7_out_of_memory_halves_the_batch_and_lowers_the_bound_for_a_while():
    rig = Rig(the_policy=policy(max_rows=8))
    rig.submit(timeout_ns=LONG)
    requests = [rig.submit(timeout_ns=LONG) for _ in range(8)]
    rig.instances[0].finish()
    while rig.instances[0].current:
        too_many = rig.instances[0].current.rows > 4
        rig.instances[0].finish(BatchFault("out of memory", lost=False, out_of_memory=True) if too_many else None)
    assert all(rig.is_right(request) for request in requests)
    assert [batch.rows for batch in rig.instances[0].batches] == [1, 8, 4, 4]
    assert rig.lane.row_cap == 4
    big = rig.submit(rows=8, timeout_ns=2 * LONG)
    rig.instances[0].finish()
    rig.instances[0].finish()
    assert rig.is_right(big)  # in two parts
    rig.clock.advance(QUIET_NS)
    rig.submit(rows=8)
    assert rig.instances[0].current.rows == 8
    assert rig.lane.row_cap == 0


def test_f7_one_request_that_runs_out_of_memory_runs_again_in_parts():
    rig = Rig(the_policy=policy(max_rows=16))
    big = rig.submit(rows=16, timeout_ns=LONG, principal_id="key:1")
    while rig.instances[0].current:
        too_many = rig.instances[0].current.rows > 4
        rig.instances[0].finish(BatchFault("out of memory", lost=False, out_of_memory=True) if too_many else None)
    assert rig.is_right(big)
    assert [batch.rows for batch in rig.instances[0].batches] == [16, 8, 8, 4, 4, 4, 4]
    assert rig.scheduler._register.splits == rig.scheduler._register.entries == {}
    assert (rig.lane.requests, rig.lane.reasons) == (1, {})


def test_f7_parts_of_parts_fail_their_request_once_and_leave_nothing_behind():
    rig = Rig(the_policy=policy(max_rows=16))
    big = rig.submit(rows=32, timeout_ns=LONG)
    while rig.instances[0].current:
        rig.instances[0].finish(BatchFault("out of memory", lost=False, out_of_memory=True))
    assert rig.reason(big) is Reason.MODEL_ERROR
    assert rig.scheduler._register.splits == rig.scheduler._register.entries == {}
    assert rig.lane.reasons == {Reason.MODEL_ERROR: 1}
    assert rig.lane.queue_depth == rig.lane.in_flight == 0


def test_f6_an_instance_that_died_of_too_little_memory_is_given_half_of_the_rows():
    rig = Rig(the_policy=policy(max_rows=8))
    rig.submit(timeout_ns=LONG)
    requests = [rig.submit(timeout_ns=LONG) for _ in range(8)]
    rig.instances[0].finish()
    instance = rig.instances[0]
    instance.finish(BatchFault("killed", lost=True, out_of_memory=True))
    rig.group.lose(instance)
    other = rig.group.add()
    other.finish()
    other.finish()
    assert [batch.rows for batch in other.batches] == [4, 4]
    assert all(rig.is_right(request) for request in requests)


def test_memory_that_never_suffices_fails_the_request_with_the_models_words_and_blames_nobody():
    rig = Rig()
    request = rig.submit()
    rig.instances[0].finish(BatchFault("out of memory", lost=False, out_of_memory=True))
    assert rig.reason(request) is Reason.MODEL_ERROR
    assert not rig.scheduler._lanes["echo/1"].offenders.are_known


def test_a_row_cap_doubles_with_each_quiet_time_until_the_bound_holds_again():
    cap = RowCap()
    assert cap.bound(32, 0) == 32
    cap.ran_out(32, 0)
    assert cap.bound(32, 0) == 16
    cap.ran_out(16, 1)
    assert cap.bound(32, 2) == 8
    assert cap.bound(32, 1 + QUIET_NS) == 16
    assert cap.bound(32, 1 + 2 * QUIET_NS) == 32
    assert cap.rows == 0
    cap.ran_out(1, 0)
    assert cap.bound(32, 0) == 1


def test_the_concurrency_limit_refuses_by_name_and_never_an_idle_instance():
    rig = Rig(the_policy=policy(max_rows=1, admission=AdmissionPolicy(adaptive_limit=True, min_limit=3)))
    accepted = [rig.submit() for _ in range(3)]
    refused = rig.submit()
    assert rig.reason(refused) is Reason.CONCURRENCY_LIMIT
    assert "(3)" in rig.answers[refused].message
    while rig.instances[0].current:
        rig.instances[0].finish()
    assert all(isinstance(rig.answers[request], InferenceResult) for request in accepted)
    assert rig.lane.concurrency_limit == 3


def test_statistics_give_what_the_model_manager_needs():
    rig = Rig(the_policy=policy(max_rows=4), service_ns=lambda batch: (2 + batch.rows) * NS_PER_MS)
    for _ in range(20):
        rig.submit()
        rig.submit()
        rig.submit(rows=2)
        rig.clock.advance(100 * NS_PER_MS)
    rig.submit(timeout_ns=0)
    lane = rig.lane
    assert (lane.arrivals, lane.requests, lane.rejected) == (61, 60, 1)
    assert {rows: size.executions for rows, size in lane.by_size.items()} == {1: 20, 3: 20}
    assert lane.by_size[3].mean_ns == 5 * NS_PER_MS
    assert lane.by_size[3].variance_ns2 == 0
    assert (lane.alpha_ns, lane.beta_ns) == (pytest.approx(2 * NS_PER_MS, rel=1e-6), NS_PER_MS)
    assert lane.queue_waits == 60
    assert 40 * 3 * NS_PER_MS <= lane.queue_wait_ns < 40 * 4 * NS_PER_MS  # some wait for callers, too
    assert lane.by_level == {2: 0}


def test_inputs_that_crashed_one_instance_are_no_killers_for_another_that_somebody_killed():
    rig = Rig(2)
    first = [rig.submit(number=1) for _ in rig.instances]
    while busy := [one for one in rig.instances if one.current]:
        busy[0].finish()  # both are proven
    unlucky, other = rig.submit(number=7), rig.submit(number=1)
    runs = {request: one for one in rig.instances for request in one.current.requests}
    rig.group.lose(runs[unlucky], from_outside=True)
    runs[other].finish()
    rig.group.lose(runs[other])  # that it runs on now
    assert rig.reason(unlucky) is Reason.INSTANCE_LOST
    rig.group.add()
    again = rig.submit(number=7)
    rig.instances[0].finish()
    assert all(rig.is_right(request) for request in (*first, other, again))


@pytest.mark.parametrize("how", ["client leaves", "deadline passes"])
def test_who_does_not_wait_for_the_crash_that_its_inputs_cause_is_known_for_it_all_the_same(how):
    rig = Rig(2)
    for _ in range(2):
        for _ in rig.instances:
            rig.submit(number=1)
        while busy := [one for one in rig.instances if one.current]:
            busy[0].finish()
        killer = rig.submit(number=7, timeout_ns=NS_PER_S // 10)
        victim = next(one for one in rig.instances if one.current)
        if how == "client leaves":
            rig.scheduler.cancel(killer)
        else:
            rig.clock.advance(NS_PER_S // 10)
        rig.group.lose(victim)
        rig.group.add()
    assert rig.reason(rig.submit(number=7)) is Reason.REPEAT_OFFENDER
