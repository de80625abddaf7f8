"""/models/{name}/try/: ask the model from the browser, and the same request as code."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from models_admin.dashboard.access import model_or_404, page
from models_admin.dashboard.inference_url import inference_url
from models_admin.dashboard.model import head
from models_admin.dashboard.roles import roles
from models_admin.models import Model
from models_admin.selectors.wanted import wanted_versions
from models_admin.services.rollouts import active_rollout


@page
def try_it(request: HttpRequest, name: str) -> HttpResponse:
    """The page; the form is made by its script from the signature."""
    model = model_or_404(name)
    versions = _choices(model)
    facts = {"model": model.name, "inference_url": inference_url(request), "versions": versions}
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
