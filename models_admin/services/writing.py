"""What each change shares: the row lock with its revision check, the audit event, and telling the data plane.

Rules: used inside one transaction; an audit event is written exactly once a change; the generation rises in the same
transaction, and the running data plane is told after the commit (never for a change that was rolled back). What follows
a commit is `robust`: the change has happened, so a failure there is logged and is no failure of the change.
"""

from __future__ import annotations

from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from models_admin.models import AuditEvent, ConfigurationGeneration, Model
from models_admin.services.actors import Actor
from models_admin.services.errors import Invalid, NotFound, PreconditionFailed
from proxy import gateway

GENERATION_NAME = "wanted"
Row = TypeVar("Row", bound=models.Model)


def lock(row: Row, expected_revision: int | None = None) -> Row:
    """The row as it stands now, locked until the transaction ends; PreconditionFailed if its revision moved on."""
    fresh = lock_any(row, expected_revision)
    if getattr(fresh, "deleted_at", None) is not None:
        raise _deleted(row)
    return fresh


def lock_any(row: Row, expected_revision: int | None = None) -> Row:
    """As `lock`, for a row that may be among the deleted ones; NotFound only if it is gone for good."""
    try:
        fresh = type(row)._base_manager.select_for_update().get(pk=row.pk)
    except type(row).DoesNotExist:  # type: ignore[attr-defined]
        raise _deleted(row) from None
    if expected_revision is not None and fresh.revision != expected_revision:  # type: ignore[attr-defined]
        raise PreconditionFailed(
            _(
                "Someone changed this %(verbose_name)s since you read it (revision "
                "%(expected_revision)s, now %(revision)s). Read it again and repeat your change."
            )
            % {
                "verbose_name": row._meta.verbose_name,
                "expected_revision": expected_revision,
                "revision": fresh.revision,
            }  # type: ignore[attr-defined]
        )
    return fresh


def _deleted(row: models.Model) -> NotFound:
    return NotFound(_("This %(verbose_name)s was deleted meanwhile.") % {"verbose_name": row._meta.verbose_name})


def hold(model: Model) -> None:
    """Lock the model's row before any row that belongs to it, until the transaction ends; NotFound if it is gone.

    One order for all writers: a change of a policy or count and a deletion of the model wait for each other, where they
    would deadlock on PostgreSQL if each took its first row and then wanted the other's.
    """
    held = Model._base_manager.select_for_update(no_key=True).filter(pk=model.pk, deleted_at=None)
    if not held.values_list("pk", flat=True).first():
        raise NotFound(_("The model %(name)s was deleted meanwhile.") % {"name": model.name})


def check(row: models.Model) -> None:
    """Run the row's own rules; the first broken one is raised as Invalid with its field."""
    _refuse_null(row)
    try:
        row.full_clean()
    except ValidationError as error:
        raise first_error(error) from None


def check_except_unique(row: models.Model) -> None:
    """As `check`, for a row whose uniqueness the database decides (a race's loser gets Conflict, not Invalid)."""
    _refuse_null(row)
    try:
        row.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        raise first_error(error) from None


def _refuse_null(row: models.Model) -> None:
    """PostgreSQL keeps no null characters; Django's forms refuse them, its models do not."""
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        if isinstance(value, str) and "\0" in value:
            raise Invalid(_("%(name)s: null characters are not allowed.") % {"name": field.name}, field=field.name)


def first_error(error: ValidationError) -> Invalid:
    """The first broken rule of a Django ValidationError, with the field it belongs to."""
    if hasattr(error, "error_dict"):
        field, messages = next(iter(error.message_dict.items()))
        named = None if field == "__all__" else field
        return Invalid(f"{field}: {messages[0]}" if named else messages[0], field=named)
    return Invalid(error.messages[0])


def audit(actor: Actor, action: str, object_type: str, object_id: str, **details: Any) -> None:
    """Write the change's one audit event."""
    AuditEvent.objects.create(
        actor=actor.label[:200],
        action=action,
        object_type=object_type,
        object_id=object_id[:200],
        details=details,
        remote_addr=actor.remote_addr,
    )


def publish() -> None:
    """Raise the generation now and tell the data plane of this process once the transaction has committed."""
    if not ConfigurationGeneration.objects.filter(name=GENERATION_NAME).update(number=F("number") + 1):
        ConfigurationGeneration.objects.create(name=GENERATION_NAME, number=1)
    transaction.on_commit(gateway.configuration_changed, robust=True)
