"""/models/{name}/: live charts and instances; and the changes of a model as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from models_admin.dashboard.access import (
    actor_of,
    asked,
    change,
    model_or_404,
    page,
    perform,
    revision_of,
    whole_number,
)
from models_admin.dashboard.status import loaded, model_status
from models_admin.models import Model
from models_admin.services import models as services
from models_admin.services import scaling
from proxy import gateway
from proxy.core.reports import SecondReport
from proxy.core.words import capitalised, readable

SIGNALS = {
    "utilisation": gettext_lazy("Utilisation"),
    "demand": gettext_lazy("Demand"),
    "backlog": gettext_lazy("Backlog"),
}

# What of a model is compared (static/js/lib/comparison.js), in the order in which it is read.
COMPARED = (
    ("requests", gettext_lazy("Requests answered")),
    ("failed", gettext_lazy("Failed")),
    ("refused", gettext_lazy("Refused")),
    ("p50", gettext_lazy("Latency p50")),
    ("p95", gettext_lazy("Latency p95")),
    ("p99", gettext_lazy("Latency p99")),
    ("wait", gettext_lazy("Mean wait")),
    ("compute", gettext_lazy("Mean compute")),
    ("batch", gettext_lazy("Rows an execution")),
    ("hits", gettext_lazy("Cache hits")),
)


def head(model: Model) -> dict[str, Any]:
    """What the head of each page of a model needs."""
    low, high = model.policy.min_instances, model.policy.max_instances
    report = gateway.latest_report()
    return {
        "model": model,
        "status": model_status(model, report),
        "loaded": loaded(model.name, report),
        "instance_choices": range(low, high + 1),
    }


@page
def head_part(request: HttpRequest, name: str) -> HttpResponse:
    """The head alone, for htmx when the socket tells another state than it shows.

    `?empty=` names the page, by its address' name, on which the model had no version. What shows nothing but words
    without one is asked for anew, whole, as soon as it has something to show.
    """
    model = model_or_404(name)
    known, empty = head(model), asked(request, "empty")
    response = render(request, "parts/model_head.html", {**known, "empty": empty})
    has_default = model.default_version is not None
    if (empty == "model" and has_default) or (empty == "model-try" and known["status"].state == "ready"):
        response.headers["HX-Refresh"] = "true"
    return response


@page
def live(request: HttpRequest, name: str) -> HttpResponse:
    """The live page."""
    report = gateway.latest_report()
    second = report.models.get(name) if report else None
    model = model_or_404(name)
    context = {**head(model), "second": second, "version_pairs": _pairs(model, report), "compared": COMPARED}
    return render(request, "dashboard/model_live.html", {**context, **_signals(model)})


def _pairs(model: Model, report: SecondReport | None) -> list[tuple[int, int]]:
    """Loaded versions to be compared: each other one with the default, the newer number first."""
    if model.default_version is None or report is None:
        return []
    default = model.default_version.number
    others = {one.version for one in report.versions if one.model == model.name} - {default}
    return [(max(default, one), min(default, one)) for one in sorted(others, reverse=True)]


def _signals(model: Model) -> dict[str, Any]:
    """The last look of scaling: its words, and what each signal asked for."""
    signals = model.scaling.signals
    rows = [
        (SIGNALS[name], signals[name]["count"], _sentence(_said(signals[name]))) for name in SIGNALS if name in signals
    ]
    words = _said(signals) if "words" in signals else ""
    return {"signals": signals, "signal_words": words, "signal_rows": rows}


def _said(told: Mapping[str, Any]) -> str:
    """Its words in the reader's language."""
    return readable(told.get("said"), _, told["words"])


def _sentence(words: str) -> str:
    return f"{capitalised(words)}."


@change
def load(request: HttpRequest, name: str) -> HttpResponse:
    """Want instances again."""
    return _set_loaded(request, name, loaded=True)


@change
def unload(request: HttpRequest, name: str) -> HttpResponse:
    """Want no instance."""
    return _set_loaded(request, name, loaded=False)


@change
def set_instances(request: HttpRequest, name: str) -> HttpResponse:
    """The wanted number of instances."""
    model = model_or_404(name)
    given = whole_number(request.POST.get("count", ""), 6)
    count = -1 if given is None else given
    return perform(
        request,
        reverse("model", args=[name]),
        ngettext("%(count)s instance wanted for %(name)s.", "%(count)s instances wanted for %(name)s.", count)
        % {"count": count, "name": name},
        lambda: scaling.set_instances(actor=actor_of(request), model=model, count=count),
    )


@change
def describe(request: HttpRequest, name: str) -> HttpResponse:
    """What is said of the model."""
    model = model_or_404(name)
    return perform(
        request,
        reverse("model", args=[name]),
        _("Description saved."),
        lambda: services.update_model(
            actor=actor_of(request),
            model=model,
            expected_revision=revision_of(request),
            description=request.POST.get("description", "").replace("\r\n", "\n"),
        ),
    )


def _set_loaded(request: HttpRequest, name: str, *, loaded: bool) -> HttpResponse:
    model = model_or_404(name)
    return perform(
        request,
        reverse("model", args=[name]),
        _("%(name)s is being loaded.") % {"name": name}
        if loaded
        else _("%(name)s is being unloaded.") % {"name": name},
        lambda: services.set_loaded(actor=actor_of(request), model=model, loaded=loaded),
    )
