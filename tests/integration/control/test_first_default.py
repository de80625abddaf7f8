"""Several first versions at once: the lowest number that passes becomes the default, however fast the others are."""

from __future__ import annotations

import pytest
from django.utils import timezone

from models_admin.models import AuditEvent, Model, ModelVersion
from models_admin.models.policy import VersionPolicy
from models_admin.publishing.snapshot import load_snapshot
from models_admin.services import deletions, policies, validation, versions
from models_admin.services.validation_report import ResultReport
from tests.integration.control.conftest import ANN, SIGNATURE, make_ready, upload

pytestmark = pytest.mark.django_db


def ends(version: ModelVersion, *, well: bool = True) -> None:
    """The validation of `version` takes place and ends."""
    claim = validation.begin(version=version, holder="a", now=timezone.now())
    assert claim is not None
    if well:
        validation.finish(claim=claim, result=ResultReport(SIGNATURE, True, 1, 1, 1))
    else:
        validation.fail(claim=claim, reason="It does not load.")


def default_of(model: Model) -> int | None:
    model.refresh_from_db()
    return model.default_version.number if model.default_version else None


def test_a_fast_second_version_waits_for_the_first_and_stays_behind_it(model: Model) -> None:
    first, second, third = (upload(model, value) for value in (1.0, 2.0, 3.0))
    ends(second)
    ends(third)
    assert default_of(model) is None
    ends(first)
    assert default_of(model) == 1


def test_where_the_lowest_fails_the_next_that_passed_serves_at_once(model: Model) -> None:
    first, second, third = (upload(model, value) for value in (1.0, 2.0, 3.0))
    ends(third)
    ends(second)
    ends(first, well=False)
    assert default_of(model) == 2
    assert AuditEvent.objects.get(action="version.default").object_id == "net/2"
    snapshot = load_snapshot(None)
    assert snapshot is not None
    assert snapshot.models["net"].default_version == 2


def test_nobody_waits_for_a_version_that_was_deleted(model: Model) -> None:
    first, second = upload(model), upload(model, 2.0)
    ends(second)
    deletions.delete_version(actor=ANN, version=first)
    assert default_of(model) == 2


def test_a_version_that_was_archived_while_it_waited_serves_once_it_is_restored(model: Model) -> None:
    first, second = upload(model), upload(model, 2.0)
    ends(second)
    versions.archive(actor=ANN, version=second)
    ends(first, well=False)
    assert default_of(model) is None
    versions.restore(actor=ANN, version=second)
    assert default_of(model) == 2


def test_who_will_not_wait_promotes_and_the_lower_number_replaces_nothing(model: Model) -> None:
    first, second = upload(model), make_ready(upload(model, 2.0))
    versions.promote(actor=ANN, version=second)
    ends(first)
    assert default_of(model) == 2


def test_who_chooses_the_latest_while_a_higher_number_waits_has_it_serve_at_once(model: Model) -> None:
    first, second, third = (upload(model, value) for value in (1.0, 2.0, 3.0))
    ends(second)
    ends(third)
    policies.update_policy(actor=ANN, model=model, version_policy=VersionPolicy.LATEST)
    assert default_of(model) == 3
    ends(first)
    assert default_of(model) == 3


def test_following_the_latest_nothing_waits_since_the_highest_number_wins_in_any_order(model: Model) -> None:
    policies.update_policy(actor=ANN, model=model, version_policy=VersionPolicy.LATEST)
    first, second = upload(model), upload(model, 2.0)
    ends(second)
    assert default_of(model) == 2
    ends(first)
    assert default_of(model) == 2
