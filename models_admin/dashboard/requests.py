"""/requests/ and /models/{name}/requests/: recent and slowest requests, where their time went, who shared a batch."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from models_admin.dashboard.access import asked, model_or_404, page, whole_number
from models_admin.dashboard.inference_url import inference_url
from models_admin.dashboard.model import head
from models_admin.dashboard.request_rows import LEGEND, Row, rows_of
from models_admin.dashboard.requests_csv import as_csv
from models_admin.selectors import principals
from proxy import gateway
from proxy.core.request_reports import RequestQuery, RequestReport, Sort

SHOWN = 50
EXPORTED = 1_000
STATUSES = ("error", "hit", "miss")
SCALES = ("common", "own")


@page
def requests(request: HttpRequest) -> HttpResponse:
    """Of all models; `?model=` narrows."""
    return _render(request, asked(request, "model") or None, "dashboard/requests.html", {})


@page
def model_requests(request: HttpRequest, name: str) -> HttpResponse:
    """Of one model."""
    model = model_or_404(name)
    return _render(request, name, "dashboard/model_requests.html", head(model))


def _render(request: HttpRequest, model: str | None, template: str, context: dict[str, object]) -> HttpResponse:
    chosen = _chosen(request)
    is_table = asked(request, "form") == "csv"
    query = RequestQuery(
        model=model,
        sort=Sort(chosen["sort"]),
        text=chosen["id"],
        only_errors=chosen["status"] == "error",
        cache=chosen["status"] if chosen["status"] in ("hit", "miss") else "",
        limit=EXPORTED if is_table else SHOWN,
    )
    if is_table:
        return _table(gateway.requests(query))
    reports = list(gateway.requests(query))
    opened = _number(request)
    if opened:  # it stands first, so that it stays in sight while newer ones come
        others = [report for report in reports if report.number != opened]
        reports = [*gateway.requests(RequestQuery(model=model, number=opened)), *others]
    names = principals.labels({report.principal_id for report in reports})
    rows = rows_of(reports, names, is_common=chosen["scale"] == "common", opened=opened)
    context |= {
        "rows": rows,
        "chosen": chosen,
        "chosen_model": model or "",
        "models": _models_of(rows, model),
        "opened": opened,
        "is_gone": bool(opened) and all(row.report.number != opened for row in rows),
        "is_filtered": bool(chosen["id"] or chosen["status"]),
        "legend": LEGEND,
        "inference_url": inference_url(request),
        "sample_model": model or "digits",
    }
    is_part = request.headers.get("HX-Request") == "true"
    return render(request, "parts/requests.html" if is_part else template, context)


def _table(reports: Sequence[RequestReport]) -> HttpResponse:
    """What the filters in the URL leave, as a file."""
    names = principals.labels({report.principal_id for report in reports})
    response = HttpResponse(as_csv(reports, names), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="requests.csv"'
    return response


def _chosen(request: HttpRequest) -> dict[str, str]:
    """The state that the URL holds; unknown words are the default's."""
    chosen = {name: asked(request, name) for name in ("sort", "status", "scale", "id")}
    for name, known in (("sort", tuple(Sort)), ("status", STATUSES), ("scale", SCALES)):
        if chosen[name] not in known:
            chosen[name] = "" if name == "status" else str(known[0])
    return chosen


def _number(request: HttpRequest) -> int:
    """The request that is opened; 0: none."""
    return whole_number(asked(request, "open"), 15) or 0


def _models_of(rows: list[Row], model: str | None) -> list[str]:
    names = {row.report.model for row in rows} | ({model} if model else set())
    return sorted(names)
