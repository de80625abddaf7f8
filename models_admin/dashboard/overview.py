"""/: problems first, then every model with its figures, then the machine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from django.conf import settings
from django.db.models import F, Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from models_admin import selectors
from models_admin.dashboard import first_run, problems
from models_admin.dashboard.access import asked, page
from models_admin.dashboard.status import Status, model_status
from models_admin.models import Model, ModelVersion
from models_admin.models.registry import VersionState
from proxy import gateway
from proxy.core.reports import ModelSecond

FAILED_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model in the table."""

    model: Model
    status: Status
    second: ModelSecond | None


@page
def overview(request: HttpRequest) -> HttpResponse:
    """The page. `?q=` filters by name, so that a link shows what its sender saw."""
    report = gateway.latest_report()
    query = asked(request, "q")
    models = selectors.models_overview()
    total = models.count()
    if query:
        models = models.filter(name__icontains=query)
    rows = [
        ModelRow(model, model_status(model, report), report.models.get(model.name) if report else None)
        for model in models
    ]
    context = {
        "rows": rows,
        "total_models": total,
        "query": query,
        "report": report,
        "problems": _problems(),
        "first_run": request.user.is_staff and first_run.exists(),
        "first_run_path": first_run.path(),
    }
    return render(request, "dashboard/overview.html", context)


@page
def problems_part(request: HttpRequest) -> HttpResponse:
    """The list of problems alone, for htmx."""
    return render(request, "parts/problems.html", {"problems": _problems()})


def _problems() -> list[problems.Problem]:
    disk = shutil.disk_usage(settings.DLPROXY_HOME)
    newest = ModelVersion.objects.annotate(newest=Max("model__versions__number")).filter(number=F("newest"))
    failed = newest.filter(state=VersionState.FAILED).select_related("model").order_by("-state_changed_at")
    return problems.find(
        list(selectors.models_overview()),
        failed[:FAILED_SHOWN],
        gateway.latest_report(),
        selectors.nodes(),
        disk.free / disk.total if disk.total else 1.0,
    )
