"""What needs somebody's attention now: each problem with its reason and the way to mend it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from models_admin.models import ModelVersion
from models_admin.selectors import NodeView
from models_admin.templatetags.ui import said
from proxy.core.reports import ModelSecond, SecondReport, VersionReport

BAD, WARN = "bad", "warn"
# Below this share of free disk, uploads soon fail and the database may follow. Larger: earlier warning.
LEAST_FREE_DISK_RATIO = 0.05
REFUSED_LATELY_S = 30
"""For so long it is a problem that requests were refused. Larger: what is over is told of for longer."""
PARTS = {
    "celery": gettext_lazy("The Celery worker"),
    "beat": gettext_lazy("Celery beat"),
}
WAITING = gettext_lazy("Serving goes on with the last decisions; uploads are not validated and scaling waits.")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that needs attention. `tone` is bad (calls fail) or warn (something waits)."""

    tone: str
    title: str
    reason: str
    url: str
    action: str


def find(
    names: Iterable[str],
    failed_versions: Iterable[ModelVersion],
    report: SecondReport | None,
    nodes: Iterable[NodeView],
    free_disk_ratio: float,
    refused: Mapping[str, int] | None = None,
) -> list[Problem]:
    """All problems, the worst first. `names`: of the models; `failed_versions`: those that are their model's newest.

    `refused`: requests of each model within REFUSED_LATELY_S. Of a single second it would come and go with each look.
    """
    found = [*_data_plane(report), *_disk(free_disk_ratio)]
    if report is not None:
        found += _models(names, report, refused or {})
    found += _parts({node.name: node for node in nodes})
    found += [_failed_upload(version) for version in failed_versions]
    return sorted(found, key=lambda problem: problem.tone != BAD)


def _data_plane(report: SecondReport | None) -> list[Problem]:
    if report is not None:
        return []
    reason = _("No data plane runs in this process, so nothing is served and nothing is measured.")
    return [Problem(BAD, _("Not serving"), reason, reverse("system"), _("See the system"))]


def _disk(free_disk_ratio: float) -> list[Problem]:
    if free_disk_ratio >= LEAST_FREE_DISK_RATIO:
        return []
    reason = _("%(free_disk_ratio)s%% of the data disk is free. Delete archived versions or make the disk larger.") % {
        "free_disk_ratio": f"{100 * free_disk_ratio:.1f}"
    }
    return [Problem(BAD, _("The disk is nearly full"), reason, reverse("system"), _("See the system"))]


def _models(names: Iterable[str], report: SecondReport, refused: Mapping[str, int]) -> list[Problem]:
    loaded: dict[str, list[VersionReport]] = {}
    for version in report.versions:
        loaded.setdefault(version.model, []).append(version)
    found = []
    for name in names:
        versions, second = loaded.get(name, []), report.models.get(name)
        if versions or second is not None:
            found += _model(name, versions, second, refused.get(name, 0))
    return found


def _model(
    name: str, loaded: Sequence[VersionReport], second: ModelSecond | None, refused_lately: int
) -> list[Problem]:
    url = reverse("model", args=[name])
    found = []
    for version in loaded:
        if version.state == "asleep":
            continue
        if version.state in ("failed", "quarantined"):
            found.append(_failed_load(version, url))
        elif version.message and version.instances_ready == 0:
            found.append(
                Problem(
                    WARN,
                    _("%(name)s/%(version)s has no instance") % {"name": name, "version": version.version},
                    version.message,
                    url,
                    _("Open"),
                )
            )
    refused = max(refused_lately, second.rejections if second else 0)
    if refused:
        reason = _(
            "%(rejections)s requests were refused or expired in the last %(seconds)s s; %(queue_depth)s wait now. "
            "Allow more instances, larger batches or a longer queue."
        ) % {"rejections": refused, "seconds": REFUSED_LATELY_S, "queue_depth": second.queue_depth if second else 0}
        policy = reverse("model-policy", args=[name])
        found.append(
            Problem(WARN, _("%(name)s refuses requests") % {"name": name}, reason, policy, _("Change the policy"))
        )
    return found


def _failed_load(version: VersionReport, url: str) -> Problem:
    tone = BAD if version.is_default else WARN
    reason = version.message or _("Its instances would not start; see the version’s page.")
    return Problem(
        tone,
        _("%(model)s/%(version)s cannot be loaded") % {"model": version.model, "version": version.version},
        reason,
        url,
        _("Open"),
    )


def _parts(nodes: dict[str, NodeView]) -> list[Problem]:
    found = []
    for name, label in PARTS.items():
        node = nodes.get(name)
        if node is None:
            reason = _("It has not been heard of since this data directory was made. %(waiting)s") % {
                "waiting": WAITING
            }
            found.append(
                Problem(
                    WARN,
                    _("%(label)s is not running") % {"label": label},
                    reason,
                    reverse("system"),
                    _("See the system"),
                )
            )
        elif node.late:
            reason = _("It has been silent for %(age_s)s s. %(waiting)s") % {
                "age_s": f"{node.age_s:.0f}",
                "waiting": WAITING,
            }
            found.append(
                Problem(
                    WARN, _("%(label)s is silent") % {"label": label}, reason, reverse("system"), _("See the system")
                )
            )
    return found


def _failed_upload(version: ModelVersion) -> Problem:
    url = reverse("version", args=[version.model.name, version.number])
    reason = said(version.state_reason, version.state_said) or _("See the steps of its validation.")
    return Problem(
        WARN,
        _("%(name)s/%(number)s: validation failed") % {"name": version.model.name, "number": version.number},
        reason,
        url,
        _("See why"),
    )
