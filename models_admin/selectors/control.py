"""Reads of decisions, policies' history, the audit log, keys, and the heartbeats of each part."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from models_admin.models import ApiKey, AuditEvent, Decision, Model, NodeStatus, PolicyRevision

LATE_AFTER = timedelta(seconds=20)
"""A part that was silent for longer counts as late: four missed heartbeats of 5 s."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """One part of the system and whether it is heard of."""

    name: str
    at: datetime
    info: dict[str, Any]
    age_s: float
    late: bool


def decisions(model_name: str | None = None) -> QuerySet[Decision]:
    """Decisions, newest first, of one model or of all."""
    rows = Decision.objects.select_related("model").filter(model__deleted_at=None).order_by("-at", "-id")
    return rows if model_name is None else rows.filter(model__name=model_name)


def policy_history(model: Model) -> QuerySet[PolicyRevision]:
    """The changes of a model's policy, newest first."""
    return PolicyRevision.objects.filter(model=model).order_by("-revision")


def audit_events(object_type: str | None = None, object_id: str | None = None) -> QuerySet[AuditEvent]:
    """Audit events, newest first, of one kind of thing or one thing or all."""
    rows = AuditEvent.objects.order_by("-at", "-id")
    if object_type is not None:
        rows = rows.filter(object_type=object_type)
    return rows if object_id is None else rows.filter(object_id=object_id)


def keys() -> QuerySet[ApiKey]:
    """API keys, newest first, with the models that they open."""
    return (
        ApiKey.objects.select_related("created_by", "made_with")
        .prefetch_related("models")
        .order_by("-created_at", "-id")
    )


def nodes(now: datetime | None = None) -> list[NodeView]:
    """The parts (`web`, `celery`, `beat`) that have ever reported, by name, with the age of their last heartbeat."""
    moment = now or timezone.now()
    return [
        NodeView(row.name, row.at, row.info, (moment - row.at).total_seconds(), moment - row.at > LATE_AFTER)
        for row in NodeStatus.objects.order_by("name")
    ]
