"""What an open overview is told of its rows and of models that came or went since."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from live_cast import report

from models_admin.dashboard.overview_rows import changes_of
from models_admin.models import Model, Policy, Rollout
from models_admin.models.registry import VersionState
from models_admin.selectors import Listed
from models_admin.services import deletions, models
from models_admin.services.actors import Actor
from proxy import gateway
from proxy.core.reports import VersionReport
from tests.integration.pages.conftest import add_version


def opened(client: Client, query: str = "") -> dict[str, str]:
    """What the page keeps to ask with."""
    html = client.get(f"/{query}").content.decode()
    panel = re.search(r'id="models-panel"[^>]*', html)
    assert panel is not None
    return dict(re.findall(r'data-(generation|listed|newest)="([^"]*)"', panel[0]))


def since(client: Client, known: dict[str, str], names: str, query: str = "") -> dict[str, Any]:
    answer = client.get("/overview/rows/", {**known, "models": names, "q": query})
    assert answer.status_code == 200
    return json.loads(answer.content)


@pytest.fixture
def digits(actor: Actor) -> Model:
    model = models.create_model(actor=actor, name="digits")
    first, _second = (add_version(model, number, VersionState.READY) for number in (1, 2))
    Model.objects.filter(pk=model.pk).update(default_version=first)
    return model


def test_a_row_follows_promotion_target_rollout_and_load(
    staff: Client, digits: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = (
        VersionReport("digits", 1, "ready", True, 1, 1, 0),
        VersionReport("digits", 2, "warming", False, 0, 1, 0),
    )
    second = replace(report(1, digits=2), versions=versions)
    monkeypatch.setattr(gateway, "latest_report", lambda: second)
    known = opened(staff)
    assert known["generation"] == str(second.generation)
    row = since(staff, known, "digits")["rows"]["digits"]
    assert (row["default"], row["words"], row["target_words"]) == (1, "version 1 of 2", "")
    assert row["state"]["label"] == "Ready"
    newer = digits.versions.get(number=2)
    Model.objects.filter(pk=digits.pk).update(default_version=newer)
    Policy.objects.filter(model=digits).update(latency_target_ms=20, latency_quantile=95)
    steps = [{"weight_percent": 12.5, "hold_s": 60}]
    candidate = digits.versions.get(number=1)
    Rollout.objects.create(model=digits, candidate=candidate, steps=steps, step_started_at=timezone.now())
    told = since(staff, known, "digits")
    row = told["rows"]["digits"]
    assert (row["default"], row["target"], row["held"], row["target_words"]) == (2, 20, "p95_ms", "p95 ≤ 20 ms")
    assert (row["words"], row["rollout"]) == ("version 2 of 2", "Canary 12.5 % → 1")
    assert (row["state"]["label"], row["state"]["tone"], told["words"]) == ("Warming up", "busy", "")
    Model.objects.filter(pk=digits.pk).update(loaded=False)
    assert since(staff, known, "digits")["rows"]["digits"]["state"]["label"] == "Unloaded"


def test_new_and_deleted_models_are_counted_within_what_is_searched(staff: Client, digits: Model, actor: Actor) -> None:
    known, searched = opened(staff), opened(staff, "?q=dig")
    for name in ("more", "yet-more"):
        models.create_model(actor=actor, name=name)
    assert since(staff, known, "digits")["words"] == "2 new models: show"
    assert since(staff, searched, "digits", "dig")["words"] == ""
    models.set_loaded(actor=actor, model=digits, loaded=False)
    deletions.delete_model(actor=actor, model=digits)
    told = since(staff, known, "digits")
    assert told["words"] == "2 new models, 1 deleted: show"
    assert told["rows"]["digits"]["state"]["label"] == "Deleted"


def test_an_address_made_up_is_answered(staff: Client, digits: Model) -> None:
    told = since(staff, {"listed": "-1", "newest": "x" * 9}, "digits,,<b>,\0," + "x," * 500, "\0")
    assert set(told["rows"]) == {"digits", "<b>", "\0", "x"}


@pytest.mark.parametrize(
    ("keys", "listed", "newest", "changes"),
    [
        ([1, 2], 2, 2, (0, 0)),
        ([1, 2, 3], 2, 2, (1, 0)),
        ([2], 2, 2, (0, 1)),
        ([1, 3, 4], 2, 2, (2, 1)),
        ([1, 2, 3], 2, 3, (1, 0)),  # one that was deleted before came back
        ([], 0, 0, (0, 0)),
    ],
)
def test_changes_of_a_list(keys: list[int], listed: int, newest: int, changes: tuple[int, int]) -> None:
    models_now = [Listed(key, f"m{key}", True, None) for key in keys]
    assert changes_of(models_now, listed, newest) == changes
