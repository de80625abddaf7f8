"""/system/: what this server stands on, and what it enforces on this host."""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from django.conf import settings
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from models_admin.dashboard.access import page
from models_admin.models import ModelVersion
from models_admin.selectors import setup_facts, setup_state
from proxy import gateway
from proxy.core.release import VERSION
from proxy.core.reports import SecondReport
from proxy.core.words import parts_of, readable

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
        "looked_at": timezone.now(),
        "sandboxes": sandboxes(report),
        "facts": _facts(request.user.is_staff),
        "disk": disk,
        "disk_room": disk.used + disk.free,  # what this process could fill: the system keeps some for itself
        "disk_used_ratio": disk.used / max(disk.used + disk.free, 1),
        "artifact_bytes": ModelVersion.with_deleted.aggregate(total=Sum("size_bytes"))["total"] or 0,
        # Versions stand among the packages below.
        "checks": [one for one in setup_state.checks(setup_facts.look()) if not one.key.startswith("version.")],
        "packages": [(name, installed(name)) for name in PACKAGES],
    }
    return render(request, "dashboard/system.html", context)


def sandboxes(report: SecondReport | None) -> list[tuple[str, list[tuple[str, bool, str]]]]:
    """(versions, walls): versions whose instances report the same walls stand together."""
    grouped: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for one in report.versions if report else ():
        if one.sandbox:
            grouped.setdefault(tuple(sorted(one.sandbox.items())), []).append(f"{one.model}/{one.version}")
    return [(", ".join(versions), list(map(wall_in_words, walls))) for walls, versions in grouped.items()]


WALLS = {
    "capabilities": gettext_lazy("No capabilities"),
    "files": gettext_lazy("Files"),
    "first to go when memory is short": gettext_lazy("First to go when memory is short"),
    "memory limit": gettext_lazy("Memory limit"),
    "namespaces": gettext_lazy("Namespaces"),
    "no new privileges": gettext_lazy("No new privileges"),
    "parent death": gettext_lazy("Ends with its parent"),
    "resource limits": gettext_lazy("Resource limits"),
    "scratch": gettext_lazy("Scratch space"),
    "system calls": gettext_lazy("System calls"),
}
"""What people call the measures of proxy.worker.sandbox."""


def wall_in_words(wall: tuple[str, str]) -> tuple[str, bool, str]:
    """(name, whether it stands, what it says besides) of a wall as an instance reports it."""
    name, said = wall
    word, _separator, rest = said.partition(" ")
    rest = rest.removeprefix("(").removesuffix(")")
    return str(WALLS.get(name, name)), word == "active", readable(parts_of(rest), _, rest)


def installed(name: str) -> str:
    """A package's version; words where it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return _("not installed")


def _facts(is_staff: bool) -> list[tuple[str, str]]:
    facts = [
        (_("Deep Learning Proxy"), VERSION),
        ("Python", f"{platform.python_version()}, {platform.system()} {platform.release()}, {platform.machine()}"),
    ]
    if is_staff:
        facts.append((_("Data directory"), str(settings.DLPROXY_HOME)))
    return facts
