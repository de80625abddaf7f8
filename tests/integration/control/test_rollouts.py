"""Rollouts in the database: operators' changes, the tick's verdicts, promotion and the way back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from models_admin.dashboard.audit_rows import details_of
from models_admin.models import AuditEvent, Decision, MetricSample, Model, ModelVersion, NodeStatus, Policy, Rollout
from models_admin.models.measurements import SECOND_S
from models_admin.models.registry import VersionState
from models_admin.publishing.snapshot import load_snapshot
from models_admin.services import deletions, leases, models, rollout_control, rollouts, versions
from models_admin.services.actors import Actor
from models_admin.services.errors import Conflict, Invalid, PreconditionFailed
from models_admin.tasks.rollout import run_tick
from proxy.core.snapshot import RolloutMode
from proxy.core.words import readable, say
from proxy.metrics import histogram

pytestmark = pytest.mark.django_db
ANN = Actor("user:ann", is_admin=True)
SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
}
STEPS = [{"weight_percent": 5, "hold_s": 10}, {"weight_percent": 50, "hold_s": 10}]


def version(model: Model, number: int, **fields: Any) -> ModelVersion:
    return ModelVersion.objects.create(
        model=model,
        number=number,
        digest=f"{number:064x}",
        size_bytes=1,
        format="torchscript",
        **{"state": VersionState.READY, "signature": SIGNATURE, **fields},
    )


@pytest.fixture
def net(db: None) -> Model:
    model = models.create_model(actor=ANN, name="net")
    versions.promote(actor=ANN, version=version(model, 1))
    version(model, 2)
    model.refresh_from_db()
    return model


@pytest.fixture
def second(net: Model) -> ModelVersion:
    return net.versions.get(number=2)


@pytest.fixture
def running(net: Model, second: ModelVersion) -> Rollout:
    return rollouts.start(actor=ANN, model=net, candidate=second, steps=STEPS)


@pytest.fixture
def measured(net: Model) -> Callable[..., datetime]:
    """Write what the data plane reports for a second each, from now on, and move on; the time after them."""
    at = timezone.now().replace(microsecond=0) + timedelta(seconds=1)

    def row(number: int, moment: datetime, requests: int, errors: int, ms: float) -> None:
        MetricSample.objects.create(
            model_name="net",
            version=number,
            resolution_s=SECOND_S,
            at=moment,
            requests=requests,
            errors=errors,
            histogram={str(histogram.index(round(ms * 1e6))): requests},
        )

    def write(
        seconds: int, *, bad: int = 0, ms: float = 5.0, state: str = "ready", candidate: int = 10, **info: Any
    ) -> datetime:
        nonlocal at
        for _ in range(seconds):
            row(1, at, 100, 0, 5.0)
            row(2, at, candidate - bad, bad, ms)
            at += timedelta(seconds=1)
        said = {"versions": {"net/1": "ready", "net/2": state}, **info}
        NodeStatus.objects.update_or_create(name="web", defaults={"at": at, "info": said})
        return at

    return write


def tick(now: datetime, holder: str = "one") -> None:
    run_tick(holder=holder, now=now)


def published() -> Any:
    snapshot = load_snapshot(None)
    assert snapshot is not None
    return snapshot.models["net"]


def test_a_rollout_is_published_with_its_steps_weight(running: Rollout) -> None:
    model = published()
    assert set(model.versions) == {1, 2} and model.default_version == 1
    assert (model.rollout.candidate, model.rollout.mode, model.rollout.weight_percent) == (2, RolloutMode.CANARY, 5)
    rollouts.advance(actor=ANN, rollout=running)
    assert published().rollout.weight_percent == 50


def test_a_canary_has_instances_for_its_share(running: Rollout, net: Model) -> None:
    Policy.objects.filter(model=net).update(max_instances=8)
    net.scaling.wanted_instances = 6
    net.scaling.save()
    assert published().rollout.instances == 1
    rollouts.advance(actor=ANN, rollout=running)
    assert published().rollout.instances == 3


def test_a_healthy_rollout_goes_through_its_steps_to_the_promotion(
    running: Rollout, net: Model, measured: Callable[..., datetime]
) -> None:
    tick(measured(5))
    running.refresh_from_db()
    assert running.step_index == 0 and "of 10 s" in running.reason
    tick(measured(6))
    running.refresh_from_db()
    assert (running.step_index, running.state) == (1, "running")
    tick(measured(11))
    running.refresh_from_db()
    net.refresh_from_db()
    assert (running.state, net.default_version.number) == ("promoted", 2)
    assert [d.to_value for d in Decision.objects.order_by("pk")][-3:] == ["canary 5 %", "canary 50 %", "promoted"]
    assert published().rollout is None and published().warm == {1}


def test_f22_errors_abort_within_a_tick_and_the_default_never_changed(
    running: Rollout, net: Model, measured: Callable[..., datetime]
) -> None:
    tick(measured(2, bad=5))
    running.refresh_from_db()
    net.refresh_from_db()
    assert (running.state, net.default_version.number) == ("aborted", 1)
    assert published().rollout is None
    decision = Decision.objects.latest("pk")
    assert (decision.reason, decision.to_value, decision.evidence["candidate_failed"]) == ("error_rate", "aborted", 10)
    event = AuditEvent.objects.get(action="rollout.aborted", actor="system:rollout")
    assert event.details["reason"] == "error_rate"
    assert details_of(event.action, event.object_id, event.details)[-1].value == running.reason


def test_a_fault_in_one_rollout_s_look_does_not_keep_another_from_its_abort(
    running: Rollout,
    measured: Callable[..., datetime],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = models.create_model(actor=ANN, name="other")
    versions.promote(actor=ANN, version=version(other, 1))
    other.refresh_from_db()
    broken = rollouts.start(actor=ANN, model=other, candidate=version(other, 2), steps=STEPS)
    Rollout.objects.filter(pk=broken.pk).update(step_index=7)  # a step that it has not
    tick(measured(2, bad=5, versions={"net/1": "ready", "net/2": "ready", "other/2": "ready"}))
    running.refresh_from_db()
    assert running.state == "aborted"
    assert "other could not be looked at" in caplog.text


def test_f22_a_candidate_whose_requests_all_expire_or_are_refused_aborts(
    running: Rollout, measured: Callable[..., datetime]
) -> None:
    """What load refuses and what expires is no model's error, but beside a default that answers it is a verdict."""
    now = measured(2)
    MetricSample.objects.filter(version=2).update(requests=0, histogram={}, rejections=10)
    tick(now)
    running.refresh_from_db()
    assert running.state == "aborted" and "20 of 20 requests of the candidate failed" in running.reason


def test_a_candidate_that_refuses_as_often_as_the_default_goes_on(
    running: Rollout, measured: Callable[..., datetime]
) -> None:
    now = measured(11)
    MetricSample.objects.filter(version=1).update(rejections=50)
    MetricSample.objects.filter(version=2).update(rejections=5)
    tick(now)
    running.refresh_from_db()
    assert (running.state, running.step_index) == ("running", 1)


def test_f22_slow_answers_abort(running: Rollout, measured: Callable[..., datetime]) -> None:
    tick(measured(2, ms=50.0))
    running.refresh_from_db()
    assert running.state == "aborted" and "times the default's p99" in running.reason


def test_f22_a_candidate_that_takes_all_at_once_is_held_to_what_was_before(
    net: Model, second: ModelVersion, measured: Callable[..., datetime]
) -> None:
    """Alone, the default had no rows of its own; with the candidate at 100 %, it has no traffic."""
    rollout = rollouts.start(actor=ANN, model=net, candidate=second, steps=[{"weight_percent": 100, "hold_s": 60}])
    for back in range(1, 20):
        MetricSample.objects.create(
            model_name="net",
            resolution_s=SECOND_S,
            at=timezone.now() - timedelta(seconds=back),
            requests=100,
            histogram={str(histogram.index(5_000_000)): 100},
        )
    now = measured(3, ms=50.0)
    MetricSample.objects.filter(version=1).delete()
    tick(now)
    rollout.refresh_from_db()
    assert rollout.state == "aborted" and "p99 of 5.0 ms" in rollout.reason


def test_f22_a_candidate_that_does_not_load_aborts(running: Rollout, measured: Callable[..., datetime]) -> None:
    troubles = {"net/2": {"message": "golden sample 1: y is off by 0.5", "restarts": 1}}
    tick(measured(1, candidate=0, state="quarantined", troubles=troubles))
    running.refresh_from_db()
    assert running.state == "aborted" and "off by 0.5" in running.reason


def test_f33_what_the_data_plane_stopped_meanwhile_is_recorded_as_an_abort(
    running: Rollout, measured: Callable[..., datetime]
) -> None:
    others = {"model": "net", "rollout_id": running.pk + 1, "words": "not this one"}
    tick(measured(1, stopped_rollouts=[others]))
    running.refresh_from_db()
    assert running.state == "running"
    why = say("%(failed)s of 10 requests of the candidate failed", failed=9)
    stopped = {"model": "net", "rollout_id": running.pk, "words": str(why), "parts": why.parts}
    tick(measured(1, stopped_rollouts=[others, stopped]))
    running.refresh_from_db()
    assert (running.state, running.reason) == (
        "aborted",
        "Stopped by the data plane: 9 of 10 requests of the candidate failed",
    )
    decision = Decision.objects.filter(knob="rollout").latest("pk")
    for kept in (running.said, decision.said["explanation"]):
        assert readable(kept, lambda text: f"[{text}]", "") == (
            "[Stopped by the data plane: [9 of 10 requests of the candidate failed]]"
        )


def test_f22_drift_aborts_a_shadow(net: Model, second: ModelVersion, measured: Callable[..., datetime]) -> None:
    shadow = rollouts.start(actor=ANN, model=net, candidate=second, mode="shadow")
    bucket = str(histogram.index(5_000_000))
    numbers = {
        "rollout_id": shadow.pk,
        "compared": 40,
        "differing": 30,
        "failed": 0,
        "largest_difference": 0.25,
        "default_histogram": {bucket: 40},
        "candidate_histogram": {bucket: 40},
    }
    tick(measured(1, shadows=[numbers]))
    shadow.refresh_from_db()
    assert (shadow.state, shadow.evidence["differing"]) == ("aborted", 30)


def test_the_hold_time_begins_when_the_candidate_answers(running: Rollout, measured: Callable[..., datetime]) -> None:
    tick(measured(30, candidate=0, state="loading"))
    tick(measured(9))
    running.refresh_from_db()
    assert running.step_index == 0
    tick(measured(2))
    running.refresh_from_db()
    assert running.step_index == 1


def test_f32_a_stale_holder_writes_nothing(running: Rollout, measured: Callable[..., datetime]) -> None:
    now = measured(1)
    fence = leases.acquire(name=rollout_control.LEASE, holder="old", ttl_s=1, now=now)
    assert leases.acquire(name=rollout_control.LEASE, holder="new", ttl_s=60, now=now + timedelta(seconds=2))
    with pytest.raises(Conflict):
        rollout_control.apply_abort(fence=fence or 0, rollout=running, reason="error_rate", words="late", evidence={})
    tick(measured(2, bad=10), holder="third")
    running.refresh_from_db()
    assert running.state == "running"


def test_a_verdict_on_what_an_operator_changed_meanwhile_is_dropped(running: Rollout) -> None:
    fence = leases.acquire(name=rollout_control.LEASE, holder="one", ttl_s=60, now=timezone.now()) or 0
    rollouts.set_weight(actor=ANN, rollout=running, weight_percent=1)
    stale = {"fence": fence, "rollout": running, "reason": "healthy", "words": "", "evidence": {}}
    assert rollout_control.apply_step(**stale, to_step=1, now=timezone.now()) is None
    assert rollout_control.apply_promotion(**stale) is None
    assert rollout_control.apply_abort(**stale) is not None


def test_one_that_is_held_stays_and_is_watched(running: Rollout, measured: Callable[..., datetime]) -> None:
    rollouts.hold(actor=ANN, rollout=running)
    tick(measured(60))
    running.refresh_from_db()
    assert (running.state, running.step_index) == ("holding", 0)
    tick(measured(3, bad=10))
    running.refresh_from_db()
    assert running.state == "aborted"


def test_going_back_makes_the_warm_version_the_default_again(net: Model, second: ModelVersion) -> None:
    versions.promote(actor=ANN, version=second)
    net.refresh_from_db()
    assert rollouts.rollback_target(net).number == 1
    assert rollouts.roll_back(actor=ANN, model=net).number == 1
    net.refresh_from_db()
    assert net.default_version.number == 1 and published().warm == set()
    with pytest.raises(Conflict, match="warm"):
        rollouts.roll_back(actor=ANN, model=net)


@pytest.mark.parametrize("mode", ["canary", "shadow"])
@pytest.mark.parametrize(("promoted", "state"), [(2, "promoted"), (3, "cancelled")])
def test_a_promotion_by_hand_ends_the_rollout_that_runs(
    net: Model, second: ModelVersion, mode: str, promoted: int, state: str
) -> None:
    """Else the candidate would be compared with itself, and a shadow's rollout would stand in the way for ever."""
    version(net, 3)
    rollout = rollouts.start(actor=ANN, model=net, candidate=second, mode=mode)
    versions.promote(actor=ANN, version=net.versions.get(number=promoted))
    rollout.refresh_from_db()
    assert (rollout.state, rollout.ended_at is None) == (state, False)
    assert "user:ann" in rollout.reason and f"{promoted}" in rollout.reason
    assert published().rollout is None and published().default_version == promoted
    assert Decision.objects.filter(knob="rollout", to_value=state, actor="user:ann").count() == 1
    assert AuditEvent.objects.filter(action=f"rollout.{state}").count() == 1


def test_a_warm_version_is_let_go_when_its_time_is_over(net: Model, second: ModelVersion) -> None:
    versions.promote(actor=ANN, version=second)
    before = load_snapshot(None).generation
    tick(timezone.now() + timedelta(seconds=299))
    assert published().warm == {1}
    tick(timezone.now() + timedelta(seconds=301))
    assert set(published().versions) == {2} and load_snapshot(None).generation > before


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"steps": []}, "steps"),
        ({"steps": [{"weight_percent": 101, "hold_s": 1}]}, "steps"),
        ({"steps": [{"weight_percent": True, "hold_s": 1}]}, "steps"),
        ({"steps": [{"weight_percent": 5}]}, "steps"),
        ({"steps": [{"weight_percent": 50, "hold_s": 1}, {"weight_percent": 5, "hold_s": 1}]}, "steps"),
        ({"steps": [{"weight_percent": float("nan"), "hold_s": 1}]}, "steps"),
        ({"mode": "blue"}, "mode"),
        ({"max_p99_ratio": 0.5}, "max_p99_ratio"),
        ({"tolerance": "1"}, "tolerance"),
        ({"instances": 1.5}, "instances"),
        ({"colour": 1}, "colour"),
    ],
)
def test_what_makes_no_sense_is_refused(net: Model, second: ModelVersion, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        rollouts.start(actor=ANN, model=net, candidate=second, **fields)
    assert refused.value.field == field and not Rollout.objects.exists()


def test_a_candidate_must_be_ready_another_version_and_take_the_same_inputs(net: Model, second: ModelVersion) -> None:
    other = {"inputs": [{"name": "z", "datatype": "FP32", "shape": [-1, 4]}], "outputs": SIGNATURE["outputs"]}
    for candidate in (
        net.default_version,
        version(net, 3, signature=other),
        version(net, 4, state=VersionState.ARCHIVED),
    ):
        with pytest.raises(Conflict):
            rollouts.start(actor=ANN, model=net, candidate=candidate)
    rollouts.start(actor=ANN, model=net, candidate=second)
    with pytest.raises(Conflict, match="runs already"):
        rollouts.start(actor=ANN, model=net, candidate=second)


def test_what_is_being_rolled_out_is_in_use(running: Rollout, second: ModelVersion) -> None:
    for change in (versions.archive, deletions.delete_version):
        with pytest.raises(Conflict, match="rolled out"):
            change(actor=ANN, version=second)
    rollouts.cancel(actor=ANN, rollout=running)
    versions.archive(actor=ANN, version=second)


def test_a_lost_update_is_refused(running: Rollout) -> None:
    rollouts.set_weight(actor=ANN, rollout=running, weight_percent=7, expected_revision=1)
    with pytest.raises(PreconditionFailed):
        rollouts.hold(actor=ANN, rollout=running, expected_revision=1)
    with pytest.raises(Conflict, match="ended"):
        rollouts.abort(actor=ANN, rollout=rollouts.abort(actor=ANN, rollout=running, reason="wrong"))
