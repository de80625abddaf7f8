"""/: problems first, then every model with its figures, then the machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, Max, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from models_admin import selectors
from models_admin.dashboard import first_run, problems
from models_admin.dashboard.access import asked, page
from models_admin.dashboard.deleted import undo_model
from models_admin.dashboard.overview_rows import PAGE_ROWS, ModelRow, complete, matching, rows_of, stands_at
from models_admin.dashboard.paging import page_of
from models_admin.models import ModelVersion
from models_admin.models.registry import VersionState
from models_admin.selectors import Listed
from models_admin.selectors.deleted import deleted_models
from models_admin.selectors.load import refused_since
from proxy import gateway
from proxy.core.gpus import holds
from proxy.core.reports import SecondReport

FAILED_SHOWN = 5
KEPT = Q(model__versions__deleted_at=None)


# What `?sort=` may name: the largest first, except by name. A model that nothing is known of comes last.
SORTS: dict[str, Callable[[ModelRow], Any]] = {
    "name": lambda row: row.model.name,
    "state": lambda row: STATE_ORDER.index(row.status.state) if row.status.state in STATE_ORDER else len(STATE_ORDER),
    "requests": lambda row: -(row.second.requests if row.second else -1),
    "p99_ms": lambda row: -((row.second.p99_ms or 0) if row.second else -1),
    "errors": lambda row: -(row.second.errors if row.second else -1),
    "queue_depth": lambda row: -(row.second.queue_depth if row.second else -1),
    "instances": lambda row: -(row.second.instances if row.second else -1),
}
STATE_ORDER = ("quarantined", "failed", "unknown", "verifying", "loading", "draining", "asleep", "ready", "unloaded")


@page
def overview(request: HttpRequest) -> HttpResponse:
    """The page. `?q=`, `?state=`, `?sort=` and `?page=` stand in the URL, so that a link shows what its sender saw."""
    report = gateway.latest_report()
    query, state, sort = (asked(request, name) for name in ("q", "state", "sort"))
    models = selectors.models_listed()
    wanted = matching(models, query)
    rows = rows_of(wanted, report)
    states = {row.status.state: row.status.label for row in rows}
    if state in states:
        rows = [row for row in rows if row.status.state == state]
    rows.sort(key=SORTS.get(sort, SORTS["name"]))
    paged = page_of(request, rows, PAGE_ROWS)
    complete(paged.rows.object_list)
    context = {
        "paged": paged,
        "rows": paged.rows,
        "states": sorted(states.items(), key=lambda item: item[0]),
        "state": state,
        "sort": sort if sort in SORTS else "name",
        "stands_at": stands_at(wanted, report),
        "total_models": len(models),
        "query": query,
        "report": report,
        "gpus": _gpus(report),
        "problems": _problems(models, report),
        "first_run": request.user.is_staff and first_run.exists(),
        "first_run_path": first_run.path(),
        "deleted_count": deleted_models().count(),
        **undo_model(asked(request, "deleted")),
    }
    return render(request, "dashboard/overview.html", context)


@page
def problems_part(request: HttpRequest) -> HttpResponse:
    """The list of problems alone, for htmx."""
    found = _problems(selectors.models_listed(), gateway.latest_report())
    return render(request, "parts/problems.html", {"problems": found})


def _gpus(report: SecondReport | None) -> list[dict[str, Any]]:
    """Each GPU with the versions whose instances sit on it, and how many more versions there are than are named."""
    if report is None:
        return []
    found = []
    for gpu in report.machine.gpus:
        held = holds(gpu, report.instances)
        found.append({"gpu": gpu, "holds": held["holds"], "more": held["held_versions"] - len(held["holds"])})
    return found


def _problems(models: Iterable[Listed], report: SecondReport | None) -> list[problems.Problem]:
    disk = shutil.disk_usage(settings.DLPROXY_HOME)
    newest = ModelVersion.objects.annotate(newest=Max("model__versions__number", filter=KEPT)).filter(
        number=F("newest")
    )
    failed = newest.filter(state=VersionState.FAILED).select_related("model").order_by("-state_changed_at")
    names = [model.name for model in models]
    return problems.find(
        names,
        failed[:FAILED_SHOWN],
        report,
        selectors.nodes(),
        disk.free / disk.total if disk.total else 1.0,
        refused_since(names, timezone.now() - timedelta(seconds=problems.REFUSED_LATELY_S)),
    )
