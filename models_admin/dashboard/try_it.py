"""/models/{name}/try/: ask the model from the browser, and the same request as code."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from models_admin.dashboard.access import model_or_404, page
from models_admin.dashboard.model import head
from models_admin.dashboard.roles import roles
from models_admin.models import Model
from models_admin.selectors.wanted import wanted_versions
from models_admin.services.rollouts import active_rollout
from proxy import gateway


@page
def try_it(request: HttpRequest, name: str) -> HttpResponse:
    """The page; the form is made by its script from the signature."""
    model = model_or_404(name)
    versions = _choices(model)
    facts = {"model": model.name, "inference_url": _inference_url(request), "versions": versions}
    facts["may_keep"] = request.user.is_staff
    chosen = request.GET.get("version", "")
    absent = bool(chosen) and chosen not in {str(version["number"]) for version in versions}
    context = {**head(model), "facts": facts, "versions": versions, "chosen": chosen, "absent": absent}
    return render(request, "dashboard/try_it.html", context)


def _choices(model: Model) -> list[dict[str, object]]:
    """Versions that can be asked, with what each is held for: the default one first, then from the newest on."""
    rows = wanted_versions().filter(model=model).prefetch_related("labels").order_by("-number")
    asked = sorted((row for row in rows if row.signature), key=lambda row: row.pk != model.default_version_id)
    rollout = active_rollout(model)
    return [
        {
            "number": row.number,
            "is_default": row.pk == model.default_version_id,
            "words": ", ".join(roles(model, row, rollout) + ["quarantined"] * bool(row.quarantined_reason)),
            "signature": row.signature,
            "batchable": row.batchable,
        }
        for row in asked
    ]


def _inference_url(request: HttpRequest) -> str:
    """Where programs send the request: the host that this page was asked at, on the inference port."""
    runtime = gateway.current()
    port = runtime.inference_port if runtime is not None else settings.DLPROXY_INFERENCE_PORT
    host = request.get_host()
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return f"{'https' if request.is_secure() else 'http'}://{name}:{port}"
