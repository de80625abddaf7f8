"""The policy's own bound of what waits and runs: strict, named, with a hint to return; shares hold within it."""

from __future__ import annotations

from dataclasses import replace

from proxy.core.errors import Reason, Rejected
from proxy.core.policies import AdmissionPolicy
from proxy.core.requests import InferenceResult
from proxy.core.units import NS_PER_MS
from tests.unit.scheduler.rig import Rig, policy


def limited(limit, instances=1, max_rows=1, **more):
    admission = AdmissionPolicy(concurrency_limit=limit, **more.pop("admission", {}))
    return Rig(instances, the_policy=policy(max_rows=max_rows, admission=admission, **more))


def finish_all(rig):
    while any(instance.current for instance in rig.instances):
        for instance in rig.instances:
            if instance.current:
                instance.finish()


def test_what_waits_and_runs_together_is_bounded():
    rig = limited(3)
    accepted = [rig.submit() for _ in range(3)]
    refused = rig.submit()
    error = rig.answers[refused]
    assert isinstance(error, Rejected) and error.reason is Reason.CONCURRENCY_LIMIT
    assert "(3)" in error.message and error.retry_after_ns >= 10 * NS_PER_MS
    assert rig.lane.concurrency_limit == 3
    finish_all(rig)
    assert all(isinstance(rig.answers[request], InferenceResult) for request in accepted)
    assert rig.submit() not in rig.answers


def test_an_idle_instance_does_not_widen_it():
    rig = limited(1, instances=2)
    rig.submit()
    assert rig.reason(rig.submit()) is Reason.CONCURRENCY_LIMIT


def test_no_prediction_refuses_below_it_while_an_instance_is_idle():
    rig = limited(5)
    rig.submit()
    finish_all(rig)
    rig.clock.advance(NS_PER_MS)
    assert rig.submit(timeout_ns=1) not in rig.answers


def test_the_smaller_of_the_set_and_the_learnt_limit_counts():
    learnt = {"adaptive_limit": True, "min_limit": 5}
    for limit, most in ((3, 3), (100, 5)):
        rig = limited(limit, admission=learnt)
        assert rig.lane.concurrency_limit == most
        outcomes = [rig.submit() in rig.answers for _ in range(most + 1)]
        assert outcomes == [False] * most + [True]


def test_a_key_with_less_of_it_takes_the_place_of_one_with_more():
    rig = limited(10)
    crowd = [rig.submit(principal_id="key:1") for _ in range(10)]
    quiet = rig.submit(principal_id="key:2")
    assert quiet not in rig.answers
    assert rig.reason(crowd[-1]) is Reason.FAIR_SHARE
    assert rig.reason(rig.submit(principal_id="key:1")) is Reason.CONCURRENCY_LIMIT


def test_a_changed_policy_holds_from_now_on_and_refuses_nobody_who_waits():
    rig = limited(0)
    waiting = [rig.submit() for _ in range(6)]
    narrow = replace(policy(max_rows=1), admission=AdmissionPolicy(concurrency_limit=2))
    rig.scheduler.update_policy(rig.version.key, narrow)
    assert rig.reason(rig.submit()) is Reason.CONCURRENCY_LIMIT
    finish_all(rig)
    assert all(isinstance(rig.answers[request], InferenceResult) for request in waiting)
