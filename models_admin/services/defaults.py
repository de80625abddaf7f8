"""Which version is a model's default: set within a transaction that has locked the model's row."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from models_admin.models import Model, ModelVersion
from models_admin.models.policy import VersionPolicy
from models_admin.models.rollouts import ACTIVE_STATES


def become_default_if_due(model: Model, version: ModelVersion) -> bool:
    """Make `version`, which is ready now, the default of a (locked) model that has none or that follows the latest.

    Following the latest, an older number never replaces a newer one, and a rollout that runs is left to its end.
    """
    default = model.default_version
    if default is not None and (
        model.policy.version_policy != VersionPolicy.LATEST
        or version.number < default.number
        or model.rollouts.filter(state__in=ACTIVE_STATES).exists()
    ):
        return False
    make_default(model, version)
    return True


def make_default(model: Model, version: ModelVersion, *, keep_warm: bool = True) -> None:
    """Let `version` be the default of a (locked) model; the one before stays warm for the policy's rollback window."""
    replaced = model.default_version
    window_s = model.policy.rollback_window_s
    if replaced is not None and keep_warm and window_s:
        until = timezone.now() + timedelta(seconds=window_s)
        ModelVersion.objects.filter(pk=replaced.pk).update(warm_until=until)
    ModelVersion.objects.filter(pk=version.pk).update(warm_until=None)
    version.warm_until = None
    model.default_version = version
    model.revision += 1
    model.save(update_fields=["default_version", "revision", "updated_at"])
