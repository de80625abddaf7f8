"""Models: created, changed under revision control, loaded, deleted; each change audited once and published."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from models_admin.models import AuditEvent, MetricSample, Model, ModelVersion
from models_admin.publishing.snapshot import current_generation
from models_admin.selectors.artifacts import artifact_path
from models_admin.services import deletions, models, versions
from models_admin.services.errors import Conflict, Invalid, NotFound, PreconditionFailed
from proxy import gateway
from tests.integration.control.conftest import ANN

pytestmark = pytest.mark.django_db


class Bell:
    """Stands for the running data plane."""

    def __init__(self) -> None:
        self.rung = 0

    def feed_soon(self) -> None:
        self.rung += 1


@pytest.fixture
def bell() -> Any:
    bell = Bell()
    gateway.attach(bell)  # type: ignore[arg-type]
    yield bell
    gateway.attach(None)


def test_a_new_model_has_a_policy_and_a_wanted_instance(model: Model) -> None:
    assert model.policy.max_batch_rows == 32
    assert model.scaling.wanted_instances == 1
    event = AuditEvent.objects.get()
    assert (event.actor, event.action, event.object_id) == ("user:ann", "model.create", "net")
    assert event.remote_addr == "127.0.0.1"


@pytest.mark.parametrize("name", ["", "-a", "a/b", "a b", "..", "ä", "a" * 129, "a\n", "a.", "<script>"])
def test_names_that_could_be_paths_or_markup_are_refused(db: None, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        models.create_model(actor=ANN, name=name)
    assert caught.value.field == "name"
    assert not Model.objects.exists()
    assert not AuditEvent.objects.exists()


def test_a_taken_name_is_a_conflict(model: Model) -> None:
    with pytest.raises(Conflict):
        models.create_model(actor=ANN, name="net")


def test_a11_of_two_admins_with_the_same_revision_the_second_is_refused(model: Model) -> None:
    models.update_model(actor=ANN, model=model, expected_revision=1, description="first")
    with pytest.raises(PreconditionFailed):
        models.update_model(actor=ANN, model=model, expected_revision=1, description="second")
    model.refresh_from_db()
    assert (model.description, model.revision) == ("first", 2)


def test_a_change_of_nothing_writes_nothing(model: Model) -> None:
    events = AuditEvent.objects.count()
    models.update_model(actor=ANN, model=model, description="")
    models.set_loaded(actor=ANN, model=model, loaded=True)
    assert AuditEvent.objects.count() == events


def test_the_data_plane_is_told_after_the_commit_only(
    model: Model, bell: Bell, django_capture_on_commit_callbacks: Any
) -> None:
    before = current_generation()
    with django_capture_on_commit_callbacks(execute=True):
        models.set_loaded(actor=ANN, model=model, loaded=False)
        assert bell.rung == 0
    assert bell.rung == 1
    assert current_generation() == before + 1


def test_a_change_that_is_rolled_back_leaves_no_trace(model: Model, bell: Bell) -> None:
    before = current_generation(), AuditEvent.objects.count()
    with pytest.raises(RuntimeError), transaction.atomic():
        models.set_loaded(actor=ANN, model=model, loaded=False)
        raise RuntimeError
    assert (current_generation(), AuditEvent.objects.count()) == before
    assert bell.rung == 0


def test_a_model_that_answers_calls_is_not_deleted(ready: ModelVersion) -> None:
    with pytest.raises(Conflict) as caught:
        deletions.delete_model(actor=ANN, model=ready.model)
    assert caught.value.code == "model_loaded"
    assert Model.objects.exists()


def test_removing_a_deleted_model_removes_its_artifacts_after_the_commit(
    ready: ModelVersion, django_capture_on_commit_callbacks: Any
) -> None:
    path = artifact_path(ready)
    models.set_loaded(actor=ANN, model=ready.model, loaded=False)
    deletions.delete_model(actor=ANN, model=ready.model)
    with django_capture_on_commit_callbacks(execute=True):
        deletions.remove_model(actor=ANN, model=ready.model)
        assert path.exists()
    assert not path.exists()
    assert not ModelVersion.with_deleted.exists()
    with pytest.raises(NotFound):
        models.update_model(actor=ANN, model=ready.model, description="gone")
    with pytest.raises(NotFound):
        versions.promote(actor=ANN, version=ready)


def test_a_removed_model_takes_its_measurements_with_it_and_nobody_else_s(model: Model) -> None:
    for name in ("net", "", "other"):
        MetricSample.objects.create(model_name=name, at=timezone.now())
    deletions.delete_model(actor=ANN, model=model)
    deletions.remove_model(actor=ANN, model=model)
    assert sorted(MetricSample.objects.values_list("model_name", flat=True)) == ["", "other"]


@pytest.mark.django_db(transaction=True)
def test_two_at_once_create_one_model() -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def create() -> None:
        barrier.wait()
        try:
            models.create_model(actor=ANN, name="twin")
            outcomes.append("created")
        except Conflict:
            outcomes.append("conflict")
        finally:
            connection.close()

    threads = [threading.Thread(target=create) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict", "created"]
