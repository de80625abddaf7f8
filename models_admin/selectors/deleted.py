"""Reads of what was deleted and can still be restored: models, versions, and until when they are kept."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, F, Q, QuerySet, Sum

from models_admin.models import Model, ModelVersion


def deleted_models() -> QuerySet[Model]:
    """Deleted models, the newest deletion first.

    `version_count` is of the versions that would be restored with each, `artifact_bytes` of all that still lie on disk.
    """
    return (
        Model.with_deleted.filter(deleted_at__isnull=False)
        .select_related("default_version", "policy", "scaling")
        .annotate(
            version_count=Count("versions", filter=Q(versions__deleted_at=F("deleted_at"))),
            artifact_bytes=Sum("versions__size_bytes", default=0),
        )
        .order_by("-deleted_at", "name")
    )


def deleted_versions(model_name: str | None = None) -> QuerySet[ModelVersion]:
    """Versions that were deleted by themselves, of one model or of all that are not deleted; the newest first."""
    rows = ModelVersion.with_deleted.filter(deleted_at__isnull=False, model__deleted_at=None)
    if model_name is not None:
        rows = rows.filter(model__name=model_name)
    return rows.select_related("model__default_version").prefetch_related("steps").order_by("-deleted_at", "-number")


def kept_until(deleted_at: datetime) -> datetime:
    """When housekeeping removes for good what was deleted at `deleted_at` (DLPROXY_KEEP_DELETED_H)."""
    return deleted_at + timedelta(hours=settings.DLPROXY_KEEP_DELETED_H)
