"""/models/{name}/versions/compare/?a=3&b=5: two versions side by side. The address says which."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from models_admin.dashboard.access import asked, model_or_404, page, version_or_404, whole_number
from models_admin.dashboard.model import head
from models_admin.dashboard.steps import STEP_LABELS
from models_admin.models import Model, ModelVersion
from models_admin.models.registry import ArtifactFormat, StepStatus, VersionState
from models_admin.selectors.comparison import Change, Row, Section
from models_admin.selectors.version_comparison import compare_versions
from models_admin.templatetags.ui import figure, ms, shape, size

TITLES = {
    "artifact": gettext_lazy("Artifact"),
    "inputs": gettext_lazy("Inputs"),
    "outputs": gettext_lazy("Outputs"),
    "options": gettext_lazy("Options"),
    "validation": gettext_lazy("Validation"),
    "golden": gettext_lazy("Golden samples"),
    "notes": gettext_lazy("Notes"),
    "measured": gettext_lazy("Measured"),
    "tensors": gettext_lazy("Tensors in the file"),
    "members": gettext_lazy("Members of the archive"),
    "contents": gettext_lazy("Contents of the file"),
}
LABELS = {
    **STEP_LABELS,
    "format": gettext_lazy("Format"),
    "size_bytes": gettext_lazy("Size"),
    "digest": gettext_lazy("SHA-256"),
    "original_filename": gettext_lazy("File name"),
    "batchable": gettext_lazy("Batchable"),
    "stateful": gettext_lazy("Stateful"),
    "cacheable": gettext_lazy("Cacheable"),
    "state": gettext_lazy("State"),
    "samples": gettext_lazy("Samples"),
    "golden_digest": gettext_lazy("SHA-256 of the samples"),
    "notes": gettext_lazy("Notes"),
    "load_time_ms": gettext_lazy("Load time"),
    "sample_latency_ms": gettext_lazy("One sample"),
    "memory_bytes": gettext_lazy("Memory"),
    "served_requests": gettext_lazy("Requests answered"),
    "service_ms": gettext_lazy("Service time, mean"),
    "p50_ms": gettext_lazy("Latency p50"),
    "p99_ms": gettext_lazy("Latency p99"),
}
WORDS = {
    Change.SAME: ("", gettext_lazy("same")),
    Change.CHANGED: ("warn", gettext_lazy("changed")),
    Change.ADDED: ("ok", gettext_lazy("added")),
    Change.REMOVED: ("bad", gettext_lazy("removed")),
    Change.UNKNOWN: ("", gettext_lazy("unknown")),
}
CHOICES = {"format": ArtifactFormat, "state": VersionState}
SIGNATURE = frozenset({"inputs", "outputs"})
PARTS = frozenset({"tensors", "members"})


@page
def compare(request: HttpRequest, name: str) -> HttpResponse:
    """The page; without two numbers the default version and the newest other one are compared."""
    model = model_or_404(name)
    numbers = [version.number for version in model.versions.all()]
    first, second = (whole_number(asked(request, side), 9) or None for side in ("a", "b"))
    if first is None:
        first = _default(model) or (numbers[-1] if numbers else None)
    if second is None:
        second = next((number for number in numbers if number != first), first)
    context: dict[str, Any] = {**head(model), "numbers": numbers, "a": first, "b": second}
    if first is not None and second is not None:
        pair = version_or_404(name, first), version_or_404(name, second)
        sections = compare_versions(*pair, now=timezone.now())
        context["differing"] = _groups(sections, differing=True)
        context["rest"] = _groups(sections, differing=False)
        context["parts"] = _parts(sections[-1])
        context["clients"] = _clients(pair, sections)
    return render(request, "dashboard/compare.html", context)


def _default(model: Model) -> int | None:
    return model.default_version.number if model.default_version else None


def _clients(pair: tuple[ModelVersion, ModelVersion], sections: list[Section]) -> str:
    """What it means to clients: `same_file`, `same` or `differ`; `unknown` where a signature was never found out."""
    if pair[0].digest == pair[1].digest:
        return "same_file"
    if not all(version.signature or version.declared_signature for version in pair):
        return "unknown"
    return "differ" if any(one.differs for one in sections if one.name in SIGNATURE) else "same"


def _groups(sections: list[Section], *, differing: bool) -> list[tuple[str, bool, list[tuple[str, ...]]]]:
    """(title, whether its names are code, rows) of the sections that have rows of this kind."""
    groups = []
    for one in sections:
        is_code = one.name in {*SIGNATURE, *PARTS}
        rows = [
            (row.name if is_code else str(LABELS.get(row.name, row.name)), *_sides(row), *map(str, WORDS[row.change]))
            for row in one.rows
            if _tells_apart(row) == differing
        ]
        if rows:
            groups.append((str(TITLES[one.name]), is_code, rows))
    return groups


def _tells_apart(row: Row) -> bool:
    """True for what differs, and for what only one of them is known by."""
    is_one_sided = row.change is Change.UNKNOWN and (row.before is None) != (row.after is None)
    return is_one_sided or row.change in {Change.CHANGED, Change.ADDED, Change.REMOVED}


def _parts(section: Section) -> dict[str, Any]:
    """What is said of the files' contents: of what kind, how many of each change, and how many are not listed."""
    same = section.counts.get(Change.SAME, 0)
    return {
        "kind": section.name,
        "counts": [(WORDS[change][1], count) for change, count in section.counts.items()],
        "left_out": section.left_out - same,
    }


def _sides(row: Row) -> tuple[str, str]:
    return _shown(row.name, row.before), _shown(row.name, row.after)


def _shown(name: str, value: Any) -> str:
    """A fact as it is read; a dash for what is not there."""
    if value is None or value == "":
        return "–"
    if isinstance(value, dict):
        if "crc32" in value:
            return f"{size(value['bytes'])}, {value['crc32']}"
        return f"{value['datatype']} {shape(value['shape'])}"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return _number_shown(name, value) if isinstance(value, int | float) else _text_shown(name, str(value))


def _number_shown(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return str(size(value))
    return ms(value) if name.endswith("_ms") else figure(value)


def _text_shown(name: str, text: str) -> str:
    if name in CHOICES:
        return str(CHOICES[name](text).label)
    return str(StepStatus(text).label) if name in STEP_LABELS else text
