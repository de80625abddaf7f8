"""/decisions/ and /models/{name}/decisions/: what was changed of what is wanted, by whom, and on which numbers."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from models_admin import selectors
from models_admin.dashboard.access import model_or_404, page
from models_admin.dashboard.model import head
from models_admin.dashboard.paging import page_of
from models_admin.models import Model

PAGE_ROWS = 30


@page
def decisions(request: HttpRequest) -> HttpResponse:
    """Of all models; `?model=` narrows."""
    name = request.GET.get("model", "")
    names = list(Model.objects.order_by("name").values_list("name", flat=True))
    rows = selectors.decisions(name if name in names else None)
    context = {"names": names, "chosen": name, "paged": page_of(request, rows, PAGE_ROWS)}
    return render(request, "dashboard/decisions.html", context)


@page
def model_decisions(request: HttpRequest, name: str) -> HttpResponse:
    """Of one model."""
    model = model_or_404(name)
    context = {**head(model), "paged": page_of(request, selectors.decisions(name), PAGE_ROWS)}
    return render(request, "dashboard/model_decisions.html", context)
