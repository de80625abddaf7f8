"""Deleted, restored, removed for good: what serves is not deleted, what is restored serves nothing by itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from api_cast import FakeRuntime
from django.utils import timezone

from models_admin.management.demo.models import DemoVersion, register
from models_admin.models import ApiKey, AuditEvent, Decision, Model, ModelVersion
from models_admin.models.registry import VersionState
from models_admin.publishing.snapshot import load_snapshot
from models_admin.selectors import decisions, models_overview
from models_admin.selectors.artifacts import artifact_path
from models_admin.selectors.deleted import deleted_models, deleted_versions
from models_admin.services import artifacts, deletions, keys, models, rollouts, versions
from models_admin.services.errors import Conflict, NoSpace, NotFound
from tests.integration.control.conftest import ANN, files, make_ready, upload, weights


def published() -> dict[str, set[int]]:
    """The versions of each model that the data plane is told of."""
    snapshot = load_snapshot(None)
    assert snapshot is not None
    return {name: set(model.versions) for name, model in snapshot.models.items()}


@pytest.fixture
def second(ready: ModelVersion) -> ModelVersion:
    """A ready version beside the default."""
    return make_ready(upload(ready.model, 2.0, notes="the second"))


def test_a_restored_version_is_as_before_and_serves_nothing(second: ModelVersion, store: Path) -> None:
    before = ModelVersion.objects.filter(pk=second.pk).values().get()
    deletions.delete_version(actor=ANN, version=second)
    assert list(second.model.versions.values_list("number", flat=True)) == [1]
    assert [row.version_count for row in models_overview()] == [1]
    assert list(deleted_versions("net")) == [second]
    with pytest.raises(NotFound):
        versions.promote(actor=ANN, version=second)
    assert artifacts.sweep_orphans(now_s=2e10) == 0 and len(files(store)) == 2
    deletions.restore_version(actor=ANN, version=second)
    after = ModelVersion.objects.filter(pk=second.pk).values().get()
    assert {**before, "revision": before["revision"] + 2} == after
    assert published() == {"net": {1}}
    assert versions.promote(actor=ANN, version=second).number == 2
    actions = AuditEvent.objects.filter(action__startswith="version.").order_by("pk").values_list("action", flat=True)
    assert list(actions)[-3:] == ["version.delete", "version.undelete", "version.promote"]


def test_what_is_in_use_is_not_deleted_and_the_words_say_what_to_do(second: ModelVersion) -> None:
    first = second.model.versions.get(number=1)
    versions.promote(actor=ANN, version=second)
    with pytest.raises(Conflict, match="Archive it first"):  # warm, for the way back
        deletions.delete_version(actor=ANN, version=first)
    with pytest.raises(Conflict, match="Promote another version first"):
        deletions.delete_version(actor=ANN, version=second)
    rollout = rollouts.start(actor=ANN, model=first.model, candidate=first)
    with pytest.raises(Conflict, match="End the rollout first"):
        deletions.delete_version(actor=ANN, version=first)
    models.set_loaded(actor=ANN, model=first.model, loaded=False)
    with pytest.raises(Conflict, match="Cancel it first"):
        deletions.delete_model(actor=ANN, model=first.model)
    rollouts.cancel(actor=ANN, rollout=rollout)
    ModelVersion.objects.filter(pk=first.pk).update(state=VersionState.VALIDATING)
    with pytest.raises(Conflict, match="being validated"):
        deletions.delete_version(actor=ANN, version=first)
    with pytest.raises(Conflict, match="being validated"):
        deletions.delete_model(actor=ANN, model=first.model)


def test_numbers_names_and_bytes_of_what_was_deleted_are_still_taken(second: ModelVersion, settings: Any) -> None:
    model = second.model
    deletions.delete_version(actor=ANN, version=second)
    with pytest.raises(Conflict, match="can still be restored"):
        upload(model, number=2)
    assert upload(model, 3.0).number == 3
    settings.DLPROXY_MAX_STORAGE_BYTES = 3 * len(weights())
    with pytest.raises(NoSpace):
        upload(model, 4.0)
    models.set_loaded(actor=ANN, model=model, loaded=False)
    deletions.delete_model(actor=ANN, model=model)
    with pytest.raises(Conflict, match="can still be restored"):
        models.create_model(actor=ANN, name="net")


def test_a_model_comes_back_with_the_versions_that_went_with_it_and_no_other(second: ModelVersion) -> None:
    model = second.model
    _, secret = keys.create_key(actor=ANN, name="app", scope="inference", all_models=False, models=[model])
    key = ApiKey.objects.get(digest=keys.digest_of(secret))
    Decision.objects.create(model=model, knob="k", from_value="1", to_value="2", reason="operator", explanation="x")
    deletions.delete_version(actor=ANN, version=second)
    models.set_loaded(actor=ANN, model=model, loaded=False)
    deletions.delete_model(actor=ANN, model=model)
    assert published() == {} and not decisions().exists()
    snapshot = load_snapshot(None)
    assert snapshot is not None and snapshot.keys[key.digest].models == frozenset()  # none, which is not all
    gone = deleted_models().get()
    assert (gone.version_count, gone.artifact_bytes) == (1, 2 * len(weights()))
    with pytest.raises(NotFound):
        deletions.restore_version(actor=ANN, version=second)
    deletions.restore_model(actor=ANN, model=model)
    assert list(Model.objects.get().versions.values_list("number", flat=True)) == [1]
    assert published() == {"net": set()}  # as unloaded as it was
    models.set_loaded(actor=ANN, model=model, loaded=True)
    assert published() == {"net": {1}}
    assert list(key.models.all()) == [model] and decisions().count() == 1
    assert list(deleted_versions("net")) == [second]


def test_housekeeping_removes_what_was_kept_for_long_enough(second: ModelVersion, settings: Any, store: Path) -> None:
    settings.DLPROXY_KEEP_DELETED_H = 24
    deletions.delete_version(actor=ANN, version=second)
    now = timezone.now()
    assert deletions.remove_expired(now=now + timedelta(hours=23)) == 0
    assert deletions.remove_expired(now=now + timedelta(hours=25)) == 1
    assert list(ModelVersion.with_deleted.values_list("number", flat=True)) == [1]
    removal = AuditEvent.objects.get(action="version.remove")
    assert (removal.actor, removal.object_id) == ("system:housekeeping", "net/2")
    model = second.model
    upload(model, 3.0)
    models.set_loaded(actor=ANN, model=model, loaded=False)
    deletions.delete_model(actor=ANN, model=model)
    assert deletions.remove_expired(now=now + timedelta(hours=25)) == 1
    assert not Model.with_deleted.exists() and not ModelVersion.with_deleted.exists()


def test_a_deletion_drops_the_answers_that_the_cache_holds(
    second: ModelVersion, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    runtime = FakeRuntime()
    monkeypatch.setattr("proxy.gateway._runtime", runtime)
    with django_capture_on_commit_callbacks(execute=True):
        deletions.delete_version(actor=ANN, version=second)
    assert runtime.purged == [("net", second.digest)]
    models.set_loaded(actor=ANN, model=second.model, loaded=False)
    with django_capture_on_commit_callbacks(execute=True):
        deletions.delete_model(actor=ANN, model=second.model)
    assert runtime.purged[1:] == [("net", None)]


def test_only_what_is_deleted_is_restored_or_removed(second: ModelVersion) -> None:
    for change in (deletions.restore_version, deletions.remove_version):
        with pytest.raises(NotFound, match="not among the deleted"):
            change(actor=ANN, version=second)
    for whole in (deletions.restore_model, deletions.remove_model):
        with pytest.raises(NotFound, match="not among the deleted"):
            whole(actor=ANN, model=second.model)
    assert artifact_path(second).exists()


def test_what_the_owner_deleted_under_a_demo_s_name_does_not_break_the_start(second: ModelVersion) -> None:
    deletions.delete_version(actor=ANN, version=second)
    demo = DemoVersion("net", second.number, Path(), "a demo of the same name and number")
    assert register(demo, lambda _: None) is None
    models.set_loaded(actor=ANN, model=second.model, loaded=False)
    deletions.delete_model(actor=ANN, model=second.model)
    assert register(demo, lambda _: None) is None
