"""The numbers behind a decision, each under a name that people use and with its unit. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from models_admin.templatetags.ui import ms, percent

MS_PER_S = 1_000
LABELS = {
    "busy_instances": gettext_lazy("Busy instances, on average"),
    "ready_instances": gettext_lazy("Ready instances"),
    "utilisation_ratio": gettext_lazy("Utilisation"),
    "busy_ratio": gettext_lazy("Busy share"),
    "arrivals_per_s": gettext_lazy("Arrivals"),
    "service_s": gettext_lazy("Model time a request"),
    "queue_depth": gettext_lazy("Requests that wait"),
    "age_s": gettext_lazy("Age of the newest measurement"),
    "alpha_s": gettext_lazy("An execution takes, whatever its rows"),
    "alpha_ms": gettext_lazy("An execution takes, whatever its rows"),
    "beta_s": gettext_lazy("and for each row"),
    "beta_ms": gettext_lazy("and for each row"),
    "rows_per_execution": gettext_lazy("Rows an execution"),
    "trend_per_s2": gettext_lazy("Arrivals change by, each second"),
    "gap_variation": gettext_lazy("How gaps between requests vary (Ca²; 1: at random)"),
    "cpu_ratio": gettext_lazy("CPU of the machine"),
    "gpu_ratio": gettext_lazy("GPU of the machine"),
    "memory_ratio": gettext_lazy("Memory of the machine"),
    "load_s": gettext_lazy("Starting an instance takes"),
    "by_utilisation": gettext_lazy("Instances by utilisation"),
    "by_demand": gettext_lazy("Instances by demand"),
    "by_backlog": gettext_lazy("Instances by backlog"),
    "slowest_over_fastest": gettext_lazy("The slowest instance takes, times the fastest"),
    "mix_hit_ratio": gettext_lazy("Hit ratio at this size by the curve"),
    "mix_mib": gettext_lazy("Size that the curve was read at"),
    "saved_ms_per_s": gettext_lazy("Model time saved each second"),
    "candidate_requests": gettext_lazy("Requests of the candidate"),
    "candidate_failed": gettext_lazy("of them failed"),
    "candidate_p99_ms": gettext_lazy("p99 of the candidate"),
    "default_requests": gettext_lazy("Requests of the default version"),
    "default_failed": gettext_lazy("of them failed"),
    "default_p99_ms": gettext_lazy("p99 of the default version"),
    "compared": gettext_lazy("Answers compared"),
    "differing": gettext_lazy("of them differing"),
    "largest_difference": gettext_lazy("Largest difference"),
}


def evidence_rows(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, value with its unit) of each number that is known; one without a name of ours keeps its own."""
    return [
        (str(LABELS.get(name, name)), _in_words(name, value)) for name, value in evidence.items() if value is not None
    ]


def _in_words(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if name.endswith("_ratio"):
        return percent(value)
    if name == "saved_ms_per_s":
        return ms(value)
    if name.endswith("_per_s"):
        return _("%(value)s/s") % {"value": _number(value)}
    if name.endswith("_ms"):
        return ms(value)
    if name.endswith("_mib"):
        return f"{_number(value)} MiB"
    if name.endswith("_s"):
        return ms(value * MS_PER_S) if value < 1 else f"{_number(value)} s"
    return _number(value)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}" if abs(value) < MS_PER_S else f"{value:,.0f}"
