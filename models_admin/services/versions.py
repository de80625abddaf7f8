"""Changes of a model's versions: upload, promote, archive, restore, keep loaded, validate anew."""

from __future__ import annotations

import logging
from typing import Any, BinaryIO

from celery import current_app
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from models_admin.inspection import Inspection
from models_admin.models import Model, ModelVersion, ValidationStep
from models_admin.models.registry import StepStatus, VersionState
from models_admin.models.rollouts import ACTIVE_STATES
from models_admin.services import artifacts, declarations, defaults, rollout_writing, transitions, writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Conflict, Forbidden, Invalid
from proxy.core.words import say

log = logging.getLogger(__name__)

STEPS = ("sandbox", "load", "signature", "sample", "batch", "golden", "measure")
"""Validation's steps in order; the names are those of the validator's reports."""
MAX_NUMBER = 2**31 - 1
VALIDATE_TASK = "models_admin.validate_version"


def create_version(
    *,
    actor: Actor,
    model: Model,
    file: BinaryIO | Any,
    sha256: str | None = None,
    declared_signature: dict[str, Any] | None = None,
    options: dict[str, str] | None = None,
    batchable: bool = True,
    stateful: bool = False,
    cacheable: bool = True,
    notes: str = "",
    number: int | None = None,
    filename: str | None = None,
    inherit_golden: bool = True,
) -> ModelVersion:
    """Store the artifact, then write the row and ring for its validation. `file` is anything with read(n).

    With `inherit_golden` it must reproduce the default version's golden samples, if their signatures are the same.
    """
    signature = declarations.check_signature(declared_signature, batchable=batchable)
    checked_options = declarations.check_options(options)
    declarations.check_flags(batchable=batchable, stateful=stateful, cacheable=cacheable, options=checked_options)
    check_number(model, number)
    stored = artifacts.store(file, expected_sha256=sha256)
    try:
        _check_right(actor, stored.inspection)
        version = ModelVersion(
            model=model,
            artifact_id=stored.artifact_id,
            digest=stored.digest,
            size_bytes=stored.size_bytes,
            format=stored.inspection.format,
            original_filename=declarations.shown_name(filename or ""),
            options=checked_options,
            declared_signature=signature,
            batchable=batchable,
            stateful=stateful,
            cacheable=cacheable,
            notes=notes,
            inherit_golden=inherit_golden,
            uploaded_by=actor.label[:200],
        )
        return _insert(actor, version, number)
    except BaseException:
        artifacts.discard(stored)
        raise


@transaction.atomic
def _insert(actor: Actor, version: ModelVersion, number: int | None) -> ModelVersion:
    model = writing.lock(version.model)
    version.model = model
    artifacts.check_quota(version.size_bytes)
    taken = ModelVersion.with_deleted.filter(model=model)
    version.number = number or (taken.aggregate(newest=Max("number"))["newest"] or 0) + 1
    writing.check_except_unique(version)
    try:
        with transaction.atomic():
            version.save(force_insert=True)
    except IntegrityError:
        raise _number_taken(model, version.number) from None
    make_steps(version)
    writing.audit(
        actor,
        "version.create",
        "version",
        str(version),
        digest=version.digest,
        size_bytes=version.size_bytes,
        format=version.format,
    )
    ring_validation(version)
    return version


@transaction.atomic
def promote(*, actor: Actor, version: ModelVersion, expected_revision: int | None = None) -> ModelVersion:
    """Make a ready version the model's default. The data plane loads it before it lets the old one go.

    A rollout that runs ends with it: well if this is its candidate, else without a verdict.
    """
    row = lock_version(version, expected_revision)
    if row.state != VersionState.READY:
        raise Conflict(
            _("%(row)s is %(state)s; only a ready version can be promoted.")
            % {"row": row, "state": row.get_state_display().lower()},
            code="state",
        )
    model = row.model
    if model.default_version_id == row.pk:
        return row
    before = model.default_version.number if model.default_version else None
    defaults.make_default(model, row)
    words = say("%(actor)s made version %(number)s the default.", actor=actor.label, number=row.number)
    rollout_writing.end_for(row, model, actor, words)
    writing.audit(actor, "version.promote", "version", str(row), before=before)
    writing.publish()
    return row


@transaction.atomic
def archive(*, actor: Actor, version: ModelVersion, expected_revision: int | None = None) -> ModelVersion:
    """Put a ready version away; it stays on disk. The default version is in use and cannot be archived."""
    row = lock_version(version, expected_revision)
    refuse_in_use(row)
    transitions.move(row, VersionState.ARCHIVED)
    row.save()
    writing.audit(actor, "version.archive", "version", str(row))
    writing.publish()
    return row


@transaction.atomic
def restore(*, actor: Actor, version: ModelVersion, expected_revision: int | None = None) -> ModelVersion:
    """Bring an archived version back to ready."""
    row = lock_version(version, expected_revision)
    transitions.move(row, VersionState.READY)
    row.save()
    writing.audit(actor, "version.restore", "version", str(row))
    settle_first(row.model, actor)
    writing.publish()
    return row


@transaction.atomic
def set_keep_loaded(
    *, actor: Actor, version: ModelVersion, keep: bool, expected_revision: int | None = None
) -> ModelVersion:
    """Keep one instance of a ready version although it is not the default, so that it can be called by number."""
    row = lock_version(version, expected_revision)
    if row.keep_loaded == keep:
        return row
    if keep and row.state != VersionState.READY:
        raise Conflict(
            _("%(row)s is %(state)s; only a ready version can be loaded.")
            % {"row": row, "state": row.get_state_display().lower()},
            code="state",
        )
    row.keep_loaded = keep
    row.revision += 1
    row.save()
    writing.audit(actor, "version.keep_loaded" if keep else "version.let_go", "version", str(row))
    writing.publish()
    return row


@transaction.atomic
def update_version(
    *, actor: Actor, version: ModelVersion, expected_revision: int | None = None, notes: str | None = None
) -> ModelVersion:
    """Change the notes; everything else of a version is immutable."""
    row = lock_version(version, expected_revision)
    if notes is None or notes == row.notes:
        return row
    row.notes = notes
    row.revision += 1
    writing.check_except_unique(row)
    row.save()
    writing.audit(actor, "version.update", "version", str(row), fields=["notes"])
    return row


@transaction.atomic
def revalidate(*, actor: Actor, version: ModelVersion, expected_revision: int | None = None) -> ModelVersion:
    """Validate a failed version, or a ready one that is not in use, anew."""
    row = lock_version(version, expected_revision)
    if row.state in {VersionState.UPLOADED, VersionState.VALIDATING}:
        return row
    refuse_in_use(row)
    transitions.move(row, VersionState.UPLOADED)
    row.validation_attempts = 0
    row.save()
    make_steps(row)
    writing.audit(actor, "version.validate", "version", str(row))
    ring_validation(row)
    return row


def settle_first(model: Model, actor: Actor) -> None:
    """Let a ready version that waited for a lower number be the first default of the (locked) model, if it may now."""
    first = defaults.settle_first(model)
    if first is not None:
        writing.audit(actor, "version.default", "version", str(first))
        writing.publish()


def make_steps(version: ModelVersion) -> None:
    """Write the validation's steps anew, all pending."""
    version.steps.all().delete()
    ValidationStep.objects.bulk_create(
        ValidationStep(version=version, position=position, name=name, status=StepStatus.PENDING)
        for position, name in enumerate(STEPS)
    )


def ring_validation(version: ModelVersion) -> None:
    """Tell Celery after the commit. A lost bell is made good by the sweep, so a broker that is down refuses nothing."""

    def ring() -> None:
        try:
            current_app.send_task(VALIDATE_TASK, args=[version.pk], expires=600)
        except (OperationalError, OSError) as error:
            log.warning("The broker is not reachable; the sweep will find %s: %s", version, error)

    transaction.on_commit(ring, robust=True)


def lock_version(version: ModelVersion, expected_revision: int | None = None) -> ModelVersion:
    """The version as it stands now, locked: the model's row first everywhere, so that no two changes deadlock."""
    model = writing.lock(version.model)
    row = writing.lock(version, expected_revision)
    row.model = model
    return row


def refuse_in_use(version: ModelVersion) -> None:
    """Conflict, with what to do, for the default, a labelled or kept version, and one that is being rolled out."""
    labels = ", ".join(version.labels.values_list("name", flat=True))
    is_default = version.model.default_version_id == version.pk
    is_rolled_out = version.rollouts.filter(state__in=ACTIVE_STATES).exists()
    uses = (
        (is_default, _("%(version)s is the default version, so it is in use. Promote another version first.")),
        (labels, _("%(version)s has the label %(labels)s, so it is in use. Move the label first.")),
        (is_rolled_out, _("%(version)s is being rolled out, so it is in use. End the rollout first.")),
        (version.keep_loaded, _("%(version)s is kept loaded, so it is in use. Let it go first.")),
    )
    words = next((words for holds, words in uses if holds), "")
    if words:
        raise Conflict(words % {"version": version, "labels": labels}, code="in_use")


def _check_right(actor: Actor, inspection: Inspection) -> None:
    if inspection.carries_code and not actor.may_upload_code:
        raise Forbidden(
            _(
                "This is a %(summary)s, which carries code. You need the right to upload code; "
                "safetensors and ONNX need no such right."
            )
            % {"summary": inspection.summary},
            field="file",
            code="code_upload",
        )


def check_number(model: Model, number: int | None) -> None:
    """Invalid unless `number` (None: the next one) can be a version's, Conflict if the model has it already."""
    if number is None:
        return
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= MAX_NUMBER:
        raise Invalid(
            _("number: a whole number from 1 to %(max_number)s.") % {"max_number": MAX_NUMBER}, field="number"
        )
    if ModelVersion.with_deleted.filter(model=model, number=number).exists():
        raise _number_taken(model, number)


def _number_taken(model: Model, number: int) -> Conflict:
    is_deleted = ModelVersion.with_deleted.filter(model=model, number=number, deleted_at__isnull=False).exists()
    words = (
        _("%(name)s had a version %(number)s, which was deleted and can still be restored.")
        if is_deleted
        else _("%(name)s has a version %(number)s already.")
    )
    return Conflict(
        words % {"name": model.name, "number": number},
        field="number",
        code="number_taken",
    )
