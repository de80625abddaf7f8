"""/instances/ and /models/{name}/processes/: what runs models, how others ended, what they print; restart, drain."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from models_admin.dashboard.access import actor_of, asked, change, model_or_404, page, whole_number
from models_admin.dashboard.model import head
from models_admin.services import instances as services
from models_admin.services.errors import ServiceError
from proxy import gateway
from proxy.core.errors import NotReady
from proxy.core.instance_reports import ExitReport
from proxy.core.reports import InstanceReport, SecondReport

LOG_LINES = 200
TAIL_LINES = 20
EXITS_SHOWN = 50


@page
def instances(request: HttpRequest) -> HttpResponse:
    """The list; `?model=` and `?state=` narrow, `?log=` shows the last lines of one."""
    return _listed(request, asked(request, "model"), "dashboard/instances.html", {})


@page
def model_instances(request: HttpRequest, name: str) -> HttpResponse:
    """Those of one model; `?version=`, `?state=` and `?log=` as above."""
    model = model_or_404(name)
    return _listed(request, name, "dashboard/model_instances.html", head(model))


def _listed(request: HttpRequest, model: str, template: str, context: dict[str, Any]) -> HttpResponse:
    report = gateway.latest_report()
    chosen = {"state": asked(request, "state"), "version": asked(request, "version")}
    everyone = report.instances if report is not None else ()
    of_model = [one for one in everyone if model in ("", one.model)]
    shown = [
        one for one in of_model if chosen["state"] in ("", one.state) and chosen["version"] in ("", str(one.version))
    ]
    versions = [one for one in (report.versions if report else ()) if model in ("", one.model)]
    exits = [one for one in gateway.instance_exits() if model in ("", model_of(one.instance_id))]
    context |= {
        "report": report,
        "chosen": chosen,
        "chosen_model": model,
        "is_filtered": any(chosen.values()) or bool(asked(request, "model")),
        "models": sorted({one.model for one in everyone} | ({model} - {""})),
        "states": sorted({one.state for one in of_model}),
        "numbers": sorted({str(one.version) for one in of_model} | ({chosen["version"]} - {""})),
        "rows": [(number_of(one.instance_id), one) for one in sorted(shown, key=_order)],
        "total": len(of_model),
        "versions": [one for one in versions if chosen["version"] in ("", str(one.version))],
        "exits": [(number_of(one.instance_id), _moment(one), one) for one in exits[:EXITS_SHOWN]],
        **_tail(request),
    }
    is_part = request.headers.get("HX-Request") == "true"
    return render(request, "parts/instances.html" if is_part else template, context)


def _tail(request: HttpRequest) -> dict[str, Any]:
    """The last lines of the instance whose number `?log=` gives."""
    number = whole_number(asked(request, "log"), 15)
    if not number or gateway.current() is None:
        return {"opened": 0}
    log = gateway.instance_log(number, TAIL_LINES)
    return {"opened": number, "tail": log.text if log is not None else ""}


@page
def instance(request: HttpRequest, number: int) -> HttpResponse:
    """One instance, alive or ended lately, and what it printed."""
    log = gateway.instance_log(number, LOG_LINES) if gateway.current() is not None else None
    if log is None:
        raise Http404(f"There is no instance {number}.")
    report = gateway.latest_report()
    alive = next((one for one in (report.instances if report else ()) if one.instance_id == log.instance_id), None)
    end = next((one for one in gateway.instance_exits() if one.instance_id == log.instance_id), None)
    context: dict[str, Any] = {
        "number": number,
        "log": log,
        "model": model_of(log.instance_id),
        "alive": alive,
        "end": end,
        "ended_at": _moment(end) if end else None,
        "lines": LOG_LINES,
    }
    is_part = request.headers.get("HX-Request") == "true"
    return render(request, "parts/instance.html" if is_part else "dashboard/instance.html", context)


@change
def restart(request: HttpRequest, number: int) -> HttpResponse:
    """Replace it by another that is started beside it."""
    return _ordered(request, number, services.restart)


@change
def drain(request: HttpRequest, number: int) -> HttpResponse:
    """Let it finish and end."""
    return _ordered(request, number, services.drain)


def _ordered(request: HttpRequest, number: int, order: Callable[..., services.Ordered]) -> HttpResponse:
    try:
        ordered = order(actor=actor_of(request), number=number, expected_id=request.POST.get("instance", "")[:200])
    except ServiceError as error:
        messages.error(request, error.message)
    except NotReady as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{ordered.instance_id}: {ordered.words}")
    return redirect("instances")


def instances_of(report: SecondReport | None, model: str, version: int) -> list[tuple[int, InstanceReport]]:
    """Those of one version, with their numbers, the oldest first."""
    everyone = report.instances if report is not None else ()
    own = [one for one in everyone if (one.model, one.version) == (model, version)]
    return [(number_of(one.instance_id), one) for one in sorted(own, key=_order)]


def number_of(instance_id: str) -> int:
    """The number behind the `#`."""
    return int(instance_id.rpartition("#")[2])


def model_of(instance_id: str) -> str:
    """The model before the slash."""
    return instance_id.partition("/")[0]


def _order(one: InstanceReport) -> tuple[str, int, int]:
    return one.model, one.version, number_of(one.instance_id)


def _moment(end: ExitReport) -> datetime:
    return datetime.fromtimestamp(end.at_unix_s, UTC)
