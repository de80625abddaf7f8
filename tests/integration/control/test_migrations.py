"""Migrations with rows in the tables: what the first release kept is there after each later one; the way back, too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = [("models_admin", "0001_tables")]
AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def migrate(targets: list[tuple[str, str]]) -> Any:
    """Bring the database to `targets`; returns the models as they are there."""
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return MigrationExecutor(connection).loader.project_state(targets).apps


@pytest.fixture
def newest(transactional_db: None) -> Iterator[list[tuple[str, str]]]:
    """The last migrations; the database is there again after the test."""
    targets = [node for node in MigrationExecutor(connection).loader.graph.leaf_nodes() if node[0] == "models_admin"]
    yield targets
    migrate(targets)


def test_rows_of_the_first_release_are_kept(newest: list[tuple[str, str]]) -> None:
    old = migrate(FIRST)
    model = old.get_model("models_admin", "Model").objects.create(name="digits")
    old.get_model("models_admin", "Policy").objects.create(model=model, max_batch_rows=7)
    old.get_model("models_admin", "ScalingState").objects.create(model=model, wanted_instances=3)
    version = old.get_model("models_admin", "ModelVersion").objects.create(
        model=model, number=1, state="ready", digest="ab" * 32, size_bytes=10, format="torchscript", keep_loaded=True
    )
    old.get_model("models_admin", "Model").objects.update(default_version=version)
    key = old.get_model("models_admin", "ApiKey").objects.create(name="ci", digest="cd" * 32, prefix="dlp_x")
    samples = old.get_model("models_admin", "MetricSample").objects
    samples.create(model_name="digits", at=AT, resolution_s=1, requests=5)

    new = migrate(newest)
    policy = new.get_model("models_admin", "Policy").objects.get(model__name="digits")
    assert (policy.max_batch_rows, policy.priority_levels, policy.padded_batch_rows) == (7, 3, [])
    assert new.get_model("models_admin", "ScalingState").objects.get().wanted_instances == 3
    row = new.get_model("models_admin", "Model").objects.get().default_version
    assert (row.number, row.keep_loaded, row.warm_until, row.quarantined_reason) == (1, True, None, "")
    assert new.get_model("models_admin", "ApiKey").objects.get(pk=key.pk).weight == 1
    assert row.state_said is None
    row.steps.create(position=0, name="load", message="Fine.", said=[["Fine.", {}]])
    sample = new.get_model("models_admin", "MetricSample").objects.get()
    assert (sample.requests, sample.version) == (5, 0)

    again = migrate(FIRST)
    assert again.get_model("models_admin", "Policy").objects.get().max_batch_rows == 7
    assert again.get_model("models_admin", "ValidationStep").objects.get().message == "Fine."
