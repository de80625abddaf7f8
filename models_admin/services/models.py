"""Changes of a model as a whole: create, describe, load, unload, delete."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from models_admin.models import MetricSample, Model, Policy, ScalingState
from models_admin.selectors.artifacts import artifact_path, golden_paths
from models_admin.services import writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Conflict


@transaction.atomic
def create_model(*, actor: Actor, name: str, description: str = "") -> Model:
    """A new model without versions, with the default policy and one wanted instance."""
    model = Model(name=name, description=description)
    writing.check_except_unique(model)
    if Model.objects.filter(name=name).exists():
        raise Conflict(_("A model named %(name)s exists already.") % {"name": name}, field="name", code="name_taken")
    try:
        with transaction.atomic():
            model.save(force_insert=True)
    except IntegrityError:
        raise Conflict(
            _("A model named %(name)s exists already.") % {"name": name}, field="name", code="name_taken"
        ) from None
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


@transaction.atomic
def delete_model(*, actor: Actor, model: Model, expected_revision: int | None = None) -> None:
    """Delete a model that is unloaded or serves nothing, with its versions, their artifacts and its measurements.

    Measurements are kept by name: a later model of the same name must not be scaled or shown by them.
    """
    row = writing.lock(model, expected_revision)
    if row.loaded and row.default_version_id is not None:
        raise Conflict(
            _("%(name)s is loaded and may be answering calls. Unload it first.") % {"name": row.name},
            code="model_loaded",
        )
    paths = [path for one in row.versions.all() for path in (artifact_path(one), *golden_paths(one.artifact_id))]
    name, versions = row.name, row.versions.count()
    row.delete()
    MetricSample.objects.filter(model_name=name).delete()
    writing.audit(actor, "model.delete", "model", name, versions=versions)
    writing.publish()
    # Files go after the commit: a crash between leaves orphans for the sweep, never a row without its artifact.
    transaction.on_commit(lambda: [path.unlink(missing_ok=True) for path in paths], robust=True)
