"""Which version is a model's default: set within a transaction that has locked the model's row.

Rules: a model's first default is the lowest number that passes its validation, however long the others take (with the
policy `latest` the highest that has passed); later ones change by hand, by a rollout, or by that policy.
"""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from models_admin.models import Model, ModelVersion
from models_admin.models.policy import VersionPolicy
from models_admin.models.registry import VersionState
from models_admin.models.rollouts import ACTIVE_STATES

MAY_BE_FIRST = (VersionState.UPLOADED, VersionState.VALIDATING, VersionState.READY)


def first_version(model: Model) -> ModelVersion | None:
    """The lowest number that is ready or may still become so: what a model without a default waits for."""
    return model.versions.filter(state__in=MAY_BE_FIRST).order_by("number").first()


def first_awaited(model: Model) -> ModelVersion | None:
    """The version for whose validation every ready one of a model without a default waits; None if none does."""
    if model.default_version_id is not None or model.policy.version_policy == VersionPolicy.LATEST:
        return None
    first = first_version(model)
    return None if first is None or first.state == VersionState.READY else first


def settle_first(model: Model) -> ModelVersion | None:
    """Give a (locked) model that has no default its first one, if that is known by now.

    Of several files sent at once, the one that is validated fastest would else win: a race that nobody can foresee.
    """
    if model.default_version_id is not None:
        return None
    first = _first_due(model)
    if first is not None:
        make_default(model, first)
    return first


def _first_due(model: Model) -> ModelVersion | None:
    if model.policy.version_policy == VersionPolicy.LATEST:
        return model.versions.filter(state=VersionState.READY).order_by("-number").first()
    first = first_version(model)
    return None if first is None or first.state != VersionState.READY else first


def become_default_if_due(model: Model, version: ModelVersion) -> bool:
    """Let `version`, which is ready now, be the default of a (locked) model that has none or that follows the latest.

    Following the latest, an older number never replaces a newer one, and a rollout that runs is left to its end.
    Otherwise a first version waits for lower numbers whose validation has not ended.
    """
    default = model.default_version
    if default is None:
        return settle_first(model) == version
    if (
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
