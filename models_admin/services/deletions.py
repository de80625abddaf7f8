"""Deleting, restoring, and removing for good: models and versions.

    in the lists → deleted (kept for DLPROXY_KEEP_DELETED_H) → restored as it was | removed with its file

Rules: what serves is not deleted, and what is restored serves nothing until somebody promotes or loads it; a deleted
model's versions carry its own time of deletion, so that a restore brings back those and no other; names and numbers are
free only once the row is removed. Files go after the commit: a crash between leaves orphans for the sweep, never a row
without its artifact.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.models import MetricSample, Model, ModelVersion
from models_admin.models.registry import Deletable, VersionState
from models_admin.models.rollouts import ACTIVE_STATES
from models_admin.selectors.artifacts import artifact_path, golden_paths
from models_admin.selectors.wanted import wanted_versions
from models_admin.services import versions, writing
from models_admin.services.actors import Actor, system_actor
from models_admin.services.errors import Conflict, NotFound
from proxy import gateway

log = logging.getLogger(__name__)

HOUSEKEEPING = system_actor("housekeeping")


@transaction.atomic
def delete_version(*, actor: Actor, version: ModelVersion, expected_revision: int | None = None) -> ModelVersion:
    """Take a version that serves nothing out of every list; Conflict, with what to do first, if it is in use."""
    row = versions.lock_version(version, expected_revision)
    versions.refuse_in_use(row)
    if row.state == VersionState.VALIDATING:
        raise _being_validated(row)
    if row.model.loaded and wanted_versions().filter(pk=row.pk).exists():
        raise Conflict(
            _("%(version)s is still loaded: it was replaced lately, or the policy keeps it. Archive it first.")
            % {"version": row},
            code="in_use",
        )
    _mark([row], actor, timezone.now())
    writing.audit(actor, "version.delete", "version", str(row), digest=row.digest, size_bytes=row.size_bytes)
    versions.settle_first(row.model, actor)  # a ready one may have waited for this one's validation
    writing.publish()
    transaction.on_commit(partial(gateway.purge_cache, row.model.name, row.digest), robust=True)
    return row


@transaction.atomic
def delete_model(*, actor: Actor, model: Model, expected_revision: int | None = None) -> Model:
    """Take a model that is unloaded or serves nothing out of every list, with all its versions."""
    row = writing.lock(model, expected_revision)
    if row.loaded and (row.default_version_id is not None or wanted_versions().filter(model=row).exists()):
        raise Conflict(
            _("%(name)s is loaded and may be answering calls. Unload it first.") % {"name": row.name},
            code="model_loaded",
        )
    if row.rollouts.filter(state__in=ACTIVE_STATES).exists():
        raise Conflict(_("A rollout of %(name)s runs. Cancel it first.") % {"name": row.name}, code="in_use")
    theirs = list(row.versions.select_related("model"))
    for version in theirs:
        if version.state == VersionState.VALIDATING:
            raise _being_validated(version)
    _mark([row, *theirs], actor, timezone.now())
    writing.audit(actor, "model.delete", "model", row.name, versions=len(theirs))
    writing.publish()
    transaction.on_commit(partial(gateway.purge_cache, row.name), robust=True)
    return row


@transaction.atomic
def restore_version(*, actor: Actor, version: ModelVersion) -> ModelVersion:
    """Bring a deleted version back in the state that it had; it takes no traffic until it is promoted."""
    model = writing.lock(version.model)
    row = _lock_deleted(version)
    row.model = model
    _unmark([row])
    writing.audit(actor, "version.undelete", "version", str(row))
    _follow([row])
    writing.publish()
    return row


@transaction.atomic
def restore_model(*, actor: Actor, model: Model) -> Model:
    """Bring a deleted model back with the versions that were deleted with it. It is as unloaded as it was."""
    row = _lock_deleted(model)
    theirs = list(_all_versions(row).filter(deleted_at=row.deleted_at))
    _unmark([row, *theirs])
    writing.audit(actor, "model.undelete", "model", row.name, versions=len(theirs))
    _follow(theirs)
    writing.publish()
    return row


@transaction.atomic
def remove_version(*, actor: Actor, version: ModelVersion) -> None:
    """Remove a deleted version for good, with its file. NotFound if it is not deleted, or gone already."""
    writing.lock_any(version.model)
    row = _lock_deleted(version)
    paths, label = _paths([row]), str(row)
    row.delete()
    writing.audit(actor, "version.remove", "version", label, digest=row.digest)
    _unlink_after_commit(paths)


@transaction.atomic
def remove_model(*, actor: Actor, model: Model) -> None:
    """Remove a deleted model for good, with every version, file and measurement.

    Measurements are kept by name: a later model of the same name must not be scaled or shown by them.
    """
    row = _lock_deleted(model)
    theirs = list(_all_versions(row))
    paths, name = _paths(theirs), row.name
    row.delete()
    MetricSample.objects.filter(model_name=name).delete()
    writing.audit(actor, "model.remove", "model", name, versions=len(theirs))
    _unlink_after_commit(paths)


def remove_expired(*, now: datetime) -> int:
    """Remove what was deleted longer ago than it is kept; how many models and versions that were."""
    before = now - timedelta(hours=settings.DLPROXY_KEEP_DELETED_H)
    removed = 0
    for model in Model.with_deleted.filter(deleted_at__lte=before):
        removed += _removed(remove_model, model=model)
    for version in ModelVersion.with_deleted.filter(deleted_at__lte=before).select_related("model"):
        removed += _removed(remove_version, version=version)
    return removed


def _removed(remove: Callable[..., None], **row: Model | ModelVersion) -> bool:
    try:
        remove(actor=HOUSEKEEPING, **row)
    except NotFound as gone:  # restored or removed by somebody since the list was read
        log.info("not removed: %s", gone)
        return False
    return True


def _lock_deleted(row: Any) -> Any:
    fresh = writing.lock_any(row)
    if fresh.deleted_at is None:
        raise NotFound(_("%(thing)s is not among the deleted; somebody restored it.") % {"thing": fresh})
    return fresh


def _mark(rows: Iterable[Deletable], actor: Actor, now: datetime) -> None:
    for row in rows:
        row.deleted_at = now
        row.deleted_by = actor.label[:200]
        if isinstance(row, ModelVersion):
            row.warm_until = None  # a way back that ends here: a restored version is loaded for nobody
            _save(row, "warm_until")
        else:
            _save(row)


def _unmark(rows: Iterable[Deletable]) -> None:
    for row in rows:
        row.deleted_at = None
        row.deleted_by = ""
        _save(row)


def _save(row: Any, *fields: str) -> None:
    row.revision += 1
    row.save(update_fields=["deleted_at", "deleted_by", "revision", *fields])


def _follow(restored: Iterable[ModelVersion]) -> None:
    """What was deleted while it waited for its validation waits for it again."""
    for version in restored:
        if version.state == VersionState.UPLOADED:
            versions.ring_validation(version)


def _all_versions(model: Model) -> Any:
    return ModelVersion.with_deleted.filter(model=model)


def _paths(rows: Iterable[ModelVersion]) -> list[Path]:
    return [path for row in rows for path in (artifact_path(row), *golden_paths(row.artifact_id))]


def _unlink_after_commit(paths: list[Path]) -> None:
    transaction.on_commit(lambda: [path.unlink(missing_ok=True) for path in paths], robust=True)


def _being_validated(version: ModelVersion) -> Conflict:
    return Conflict(_("%(row)s is being validated; wait until that has ended.") % {"row": version}, code="state")
