"""What a version is held for, in words: default, candidate, warm, kept loaded, and its labels."""

from __future__ import annotations

from django.utils.translation import gettext as _

from models_admin.models import Model, ModelVersion, Rollout


def roles(model: Model, version: ModelVersion, rollout: Rollout | None) -> list[str]:
    """Every role of `version`; `rollout` is the model's active one. Reads its labels: prefetch them for lists."""
    is_candidate = rollout is not None and rollout.candidate_id == version.pk
    known = (
        (_("default"), version.pk == model.default_version_id),
        (_("%(mode)s candidate") % {"mode": rollout.get_mode_display().lower()} if rollout else "", is_candidate),
        (_("warm"), version.warm_until is not None),
        (_("kept loaded"), version.keep_loaded),
    )
    return [word for word, holds in known if holds] + sorted(label.name for label in version.labels.all())
