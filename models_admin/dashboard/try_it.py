"""/models/{name}/try/: ask the model from the browser, and the same request as code."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from models_admin.dashboard.access import model_or_404, page
from models_admin.dashboard.model import head
from models_admin.models import Model
from models_admin.models.registry import VersionState
from proxy import gateway


@page
def try_it(request: HttpRequest, name: str) -> HttpResponse:
    """The page; the form is made by its script from the signature."""
    model = model_or_404(name)
    versions = _choices(model)
    facts = {"model": model.name, "inference_url": _inference_url(request), "versions": versions}
    chosen = request.GET.get("version", "")
    return render(
        request, "dashboard/try_it.html", {**head(model), "facts": facts, "versions": versions, "chosen": chosen}
    )


def _choices(model: Model) -> list[dict[str, object]]:
    """Versions that can be asked: the default one first, then those kept loaded."""
    ready = [row for row in model.versions.all() if row.state == VersionState.READY and row.signature]
    asked = [row for row in ready if row.pk == model.default_version_id or row.keep_loaded]
    asked.sort(key=lambda row: row.pk != model.default_version_id)
    return [
        {
            "number": row.number,
            "is_default": row.pk == model.default_version_id,
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
