"""Labels of a model's versions: names such as `fast` or `q3` that stand in URLs where a number may stand.

Rules: a label points at one ready version, which is then kept loaded; a move is atomic and audited with where it
pointed before, so that a request meets the old version or the new one and never none. `stable` and `canary` need no
row: they mean the default version and the candidate of the rollout that runs, until someone sets them.
"""

from __future__ import annotations

import re

from django.db import transaction
from django.utils.translation import gettext as _

from models_admin.models import Model, ModelVersion, VersionLabel
from models_admin.models.registry import VersionState
from models_admin.models.rollouts import LABEL_PATTERN, MAX_LABEL_CHARACTERS
from models_admin.services import versions, writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Conflict, Invalid, NotFound

MAX_LABELS = 32
"""Labels of one model. Each keeps a version loaded, hence memory."""
_NAME = re.compile(LABEL_PATTERN, re.ASCII)


@transaction.atomic
def set_label(
    *, actor: Actor, model: Model, name: str, version: ModelVersion, expected_revision: int | None = None
) -> VersionLabel:
    """Point the label `name` at `version` of `model`; moves it if there is one, changes nothing if it points there.

    `expected_revision` is the model's. Raises Invalid (name), Conflict (version not ready or of another model, too many
    labels) or PreconditionFailed.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise Invalid(
            _(
                "label: use 1 to %(max_label_characters)s lower-case letters, digits, hyphens or "
                "underscores; begin with a letter."
            )
            % {"max_label_characters": MAX_LABEL_CHARACTERS},
            field="label",
        )
    row = writing.lock(model, expected_revision)
    target = versions.lock_version(version)
    if target.model_id != row.pk:
        raise Conflict(
            _("%(target)s is not a version of %(name)s.") % {"target": target, "name": row.name},
            field="version",
            code="other_model",
        )
    if target.state != VersionState.READY:
        raise Conflict(
            _("%(target)s is %(state)s; only a ready version can have a label.")
            % {"target": target, "state": target.get_state_display().lower()},
            code="state",
        )
    label = VersionLabel.objects.select_related("version").filter(model=row, name=name).first()
    before = label.version.number if label is not None else None
    if label is not None and label.version_id == target.pk:
        return label
    if label is None:
        if VersionLabel.objects.filter(model=row).count() >= MAX_LABELS:
            raise Conflict(
                _("%(name)s has %(max_labels)s labels already; remove one first.")
                % {"name": row.name, "max_labels": MAX_LABELS},
                code="too_many",
            )
        label = VersionLabel(model=row, name=name)
    label.version = target
    label.save()
    _touch(row)
    writing.audit(actor, "label.set", "label", f"{row.name}/{name}", before=before, after=target.number)
    writing.publish()
    return label


@transaction.atomic
def remove_label(*, actor: Actor, model: Model, name: str, expected_revision: int | None = None) -> None:
    """Take the label away; calls that name it are then answered 404. Raises NotFound if there is none."""
    row = writing.lock(model, expected_revision)
    label = VersionLabel.objects.select_related("version").filter(model=row, name=name).first()
    if label is None:
        raise NotFound(_("%(name)s has no label %(name2)s.") % {"name": row.name, "name2": f"{name!r:.60}"})
    before = label.version.number
    label.delete()
    _touch(row)
    writing.audit(actor, "label.remove", "label", f"{row.name}/{name}", before=before)
    writing.publish()


def _touch(model: Model) -> None:
    model.revision += 1
    model.save(update_fields=["revision", "updated_at"])
