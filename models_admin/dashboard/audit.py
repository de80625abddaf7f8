"""/audit/: who did what to which thing, newest first, with filters in the URL."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.dateparse import parse_date

from models_admin import selectors
from models_admin.dashboard.access import asked, page
from models_admin.dashboard.paging import page_of
from models_admin.models import AuditEvent

PAGE_ROWS = 50
FILTERS = ("actor", "action", "object", "since", "until")


@page
def audit(request: HttpRequest) -> HttpResponse:
    """The page."""
    chosen = {name: asked(request, name) for name in FILTERS}
    rows = selectors.audit_events()
    if chosen["actor"]:
        rows = rows.filter(actor__icontains=chosen["actor"])
    if chosen["action"]:
        rows = rows.filter(action=chosen["action"])
    if chosen["object"]:
        rows = rows.filter(object_id__icontains=chosen["object"])
    since, until = _day(chosen["since"]), _day(chosen["until"])
    if since:
        rows = rows.filter(at__gte=since)
    if until:
        rows = rows.filter(at__lt=until + timedelta(days=1))
    actions = AuditEvent.objects.order_by("action").values_list("action", flat=True).distinct()
    context = {
        "chosen": chosen,
        "filtered": any(chosen.values()),
        "actions": actions,
        "paged": page_of(request, rows, PAGE_ROWS),
    }
    return render(request, "dashboard/audit.html", context)


def _day(text: str) -> datetime | None:
    """The day's first moment, UTC; None for what is no date (the filter is then not applied)."""
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return datetime.combine(day, time.min, UTC) if day else None
