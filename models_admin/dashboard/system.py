"""/system/: what this server stands on, and what it enforces on this host."""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from models_admin.dashboard.access import page
from models_admin.models import ModelVersion
from models_admin.selectors import setup_facts, setup_state
from proxy import gateway
from proxy.core.reports import SecondReport

PACKAGES = (
    "django",
    "channels",
    "celery",
    "djangorestframework",
    "uvicorn",
    "uvloop",
    "httptools",
    "msgspec",
    "torch",
    "numpy",
    "safetensors",
    "onnxruntime",
    "nvidia-ml-py",
    "psutil",
)


@page
def system(request: HttpRequest) -> HttpResponse:
    """The page."""
    report = gateway.latest_report()
    disk = shutil.disk_usage(settings.DLPROXY_HOME)
    context = {
        "report": report,
        "sandboxes": sandboxes(report),
        "facts": _facts(request.user.is_staff),
        "disk": disk,
        "disk_used_ratio": disk.used / disk.total if disk.total else 0,
        "artifact_bytes": ModelVersion.with_deleted.aggregate(total=Sum("size_bytes"))["total"] or 0,
        "checks": setup_state.checks(setup_facts.look()),
        "packages": [(name, installed(name)) for name in PACKAGES],
    }
    return render(request, "dashboard/system.html", context)


def sandboxes(report: SecondReport | None) -> list[tuple[str, list[tuple[str, str]]]]:
    """(versions, walls): versions whose instances report the same walls stand together."""
    grouped: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for one in report.versions if report else ():
        if one.sandbox:
            grouped.setdefault(tuple(sorted(one.sandbox.items())), []).append(f"{one.model}/{one.version}")
    return [(", ".join(versions), list(walls)) for walls, versions in grouped.items()]


def installed(name: str) -> str:
    """A package's version; words where it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return _("not installed")


def _facts(is_staff: bool) -> list[tuple[str, str]]:
    facts = [
        ("Python", f"{platform.python_version()}, {platform.system()} {platform.release()}, {platform.machine()}"),
    ]
    if is_staff:
        facts.append((_("Data directory"), str(settings.DLPROXY_HOME)))
    return facts
