"""Keeping decisions and policies' histories small: what is old goes, and the oldest of a model that has very many.

Rules: what is open (a proposal, a trial) stays; a policy's newest revision stays, so that there is always a way back;
rows go in pieces, so that no other writer waits long.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Max, Q, QuerySet

from models_admin.models import Decision, PolicyRevision
from models_admin.models.control import DecisionStatus

MOST_OF_A_MODEL = 2_000
"""Decisions, and revisions, that a model keeps whatever their age. Larger: a longer memory, a larger database."""
DELETE_ROWS = 2_000
OPEN = (DecisionStatus.ADVISED, DecisionStatus.MEASURING)


def drop_old(*, now: datetime) -> int:
    """Delete what is older than the setting, and what a model has too many of; how many rows went."""
    before = now - timedelta(days=settings.DLPROXY_KEEP_DECISIONS_D)
    decisions = Decision.objects.exclude(status__in=OPEN)
    newest = PolicyRevision.objects.values("model").annotate(newest=Max("pk")).values("newest")
    revisions = PolicyRevision.objects.exclude(pk__in=list(newest.values_list("newest", flat=True)))
    return sum(
        _delete(rows, Q(at__lt=before)) + sum(_delete(rows, surplus) for surplus in list(_surplus(rows)))
        for rows in (decisions, revisions)
    )


def _surplus(rows: QuerySet[Decision] | QuerySet[PolicyRevision]) -> Iterable[Q]:
    """The rows of each model that come after its newest MOST_OF_A_MODEL."""
    counts = rows.order_by().values("model").annotate(count=Count("pk")).filter(count__gt=MOST_OF_A_MODEL)
    for model_id in list(counts.values_list("model", flat=True)):
        oldest_kept = rows.filter(model=model_id).order_by("-pk")[MOST_OF_A_MODEL - 1]
        yield Q(model=model_id, pk__lt=oldest_kept.pk)


def _delete(rows: QuerySet[Decision] | QuerySet[PolicyRevision], which: Q) -> int:
    removed = 0
    while True:
        keys = list(rows.filter(which).order_by("pk").values_list("pk", flat=True)[:DELETE_ROWS])
        rows.model._base_manager.filter(pk__in=keys).delete()
        removed += len(keys)
        if len(keys) < DELETE_ROWS:
            return removed
