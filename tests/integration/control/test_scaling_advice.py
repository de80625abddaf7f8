"""The rule for the number of instances where it may only advise, and while all tuning is frozen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models_admin.models import Decision, MetricSample, Model, ModelVersion, ScalingState
from models_admin.services import leases, policies, scaling, tuning, tuning_trials
from models_admin.services.errors import Conflict
from models_admin.tasks.scaling import run_tick
from tests.integration.control.conftest import ANN

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)


@pytest.fixture
def net(ready: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(8)))
    policies.update_policy(actor=ANN, model=ready.model, max_instances=6, scale_down_delay_s=10)
    tuning.set_mode(actor=ANN, model=ready.model, knob="instances", mode="advise")
    return ready.model


def tick(seconds: float, **fields: Any) -> None:
    now = NOW + timedelta(seconds=seconds)
    MetricSample.objects.all().delete()
    rows = []
    for back in range(1, 16):
        at = now - timedelta(seconds=back)
        rows += [
            MetricSample(model_name="", at=at),
            MetricSample(model_name="net", at=at, **{"instances": 1, **fields}),
        ]
    MetricSample.objects.bulk_create(rows)
    run_tick(holder="a", now=now)


def card() -> Decision:
    return Decision.objects.get(knob="instances", status="advised")


def wanted() -> int:
    return ScalingState.objects.get().wanted_instances


def test_what_the_rule_would_do_is_a_card_and_nothing_is_done(net: Model) -> None:
    tick(0, requests=100, busy_ratio=1.0)
    assert wanted() == 1
    assert (card().from_value, card().to_value, card().actor) == ("1", "2", "system:autoscaler")
    assert "100" in card().explanation
    assert card().evidence["ready_instances"] == 1
    first = card().pk
    tick(5, requests=100, busy_ratio=1.0)
    assert card().pk == first
    assert ScalingState.objects.get().signals["reason"] in ("utilisation", "demand")


def test_a_card_that_a_person_takes_is_carried_out_and_a_new_look_starts_from_there(net: Model) -> None:
    tick(0, requests=100, busy_ratio=1.0)
    tuning.apply_advice(actor=ANN, decision=card())
    assert wanted() == 2
    tick(5, requests=100, busy_ratio=1.0, instances=2)
    assert (card().from_value, card().to_value) == ("2", "3")


def test_a_card_goes_when_load_no_longer_asks_for_it(net: Model) -> None:
    tick(0, requests=100, busy_ratio=1.0)
    asked = card()
    tick(5, requests=100, busy_ratio=0.5)
    asked.refresh_from_db()
    assert asked.status == "expired"
    assert asked.outcome.endswith("1 is right.")


def test_a_card_stands_while_nothing_is_known(net: Model) -> None:
    tick(0, requests=100, busy_ratio=1.0)
    tick(5, requests=100, busy_ratio=1e9)
    MetricSample.objects.all().delete()
    run_tick(holder="a", now=NOW + timedelta(seconds=10))
    assert card().to_value == "2"


def test_low_load_is_advised_on_as_long_as_it_lasts(net: Model) -> None:
    scaling.set_instances(actor=ANN, model=net, count=3)
    for seconds in range(0, 40, 5):
        tick(seconds, busy_ratio=0.0, instances=3)
    assert wanted() == 3
    assert (card().from_value, card().to_value, card().reason) == ("3", "2", "low_load")
    assert Decision.objects.filter(knob="instances", reason="low_load").count() == 1


def test_switched_off_it_advises_nothing(net: Model) -> None:
    tuning.set_mode(actor=ANN, model=net, knob="instances", mode="off")
    tick(0, requests=100, busy_ratio=1.0)
    assert not Decision.objects.filter(knob="instances").exists()


@pytest.mark.parametrize("mode", ["automatic", "advise"])
def test_frozen_it_holds_and_says_so(net: Model, mode: str) -> None:
    tuning.set_mode(actor=ANN, model=net, knob="instances", mode=mode)
    tuning.set_frozen(actor=ANN, frozen=True)
    tick(0, requests=100, busy_ratio=1.0)
    assert wanted() == 1
    assert not Decision.objects.filter(knob="instances").exists()
    assert ScalingState.objects.get().signals["words"] == "All tuning is frozen; the number stays."
    tuning.set_frozen(actor=ANN, frozen=False)
    tick(5, requests=100, busy_ratio=1.0)
    assert Decision.objects.filter(knob="instances").count() == 1


def test_f34_a_stale_controller_s_card_is_refused(net: Model) -> None:
    leases.acquire(name=scaling.LEASE, holder="a", ttl_s=15, now=NOW)
    leases.acquire(name=scaling.LEASE, holder="b", ttl_s=15, now=NOW + timedelta(seconds=20))
    made = Decision(model=net, knob="instances", from_value="1", to_value="2", reason="demand", explanation="Why.")
    with pytest.raises(Conflict):
        tuning_trials.advise(fence=1, card=made, lease=scaling.LEASE)
    assert not Decision.objects.filter(knob="instances").exists()
