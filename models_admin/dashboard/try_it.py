"""/models/{name}/try/: ask the model from the browser, and the same request as code."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from models_admin.dashboard.access import model_or_404, page
from models_admin.dashboard.model import head
from models_admin.models import Model, ModelVersion
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
    candidates = {} if rollout is None else {rollout.candidate_id: rollout.get_mode_display().lower()}
    return [
        {
            "number": row.number,
            "is_default": row.pk == model.default_version_id,
            "words": ", ".join(_roles(model, row, candidates.get(row.pk))),
            "signature": row.signature,
            "batchable": row.batchable,
        }
        for row in asked
    ]


def _roles(model: Model, row: ModelVersion, rollout: str | None) -> list[str]:
    """What a version is held for, in words."""
    known = (
        ("default", row.pk == model.default_version_id),
        (f"{rollout} candidate", rollout is not None),
        ("warm", row.warm_until is not None),
        ("kept loaded", row.keep_loaded),
        ("quarantined", bool(row.quarantined_reason)),
    )
    return [word for word, holds in known if holds] + sorted(label.name for label in row.labels.all())


def _inference_url(request: HttpRequest) -> str:
    """Where programs send the request: the host that this page was asked at, on the inference port."""
    runtime = gateway.current()
    port = runtime.inference_port if runtime is not None else settings.DLPROXY_INFERENCE_PORT
    host = request.get_host()
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return f"{'https' if request.is_secure() else 'http'}://{name}:{port}"
