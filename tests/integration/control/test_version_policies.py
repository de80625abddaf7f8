"""Which versions are loaded and which one answers: the promoted one, the latest, the newest few."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from models_admin.models import ModelVersion, Policy
from models_admin.models.registry import VersionState
from models_admin.publishing.snapshot import load_snapshot
from models_admin.services import defaults, models, policies
from tests.integration.control.conftest import ANN

pytestmark = pytest.mark.django_db


def another(ready: ModelVersion, number: int) -> ModelVersion:
    """A further ready version of the same bytes."""
    return ModelVersion.objects.create(
        model=ready.model,
        number=number,
        digest=ready.digest,
        size_bytes=ready.size_bytes,
        format=ready.format,
        signature=ready.signature,
        state=VersionState.READY,
    )


def loaded() -> set[int]:
    snapshot = load_snapshot(None)
    assert snapshot is not None
    return set(snapshot.models["net"].versions)


def test_by_default_a_version_that_becomes_ready_waits_to_be_promoted(ready: ModelVersion) -> None:
    newer = another(ready, 2)
    assert not defaults.become_default_if_due(ready.model, newer)
    assert loaded() == {1}


def test_following_the_latest_a_version_that_becomes_ready_is_the_default_and_the_one_before_stays_warm(
    ready: ModelVersion,
) -> None:
    policies.update_policy(actor=ANN, model=ready.model, version_policy="latest")
    newer = another(ready, 2)
    model = type(ready.model).objects.get(pk=ready.model_id)
    assert defaults.become_default_if_due(model, newer)
    assert model.default_version == newer
    ready.refresh_from_db()
    assert ready.warm_until is not None
    assert loaded() == {1, 2}


def test_following_the_latest_an_older_number_that_was_validated_anew_replaces_nothing(ready: ModelVersion) -> None:
    policies.update_policy(actor=ANN, model=ready.model, version_policy="latest")
    newer = another(ready, 5)
    model = type(ready.model).objects.get(pk=ready.model_id)
    defaults.become_default_if_due(model, newer)
    assert not defaults.become_default_if_due(model, another(ready, 4))
    assert model.default_version == newer


def test_the_newest_versions_stay_loaded_as_many_as_the_policy_says(ready: ModelVersion) -> None:
    for number in (2, 3, 4):
        another(ready, number)
    assert loaded() == {1}
    policies.update_policy(actor=ANN, model=ready.model, keep_latest=2)
    assert loaded() == {1, 3, 4}


def test_the_newest_versions_of_many_models_are_found_with_as_many_queries_as_of_one(
    ready: ModelVersion, django_assert_num_queries: Any
) -> None:
    policies.update_policy(actor=ANN, model=ready.model, keep_latest=2)
    with CaptureQueriesContext(connection) as alone:
        load_snapshot(None)
    for number in range(20):
        model = models.create_model(actor=ANN, name=f"net-{number}")
        Policy.objects.filter(model=model).update(keep_latest=1)
        ready.model = model
        another(ready, 1)
        another(ready, 2)
    with django_assert_num_queries(len(alone)):
        snapshot = load_snapshot(None)
    assert snapshot is not None
    assert {name: set(found.versions) for name, found in snapshot.models.items()} == {
        "net": {1},
        **{f"net-{number}": {2} for number in range(20)},
    }
