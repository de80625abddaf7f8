"""The audit log narrowed by who, what, which thing and when: one place for the page and its exports."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta

from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_date

from models_admin.models import AuditEvent
from models_admin.selectors.control import audit_events

FILTERS = ("actor", "action", "object", "since", "until")


def search(chosen: Mapping[str, str]) -> QuerySet[AuditEvent]:
    """Events, newest first. Dates are days in UTC, both included; what is no date is not applied."""
    rows = audit_events()
    if chosen.get("actor"):
        rows = rows.filter(actor__icontains=chosen["actor"])
    if chosen.get("action"):
        rows = rows.filter(action=chosen["action"])
    if chosen.get("object"):
        # An API key's event has its number; people know its name, which is among the details.
        rows = rows.filter(Q(object_id__icontains=chosen["object"]) | Q(details__name__icontains=chosen["object"]))
    since, until = _day(chosen.get("since", "")), _day(chosen.get("until", ""))
    if since:
        rows = rows.filter(at__gte=since)
    if until:
        rows = rows.filter(at__lte=until + timedelta(days=1, microseconds=-1))  # so year 9999 has a last day, too
    return rows


def _day(text: str) -> datetime | None:
    """The day's first moment, UTC."""
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return datetime.combine(day, time.min, UTC) if day else None
