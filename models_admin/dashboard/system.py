"""/system/: what this server stands on, and what it enforces on this host."""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from models_admin import selectors
from models_admin.dashboard.access import page
from models_admin.dashboard.problems import PARTS, WAITING
from models_admin.models import ModelVersion
from models_admin.selectors import setup_facts, setup_state
from proxy import gateway
from proxy.core.reports import SecondReport

PART_NAMES = {
    "web": gettext_lazy("Web process"),
    "celery": gettext_lazy("Celery worker"),
    "beat": gettext_lazy("Celery beat"),
}

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
    nodes = selectors.nodes()
    known = {node.name for node in nodes}
    context = {
        "report": report,
        "sandboxes": sandboxes(report),
        "nodes": [(PART_NAMES.get(node.name, node.name), node) for node in nodes],
        "missing_parts": [label for name, label in PARTS.items() if name not in known],
        "waiting": WAITING,
        "facts": _facts(request.user.is_staff),
        "disk": disk,
        "disk_used_ratio": disk.used / disk.total if disk.total else 0,
        "artifact_bytes": ModelVersion.objects.aggregate(total=Sum("size_bytes"))["total"] or 0,
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
        (_("Database"), _database()),
        (_("Broker"), _broker()),
        (_("Live messages"), "Redis" if settings.REDIS_URL else _("in this process’s memory")),
        (_("Inference port"), _inference_port()),
        ("Python", f"{platform.python_version()}, {platform.system()} {platform.release()}, {platform.machine()}"),
    ]
    if is_staff:
        facts.append((_("Data directory"), str(settings.DLPROXY_HOME)))
    return facts


def _database() -> str:
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(connection.vendor, connection.vendor)
    try:
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("SELECT sqlite_version()")
                number = cursor.fetchone()[0]
                cursor.execute("PRAGMA journal_mode")
                return _("%(name)s, journal mode %(mode)s") % {"name": f"{name} {number}", "mode": cursor.fetchone()[0]}
            cursor.execute("SHOW server_version")
            return f"{name} {cursor.fetchone()[0]}"
    except DatabaseError as error:
        return _("%(name)s, not answering: %(error)s") % {"name": name, "error": type(error).__name__}


def _broker() -> str:
    parts = urlsplit(settings.CELERY_BROKER_URL)
    if parts.scheme.startswith("redis"):
        return _("Redis at %(host)s") % {"host": parts.hostname}
    return _("embedded (files in the data directory)") if parts.scheme in {"embedded", "filesystem"} else parts.scheme


def _inference_port() -> str:
    runtime: Any = gateway.current()
    return str(runtime.inference_port) if runtime is not None else _("not open in this process")
