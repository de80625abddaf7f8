"""What a version is held for, in words: default, candidate, warm, kept loaded, and its labels."""

from __future__ import annotations

from models_admin.models import Model, ModelVersion, Rollout

DEFAULT = "default"


def roles(model: Model, version: ModelVersion, rollout: Rollout | None) -> list[str]:
    """Every role of `version`; `rollout` is the model's active one. Reads its labels: prefetch them for lists."""
    is_candidate = rollout is not None and rollout.candidate_id == version.pk
    known = (
        (DEFAULT, version.pk == model.default_version_id),
        (f"{rollout.get_mode_display().lower()} candidate" if rollout else "", is_candidate),
        ("warm", version.warm_until is not None),
        ("kept loaded", version.keep_loaded),
    )
    return [word for word, holds in known if holds] + sorted(label.name for label in version.labels.all())
