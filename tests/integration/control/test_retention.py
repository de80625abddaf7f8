"""What the sweep leaves of decisions and of policies' histories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models_admin.models import Decision, Model, PolicyRevision
from models_admin.services import models, policies, retention
from models_admin.tasks.housekeeping import sweep
from tests.integration.control.conftest import ANN

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)


def decide(model: Model, count: int = 1, *, age_d: float = 0, **fields: Any) -> list[int]:
    rows = Decision.objects.bulk_create(
        Decision(model=model, knob="placement", from_value="a", to_value="b", reason="x", **fields)
        for _ in range(count)
    )
    keys = [row.pk for row in rows]
    Decision.objects.filter(pk__in=keys).update(at=NOW - timedelta(days=age_d))
    return keys


def test_what_is_older_than_the_setting_goes_but_for_what_is_open(model: Model, settings: Any) -> None:
    settings.DLPROXY_KEEP_DECISIONS_D = 30
    decide(model, 3, age_d=31)
    kept = decide(model, age_d=29)
    kept += decide(model, age_d=31, status="advised") + decide(model, age_d=31, status="measuring")
    assert retention.drop_old(now=NOW) == 3
    assert sorted(Decision.objects.values_list("pk", flat=True)) == sorted(kept)
    assert retention.drop_old(now=NOW) == 0


def test_a_policy_can_always_be_gone_back_by_one_change(model: Model) -> None:
    for rows in (16, 8, 4):
        policies.update_policy(actor=ANN, model=model, max_batch_rows=rows)
    PolicyRevision.objects.update(at=NOW - timedelta(days=1_000))
    retention.drop_old(now=NOW)
    assert list(PolicyRevision.objects.values_list("revision", flat=True)) == [4]
    assert policies.revert(actor=ANN, model=model, revision=3).max_batch_rows == 8


def test_of_one_model_only_the_newest_stay(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MOST_OF_A_MODEL", 5)
    monkeypatch.setattr(retention, "DELETE_ROWS", 4)
    many, few = decide(model, 14), decide(models.create_model(actor=ANN, name="other"), 5)
    asked = decide(model, status="advised")
    many += decide(model, 1)
    assert retention.drop_old(now=NOW) == 10
    assert set(Decision.objects.values_list("pk", flat=True)) == {*many[-5:], *few, *asked}


def test_a_decision_whose_undoing_is_kept_may_go(model: Model) -> None:
    (old,) = decide(model, age_d=1_000)
    (undone,) = decide(model, undoes_id=old)
    assert retention.drop_old(now=NOW) == 1
    assert Decision.objects.get(pk=undone).undoes is None


def test_the_sweep_drops_them(model: Model) -> None:
    decide(model, age_d=1_000)
    sweep()
    assert not Decision.objects.exists()
