"""How a model or version stands, in one word and one sentence: what is wanted against what is reported. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext_lazy

from models_admin.models import Model, ModelVersion
from models_admin.models.registry import VersionState
from proxy.core.reports import SecondReport, VersionReport


@dataclass(frozen=True, slots=True)
class Status:
    """`state` is a word of the page's palette, `label` what is read, `words` the reason where there is one."""

    state: str
    label: str
    words: str = ""


EMPTY = Status("empty", gettext_lazy("No version"), gettext_lazy("Upload a version to begin."))
UNLOADED = Status(
    "unloaded", gettext_lazy("Unloaded"), gettext_lazy("No instance is wanted; calls are answered not ready.")
)
UNKNOWN = Status("unknown", gettext_lazy("Not serving"), gettext_lazy("No data plane runs in this process."))
# Where a version or an instance stands in the data plane: the words that pages and scripts show.
STATES = {
    "starting": gettext_lazy("Starting"),
    "stopped": gettext_lazy("Stopped"),
    "checking": gettext_lazy("Checking"),
    "loading": gettext_lazy("Loading"),
    "warming": gettext_lazy("Warming up"),
    "verifying": gettext_lazy("Verifying"),
    "ready": gettext_lazy("Ready"),
    "draining": gettext_lazy("Draining"),
    "asleep": gettext_lazy("Asleep"),
    "failed": gettext_lazy("Failed"),
    "quarantined": gettext_lazy("Quarantined"),
    "unloaded": gettext_lazy("Unloaded"),
}
_ON_THE_WAY = frozenset({"checking", "loading", "warming", "verifying", "draining"})
ASLEEP = Status(
    "asleep", gettext_lazy("Asleep"), gettext_lazy("Nobody asked for it lately. It wakes on the first request.")
)
WANTED = Status("loading", gettext_lazy("Waiting"), gettext_lazy("The data plane has not taken it up yet."))


def report_of(report: SecondReport | None, model: str, number: int) -> VersionReport | None:
    """What the data plane says of one version."""
    for version in report.versions if report else ():
        if (version.model, version.version) == (model, number):
            return version
    return None


def loaded(model: str, report: SecondReport | None) -> str:
    """Its versions in the data plane and how each stands, as one text that the page's script makes, too."""
    known = [one for one in report.versions if one.model == model] if report else []
    return ",".join(f"{one.version} {one.state}{' default' if one.is_default else ''}" for one in known)


Known = Mapping[tuple[str, int], VersionReport]


def by_version(report: SecondReport) -> Known:
    """The report's versions by (model, number), for pages that look up many."""
    return {(one.model, one.version): one for one in report.versions}


def model_status(model: Model, report: SecondReport | None) -> Status:
    """How the model's default version stands."""
    number = None if model.default_version is None else model.default_version.number
    return listed_status(model.name, number, model.loaded, by_version(report) if report else None)


def listed_status(name: str, default_number: int | None, loaded: bool, known: Known | None) -> Status:
    """The same of a model of which little was read; `known` are the report's versions, None without a data plane."""
    if default_number is None:
        return EMPTY
    if not loaded:
        return UNLOADED
    if known is None:
        return UNKNOWN
    version = known.get((name, default_number))
    return WANTED if version is None else _reported(version)


def load_status(version: ModelVersion, report: SecondReport | None, *, is_candidate: bool = False) -> Status | None:
    """How a version stands in the data plane; None where it is not wanted there. `is_candidate`: of a rollout."""
    known = report_of(report, version.model.name, version.number)
    if known is not None:
        return _reported(known)
    is_wanted = is_candidate or version.keep_loaded or version.model.default_version_id == version.pk
    if not (is_wanted and version.model.loaded and version.state == VersionState.READY):
        return None
    return UNKNOWN if report is None else WANTED


def _reported(known: VersionReport) -> Status:
    if known.state == ASLEEP.state:
        return Status(ASLEEP.state, ASLEEP.label, known.message or ASLEEP.words)
    return Status(known.state, STATES.get(known.state, known.state.capitalize()), known.message)


def is_moving(status: Status | None) -> bool:
    """True while a version is on its way up or down, so that a page looks again."""
    return status is not None and status.state in _ON_THE_WAY
