"""/models/{name}/cache/: what the model's cache holds, saves and costs, its miss-ratio curve, and emptying it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.dashboard import cache_view
from models_admin.dashboard.access import actor_of, change, model_or_404, page
from models_admin.dashboard.model import head
from models_admin.dashboard.policy_fields import label_of, value_with_unit
from models_admin.models import MetricSample, Model, ModelVersion
from models_admin.models.measurements import SECOND_S, WHOLE_MODEL
from models_admin.models.registry import VersionState
from models_admin.selectors.cache_reports import cache_report
from models_admin.services import caching
from models_admin.services.errors import ServiceError
from proxy.core.errors import NotReady
from proxy.core.hit_ratio import hit_ratio

LATELY = timedelta(minutes=1)
SETTINGS = ("cache_enabled", "cache_max_mib", "cache_ttl_s", "cache_eviction", "cache_shared", "cache_keep_nan")


@page
def cache(request: HttpRequest, name: str) -> HttpResponse:
    """The page."""
    model = model_or_404(name)
    policy = model.policy
    settings = [(label_of(field), value_with_unit(field, getattr(policy, field))) for field in SETTINGS]
    context = {**head(model), **_state(model), "settings": settings, "versions": _with_answers(model)}
    return render(request, "dashboard/cache.html", context)


@page
def cache_part(request: HttpRequest, name: str) -> HttpResponse:
    """The figures and the curve alone, for htmx."""
    model = model_or_404(name)
    return render(request, "parts/cache.html", {"model": model, **_state(model), "is_part": True})


@change
def purge(request: HttpRequest, name: str) -> HttpResponse:
    """Forget every cached answer of the model, or those of the version that the form names."""
    model = model_or_404(name)
    chosen = request.POST.get("version", "")
    version = next((row for row in model.versions.all() if str(row.number) == chosen), None)
    if chosen and version is None:
        messages.error(request, _("Choose a version."))
        return redirect("model-cache", name)
    try:
        caching.purge_cache(actor=actor_of(request), model=model, version=version)
    except (ServiceError, NotReady) as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _purged(name, version))
    return redirect("model-cache", name)


def _purged(name: str, version: ModelVersion | None) -> str:
    if version is None:
        return _("The kept answers of %(model)s are dropped.") % {"model": name}
    return _("The kept answers of version %(number)s are dropped.") % {"number": version.number}


def _state(model: Model) -> dict[str, Any]:
    report = cache_report(model.name, timezone.now())
    known: dict[str, Any] = {"report": report, "policy": model.policy}
    known["second_words"] = cache_view.second_words(report, wanted=model.policy.cache_second_level)
    if report is None:
        return known
    second = report.second_level
    return known | {
        "tone": cache_view.TONES.get(report.state, ""),
        "state_words": cache_view.state_words(report),
        "filled_ratio": report.bytes / report.max_bytes if report.max_bytes else 0,
        "ratio_since": hit_ratio(report.hits, report.misses),
        "ratio_lately": _ratio_lately(model.name),
        "curve": cache_view.curve_view(report),
        "orders": cache_view.order_rows(report),
        "second_tone": cache_view.SECOND_TONES.get(second.state, "") if second else "",
    }


def _with_answers(model: Model) -> list[ModelVersion]:
    """Versions that may have answers kept: those that can be served."""
    return [row for row in model.versions.all() if row.state == VersionState.READY]


def _ratio_lately(name: str) -> float | None:
    rows = MetricSample.objects.filter(
        resolution_s=SECOND_S, model_name=name, version=WHOLE_MODEL, at__gt=timezone.now() - LATELY
    )
    sums = rows.aggregate(hits=Sum("cache_hits"), misses=Sum("cache_misses"))
    return hit_ratio(sums["hits"] or 0, sums["misses"] or 0)
