"""The scaling tick on measured rows: decisions, the operator's numbers, leases and fencing (F32 to F36)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import QuerySet

from models_admin.models import (
    AuditEvent,
    Decision,
    MachineSample,
    MetricSample,
    Model,
    ModelVersion,
    NodeStatus,
    Policy,
    ScalingState,
)
from models_admin.publishing.snapshot import current_generation
from models_admin.services import leases, models, policies, scaling
from models_admin.services.errors import Conflict, Invalid
from models_admin.tasks import scaling as tasks
from models_admin.tasks.scaling import run_tick
from proxy.core.words import told
from tests.integration.control.conftest import ANN

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 5, 4, 12, 0, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(8)))


@pytest.fixture
def state(ready: ModelVersion) -> ScalingState:
    policies.update_policy(actor=ANN, model=ready.model, max_instances=6, scale_down_delay_s=10)
    AuditEvent.objects.all().delete()
    return ready.model.scaling


def measure(now: datetime, seconds: int = 15, *, idle: bool = False, **fields: Any) -> None:
    """Write the seconds before `now`: every one of all models together, and of `net` unless it was idle."""
    MetricSample.objects.all().delete()
    rows = []
    for back in range(1, seconds + 1):
        at = now - timedelta(seconds=back)
        rows.append(MetricSample(model_name="", at=at, histogram={}))
        if not idle or back % 5 == 0:
            values = {"instances": 1, **fields}
            rows.append(MetricSample(model_name="net", at=at, histogram={}, **values))
    MetricSample.objects.bulk_create(rows)


def of_instances() -> QuerySet[Decision]:
    """Decisions on the number of instances; changes of policies are decisions, too."""
    return Decision.objects.filter(knob=scaling.KNOB)


def wanted(state: ScalingState) -> int:
    state.refresh_from_db()
    return state.wanted_instances


def test_load_above_the_target_adds_instances_with_reason_and_numbers(state: ScalingState) -> None:
    measure(NOW, requests=100, busy_ratio=1.0)
    before = current_generation()
    run_tick(holder="a", now=NOW)
    assert wanted(state) == 2
    decision = of_instances().get()
    assert (decision.knob, decision.from_value, decision.to_value) == ("instances", "1", "2")
    assert "100" in decision.explanation
    assert decision.evidence["ready_instances"] == 1
    assert decision.actor == "system:autoscaler"
    assert current_generation() == before + 1
    assert AuditEvent.objects.filter(action="model.scale").count() == 1


def test_f36_missing_old_or_absurd_measurements_hold(state: ScalingState) -> None:
    MetricSample.objects.all().delete()
    run_tick(holder="a", now=NOW)
    measure(NOW - timedelta(minutes=10), requests=100, busy_ratio=1.0)
    run_tick(holder="a", now=NOW)
    measure(NOW, requests=10**9, busy_ratio=1.0)
    run_tick(holder="a", now=NOW)
    measure(NOW, requests=10, busy_ratio=1e9)
    run_tick(holder="a", now=NOW)
    assert wanted(state) == 1
    assert not of_instances().exists()


def test_an_idle_model_loses_instances_one_at_a_time_after_the_delay(state: ScalingState) -> None:
    scaling.set_instances(actor=ANN, model=state.model, count=3)
    seen = []
    for tick in range(8):
        now = NOW + timedelta(seconds=5 * tick)
        measure(now, idle=True, instances=wanted(state))
        run_tick(holder="a", now=now)
        seen.append(wanted(state))
    assert seen == [3, 3, 2, 2, 1, 1, 1, 1]
    assert of_instances().filter(reason="low_load").count() == 2


def test_f35_the_same_tick_twice_has_the_effect_of_one(state: ScalingState) -> None:
    measure(NOW, requests=100, busy_ratio=0.9)
    run_tick(holder="a", now=NOW)
    run_tick(holder="a", now=NOW)
    assert wanted(state) == 2
    assert of_instances().count() == 1


def test_f34_of_two_controllers_one_acts(state: ScalingState) -> None:
    measure(NOW, requests=100, busy_ratio=1.0)
    assert leases.acquire(name=scaling.LEASE, holder="b", ttl_s=15, now=NOW) == 1
    run_tick(holder="a", now=NOW)
    assert wanted(state) == 1
    later = NOW + timedelta(seconds=16)
    measure(later, requests=100, busy_ratio=1.0)
    run_tick(holder="a", now=later)
    assert wanted(state) == 2


def test_f34_a_stale_holder_s_write_is_refused(state: ScalingState) -> None:
    stale = leases.acquire(name=scaling.LEASE, holder="b", ttl_s=15, now=NOW)
    fresh = leases.acquire(name=scaling.LEASE, holder="a", ttl_s=15, now=NOW + timedelta(seconds=15))
    assert (stale, fresh) == (1, 2)
    for write in (
        lambda fence: scaling.apply_decision(
            fence=fence, model=state.model, to_instances=4, reason="demand", explanation="why"
        ),
        lambda fence: scaling.note_look(fence=fence, model=state.model, low_since=NOW),
    ):
        with pytest.raises(Conflict):
            write(stale)
        write(fresh)
    assert wanted(state) == 4


def test_a_holder_keeps_its_number_and_gets_a_new_one_after_expiry(db: None) -> None:
    at = [NOW + timedelta(seconds=seconds) for seconds in (0, 10, 20, 40)]
    fences = [leases.acquire(name="x", holder="a", ttl_s=15, now=moment) for moment in at]
    assert fences == [1, 1, 1, 2]
    leases.release(name="x", fence=2, now=at[3])
    assert leases.acquire(name="x", holder="b", ttl_s=15, now=at[3]) == 3


def test_a_decision_on_a_number_that_the_operator_changed_meanwhile_is_dropped(state: ScalingState) -> None:
    fence = leases.acquire(name=scaling.LEASE, holder="a", ttl_s=15, now=NOW)
    assert fence is not None
    scaling.set_instances(actor=ANN, model=state.model, count=5)
    dropped = scaling.apply_decision(
        fence=fence, model=state.model, from_instances=1, to_instances=2, reason="demand", explanation="why"
    )
    assert dropped is None
    assert wanted(state) == 5


@pytest.mark.parametrize("count", [-1, 0, 7, 10**6, 1.5, float("nan"), True, "2", None])
def test_a09_counts_outside_the_policy_are_refused(state: ScalingState, count: Any) -> None:
    with pytest.raises(Invalid) as caught:
        scaling.set_instances(actor=ANN, model=state.model, count=count)
    assert caught.value.field == "count"
    assert wanted(state) == 1


def test_the_operator_s_number_is_a_decision_too(state: ScalingState) -> None:
    decision = scaling.set_instances(actor=ANN, model=state.model, count=2)
    assert decision is not None
    assert (decision.reason, decision.actor) == ("operator", "user:ann")
    assert scaling.set_instances(actor=ANN, model=state.model, count=2) is None


def test_a_narrower_policy_clamps_the_wanted_number_and_says_so(state: ScalingState) -> None:
    scaling.set_instances(actor=ANN, model=state.model, count=5)
    policies.update_policy(actor=ANN, model=state.model, max_instances=3)
    assert wanted(state) == 3
    decision = of_instances().order_by("id").last()
    assert decision is not None
    assert (decision.from_value, decision.to_value, decision.reason) == ("5", "3", "operator")
    assert "1 to 3" in decision.explanation


@pytest.mark.parametrize(("changed", "left"), [({"max_instances": 2}, 2), ({"autoscale": False}, 1)])
def test_a_policy_that_changed_while_a_decision_waited_for_its_turn_holds(
    state: ScalingState, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], left: int
) -> None:
    fence = leases.acquire(name=scaling.LEASE, holder="a", ttl_s=15, now=NOW)
    assert fence is not None
    lock = scaling._locked_state

    def wait_for_another(policy: Policy) -> ScalingState:
        Policy.objects.update(**changed)
        return lock(policy)

    monkeypatch.setattr(scaling, "_locked_state", wait_for_another)
    scaling.apply_decision(
        fence=fence, model=state.model, from_instances=1, to_instances=4, reason="demand", explanation="why"
    )
    assert wanted(state) == left


def test_time_in_which_nobody_looked_is_no_time_of_low_load(state: ScalingState) -> None:
    scaling.set_instances(actor=ANN, model=state.model, count=3)
    measure(NOW, idle=True, instances=3)
    run_tick(holder="a", now=NOW)
    for seconds, expected in ((3_600, 3), (3_605, 3), (3_610, 2)):
        now = NOW + timedelta(seconds=seconds)
        measure(now, idle=True, instances=3)
        run_tick(holder="b", now=now)
        assert wanted(state) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_batch_rows", 0),
        ("max_batch_rows", 4_097),
        ("max_batch_rows", 1.5),
        ("max_batch_rows", True),
        ("max_batch_rows", "8"),
        ("max_batch_rows", None),
        ("max_queue_requests", 2**63),
        ("max_queue_delay_ms", float("inf")),
        ("max_queue_delay_ms", float("nan")),
        ("max_queue_delay_ms", -0.1),
        ("default_timeout_ms", 200_000),
        ("min_instances", 7),
        ("placement", "nearest"),
        ("autoscale", 1),
        ("revision", 9),
        ("model_id", 1),
        ("id", 1),
        ("nothing", 1),
    ],
)
def test_a09_policy_fields_out_of_bounds_are_refused_by_name(state: ScalingState, field: str, value: Any) -> None:
    with pytest.raises(Invalid) as caught:
        policies.update_policy(actor=ANN, model=state.model, **{field: value})
    assert caught.value.field == field
    assert Policy.objects.get().revision == 2


def test_an_unloaded_model_is_not_scaled(state: ScalingState) -> None:
    state.model.loaded = False
    state.model.save()
    measure(NOW, requests=100, busy_ratio=1.0)
    run_tick(holder="a", now=NOW)
    assert wanted(state) == 1


def test_a_model_deleted_during_the_tick_does_not_keep_others_from_being_scaled(
    state: ScalingState, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = models.create_model(actor=ANN, name="a")
    gone.default_version = state.model.default_version
    gone.save()
    recent_load = tasks.recent_load

    def delete_first(name: str, **window: Any) -> Any:
        if name == "a":
            gone.delete()
        return recent_load("net", **window)

    monkeypatch.setattr(tasks, "recent_load", delete_first)
    measure(NOW, requests=100, busy_ratio=1.0)
    run_tick(holder="a", now=NOW)
    assert wanted(state) == 2


def test_a_fault_in_one_model_s_look_does_not_keep_others_from_being_scaled(
    state: ScalingState, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = models.create_model(actor=ANN, name="a")
    Model.objects.filter(pk=other.pk).update(default_version=state.model.default_version)
    recent_load = tasks.recent_load

    def broken_for_a(name: str, **window: Any) -> Any:
        if name == "a":
            raise KeyError("index")
        return recent_load(name, **window)

    monkeypatch.setattr(tasks, "recent_load", broken_for_a)
    measure(NOW, requests=100, busy_ratio=1.0)
    run_tick(holder="a", now=NOW)
    assert wanted(state) == 2
    assert "a could not be looked at" in caplog.text


def test_one_more_model_costs_a_tick_no_more_than_its_own_seconds_and_its_own_look(
    state: ScalingState, django_assert_max_num_queries: Any
) -> None:
    for number in range(10):
        other = models.create_model(actor=ANN, name=f"idle-{number}")
        Model.objects.filter(pk=other.pk).update(default_version=state.model.default_version)
    measure(NOW, requests=1)
    with django_assert_max_num_queries(15 + 11 * 5):
        run_tick(holder="a", now=NOW)


def measure_versions(now: datetime, **by_version: dict[str, Any]) -> None:
    """The model's seconds, and those of each of its versions (`v1`, `v2`) that were loaded beside each other."""
    measure(now, **by_version["whole"])
    for name, fields in by_version.items():
        if name != "whole":
            MetricSample.objects.bulk_create(
                MetricSample(
                    model_name="net", version=int(name[1:]), at=now - timedelta(seconds=back), histogram={}, **fields
                )
                for back in range(1, 16)
            )


def test_scaling_reads_the_default_version_s_own_seconds(state: ScalingState) -> None:
    """A candidate that is busy beside an idle default asks for nothing; a busy default is not hidden by idle others."""
    busy = {"requests": 100, "busy_ratio": 1.0, "instances": 1}
    idle = {"requests": 0, "busy_ratio": 0.0, "instances": 1}
    measure_versions(NOW, whole={"requests": 100, "busy_ratio": 0.5, "instances": 2}, v1=idle, v2=busy)
    run_tick(holder="a", now=NOW)
    assert wanted(state) == 1
    measure_versions(NOW, whole={"requests": 100, "busy_ratio": 0.33, "instances": 3}, v1=busy, v2=idle)
    run_tick(holder="a", now=NOW)
    assert wanted(state) == 2


@pytest.mark.parametrize(("device", "of"), [("cuda:0", 1), ("cuda:1", 0), ("cpu", None), ("", None), (None, None)])
def test_scaling_reads_the_gpu_that_the_instances_sit_on(device: str | None, of: int | None) -> None:
    """Torch's first GPU may be the driver's second; one that torch does not see is nobody's."""
    gpus = [
        {"index": 0, "device": "cuda:1"},
        {"index": 1, "device": "cuda:0"},
        {"index": 2, "device": ""},
        {"index": 3},
    ]
    found = tasks._gpu_of(MachineSample(gpus=gpus), {"device": device})
    assert found.get("index") == of


def test_the_look_is_kept_for_the_page_with_what_each_signal_asked_for(state: ScalingState) -> None:
    measure(NOW, requests=30, busy_ratio=0.3)
    MachineSample.objects.create(
        at=NOW, cpu_percent=71, memory_used_bytes=400, memory_total_bytes=1_000, per_core_percent=[], gpus=[]
    )
    run_tick(holder="a", now=NOW)
    state.refresh_from_db()
    assert state.signals["reason"] == "steady"
    utilisation = state.signals["utilisation"]
    words = "Utilisation of 30% (0.30 busy on average; CPU 71%, memory 40%) asks for 1 (target 70%)"
    assert (utilisation["count"], utilisation["words"], told(utilisation["said"], str)) == (1, words, words)
    assert state.signals["demand"]["count"] == 1
    assert state.signals["backlog"]["count"] == 0
    assert not of_instances().exists()


def test_memory_that_instances_were_measured_to_take_bounds_growth(state: ScalingState) -> None:
    measure(NOW, requests=100, busy_ratio=1.0)
    info = {"measured": {"net/1": {"load_s": 2.0, "instance_bytes": 300, "device": "cpu"}}}
    NodeStatus.objects.create(name="web", at=NOW, info=info)
    host = MachineSample.objects.create(at=NOW, cpu_percent=1, memory_used_bytes=700, memory_total_bytes=1_000)
    run_tick(holder="a", now=NOW)
    assert wanted(state) == 1
    state.refresh_from_db()
    assert state.signals["reason"] == "at_limit"
    assert "the memory carries" in state.signals["words"]
    assert state.signals["evidence"]["load_s"] == 2.0
    host.memory_used_bytes = 500
    host.save()
    run_tick(holder="a", now=NOW)
    assert wanted(state) == 2


@pytest.fixture
def sleepy(state: ScalingState) -> ScalingState:
    policies.update_policy(actor=ANN, model=state.model, scale_to_zero_after_s=60)
    ScalingState.objects.update(decided_at=NOW - timedelta(hours=1))
    Model.objects.update(updated_at=NOW - timedelta(hours=1))
    return state


def test_a_model_nobody_asked_for_sleeps_and_a_request_s_wake_is_followed_at_once(sleepy: ScalingState) -> None:
    measure(NOW, idle=True)
    run_tick(holder="a", now=NOW)
    assert wanted(sleepy) == 0
    assert of_instances().get().reason == "unused"
    run_tick(holder="a", now=NOW + timedelta(seconds=5))
    assert wanted(sleepy) == 0
    generation = current_generation()
    woken = scaling.wake(name="net")
    assert woken is not None
    assert (woken.reason, woken.from_value, woken.to_value) == ("woken", "0", "1")
    assert wanted(sleepy) == 1
    assert current_generation() == generation + 1
    assert scaling.wake(name="net") is None
    assert scaling.wake(name="nothing") is None
    measure(NOW + timedelta(seconds=10), idle=True)
    run_tick(holder="a", now=NOW + timedelta(seconds=10))
    assert wanted(sleepy) == 1, "it was woken a moment ago"


def test_a_request_within_the_time_keeps_the_model_awake(sleepy: ScalingState) -> None:
    measure(NOW, seconds=15, idle=True)
    at = NOW - timedelta(seconds=50)
    MetricSample.objects.create(model_name="net", at=at, requests=1, instances=1, histogram={})
    run_tick(holder="a", now=NOW)
    assert wanted(sleepy) == 1
    measure(NOW + timedelta(seconds=15), idle=True)
    run_tick(holder="a", now=NOW + timedelta(seconds=15))
    assert wanted(sleepy) == 0, "the last request is remembered although its row is gone"


def test_f36_without_measurements_nobody_is_put_to_sleep(sleepy: ScalingState) -> None:
    MetricSample.objects.all().delete()
    run_tick(holder="a", now=NOW)
    assert wanted(sleepy) == 1


def test_a_model_that_may_no_longer_sleep_wakes(sleepy: ScalingState) -> None:
    measure(NOW, idle=True)
    run_tick(holder="a", now=NOW)
    policies.update_policy(actor=ANN, model=sleepy.model, scale_to_zero_after_s=0)
    assert wanted(sleepy) == 1


def test_an_operator_puts_a_model_to_sleep_where_its_policy_allows_it(sleepy: ScalingState) -> None:
    scaling.set_instances(actor=ANN, model=sleepy.model, count=0)
    assert wanted(sleepy) == 0


def test_f20_a_clock_set_back_does_not_leave_the_lease_to_a_dead_holder(db: None) -> None:
    ahead = NOW + timedelta(hours=1)
    assert leases.acquire(name="x", holder="dead", ttl_s=15, now=ahead) == 1
    assert leases.acquire(name="x", holder="b", ttl_s=15, now=NOW) == 2
    assert leases.acquire(name="x", holder="c", ttl_s=15, now=NOW) is None


def test_f20_a_clock_that_jumps_ahead_holds_since_what_was_measured_is_old(state: ScalingState) -> None:
    measure(NOW, requests=100, busy_ratio=1.0)
    run_tick(holder="a", now=NOW + timedelta(hours=1))
    assert wanted(state) == 1
    state.refresh_from_db()
    assert state.signals["reason"] in ("stale_signals", "missing_signals")


def test_f32_a_controller_killed_in_the_middle_of_its_tick_leaves_the_last_number_and_another_goes_on(
    state: ScalingState, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(NOW, requests=100, busy_ratio=1.0)

    def killed(**_: Any) -> None:
        raise SystemExit("kill -9 in the middle of the tick")

    with monkeypatch.context() as patch:
        patch.setattr(scaling, "apply_decision", killed)
        with pytest.raises(SystemExit):
            run_tick(holder="a", now=NOW)
    assert wanted(state) == 1
    run_tick(holder="b", now=NOW + timedelta(seconds=5))
    assert wanted(state) == 1, "the lease still names the dead one"
    later = NOW + timedelta(seconds=16)
    measure(later, requests=100, busy_ratio=1.0)
    run_tick(holder="b", now=later)
    assert wanted(state) == 2
    assert of_instances().count() == 1


def test_f34_two_beats_take_turns_without_oscillation(state: ScalingState) -> None:
    seen = []
    for tick in range(12):
        now = NOW + timedelta(seconds=5 * tick)
        measure(now, requests=100, busy_ratio=min(1.4 / wanted(state), 1.0), instances=wanted(state))
        for holder in ("a", "b"):
            run_tick(holder=holder, now=now)
        seen.append(wanted(state))
    assert seen == sorted(seen)
    assert of_instances().count() <= 2
