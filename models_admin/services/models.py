"""Changes of a model as a whole: create, describe, load, unload."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from models_admin.models import Model, Policy, ScalingState
from models_admin.services import writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Conflict


@transaction.atomic
def create_model(*, actor: Actor, name: str, description: str = "") -> Model:
    """A new model without versions, with the default policy and one wanted instance."""
    model = Model(name=name, description=description)
    writing.check_except_unique(model)
    if Model.with_deleted.filter(name=name).exists():
        raise _name_taken(name)
    try:
        with transaction.atomic():
            model.save(force_insert=True)
    except IntegrityError:
        raise _name_taken(name) from None
    policy = Policy.objects.create(model=model)
    ScalingState.objects.create(model=model, wanted_instances=policy.min_instances)
    writing.audit(actor, "model.create", "model", name)
    writing.publish()
    return model


@transaction.atomic
def update_model(
    *, actor: Actor, model: Model, expected_revision: int | None = None, description: str | None = None
) -> Model:
    """Change what is said of a model."""
    row = writing.lock(model, expected_revision)
    if description is None or description == row.description:
        return row
    row.description = description
    row.revision += 1
    writing.check(row)
    row.save()
    writing.audit(actor, "model.update", "model", row.name, fields=["description"])
    return row


@transaction.atomic
def set_loaded(*, actor: Actor, model: Model, loaded: bool, expected_revision: int | None = None) -> Model:
    """Load or unload: unloaded, no instance of any version is wanted and calls are answered `not_ready`."""
    row = writing.lock(model, expected_revision)
    if row.loaded == loaded:
        return row
    row.loaded = loaded
    row.revision += 1
    row.save(update_fields=["loaded", "revision", "updated_at"])
    writing.audit(actor, "model.load" if loaded else "model.unload", "model", row.name)
    writing.publish()
    return row


def _name_taken(name: str) -> Conflict:
    words = (
        _("A model named %(name)s was deleted and can still be restored. Restore it, or remove it for good first.")
        if Model.with_deleted.filter(name=name, deleted_at__isnull=False).exists()
        else _("A model named %(name)s exists already.")
    )
    return Conflict(words % {"name": name}, field="name", code="name_taken")
