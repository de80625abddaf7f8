"""The scaling tick on measured rows: decisions, the operator's numbers, leases and fencing (F32 to F36)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models_admin.models import AuditEvent, Decision, MetricSample, ModelVersion, Policy, ScalingState
from models_admin.publishing.snapshot import current_generation
from models_admin.services import leases, models, policies, scaling
from models_admin.services.errors import Conflict, Invalid
from models_admin.tasks import scaling as tasks
from models_admin.tasks.scaling import run_tick
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


def wanted(state: ScalingState) -> int:
    state.refresh_from_db()
    return state.wanted_instances


def test_load_above_the_target_adds_instances_with_reason_and_numbers(state: ScalingState) -> None:
    measure(NOW, requests=100, busy_ratio=1.0)
    before = current_generation()
    run_tick(holder="a", now=NOW)
    assert wanted(state) == 2
    decision = Decision.objects.get()
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
    assert not Decision.objects.exists()


def test_an_idle_model_loses_instances_one_at_a_time_after_the_delay(state: ScalingState) -> None:
    scaling.set_instances(actor=ANN, model=state.model, count=3)
    seen = []
    for tick in range(8):
        now = NOW + timedelta(seconds=5 * tick)
        measure(now, idle=True, instances=wanted(state))
        run_tick(holder="a", now=now)
        seen.append(wanted(state))
    assert seen == [3, 3, 2, 2, 1, 1, 1, 1]
    assert Decision.objects.filter(reason="low_load").count() == 2


def test_f35_the_same_tick_twice_has_the_effect_of_one(state: ScalingState) -> None:
    measure(NOW, requests=100, busy_ratio=0.9)
    run_tick(holder="a", now=NOW)
    run_tick(holder="a", now=NOW)
    assert wanted(state) == 2
    assert Decision.objects.count() == 1


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
        lambda fence: scaling.note_low_since(fence=fence, model=state.model, low_since=NOW),
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
    decision = Decision.objects.order_by("id").last()
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
        ("placement", "random"),
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
