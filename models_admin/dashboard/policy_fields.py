"""How each field of a policy is shown and read on its page: group, label, unit, bounds. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from models_admin.models import Policy
from models_admin.services.errors import ServiceError

GROUPS = {
    "Batching and placement": (
        "max_batch_rows",
        "max_queue_delay_ms",
        "preferred_batch_rows",
        "padded_batch_rows",
        "oversize",
        "placement",
    ),
    "Queue and deadlines": (
        "max_queue_requests",
        "max_queue_requests_per_priority",
        "priority_levels",
        "default_priority",
        "ageing_ms",
        "default_timeout_ms",
        "max_timeout_ms",
        "fair_share",
    ),
    "Admission and retries": ("retry_budget_percent", "adaptive_limit"),
    "Scaling": (
        "autoscale",
        "min_instances",
        "max_instances",
        "target_utilisation_percent",
        "target_queue_wait_ms",
        "scale_down_delay_s",
        "scale_to_zero_after_s",
        "wake_timeout_s",
    ),
    "Instances": ("device", "threads_per_instance", "memory_limit_mib", "execution_timeout_ms", "load_timeout_s"),
    "Versions": ("version_policy", "keep_latest", "rollback_window_s"),
    "Result cache": ("cache_enabled", "cache_max_mib", "cache_ttl_s"),
}
UNITS = {
    "_ms": "ms",
    "_s": "s",
    "_mib": "MiB",
    "_percent": "%",
    "_rows": "rows",
    "_requests": "requests",
    "_requests_per_priority": "requests",
    "_instances": "instances",
    "threads_per_instance": "threads",
    "priority_levels": "levels",
    "keep_latest": "versions",
}
LABELS = {
    "max_batch_rows": "Largest batch",
    "max_queue_delay_ms": "Longest wait for company",
    "preferred_batch_rows": "Preferred sizes",
    "padded_batch_rows": "Pad to sizes",
    "oversize": "Requests larger than a batch",
    "max_queue_requests": "Queue length",
    "max_queue_requests_per_priority": "Queue length of one priority",
    "priority_levels": "Priority levels",
    "default_priority": "Default priority",
    "ageing_ms": "Ageing",
    "fair_share": "Fair share between keys",
    "adaptive_limit": "Adaptive concurrency limit",
    "retry_budget_percent": "Retry budget",
    "default_timeout_ms": "Default timeout",
    "max_timeout_ms": "Longest timeout",
    "execution_timeout_ms": "Execution timeout",
    "load_timeout_s": "Load timeout",
    "device": "Device",
    "threads_per_instance": "Threads per instance",
    "memory_limit_mib": "Memory limit",
    "autoscale": "Scale by measured load",
    "min_instances": "Fewest instances",
    "max_instances": "Most instances",
    "target_utilisation_percent": "Target utilisation",
    "target_queue_wait_ms": "Target wait in the queue",
    "scale_down_delay_s": "Scale-down delay",
    "scale_to_zero_after_s": "Sleep when unused for",
    "wake_timeout_s": "Longest wait for waking",
    "version_policy": "New versions",
    "keep_latest": "Newest versions kept loaded",
    "rollback_window_s": "Keep the replaced version warm",
    "cache_enabled": "Cache answers",
    "cache_max_mib": "Cache size",
    "cache_ttl_s": "Longest age",
}
MOST_CHARACTERS = 400
"""Of a list of sizes: sixteen of them with much space between."""


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field as the form shows it. `kind`: choice, flag, number, sizes or text."""

    name: str
    label: str
    kind: str
    value: Any
    default: Any
    unit: str
    low: float | None
    high: float | None
    step: str
    choices: tuple[tuple[str, str], ...]
    help_text: str
    error: str


def label_of(name: str) -> str:
    """What the field is called on the page."""
    return LABELS.get(name, name.replace("_", " ").capitalize())


def field_view(policy: Policy, name: str, typed: dict[str, str], error: ServiceError | None) -> FieldView:
    """The field `name` with what was typed, else its value now."""
    field: Any = Policy._meta.get_field(name)
    kind = _kind(field)
    value = typed[name] if name in typed else getattr(policy, name)
    if kind == "flag":
        value = value in {True, "on"}
    elif kind == "sizes" and isinstance(value, list):
        value = ", ".join(map(str, value))
    elif isinstance(value, float):
        value = f"{value:g}"
    return FieldView(
        name=name,
        label=label_of(name),
        kind=kind,
        value=value,
        default=in_words(name, field.get_default()),
        unit="" if kind == "flag" else next((unit for ending, unit in UNITS.items() if name.endswith(ending)), ""),
        low=next((v.limit_value for v in field.validators if isinstance(v, MinValueValidator)), None),
        high=next((v.limit_value for v in field.validators if isinstance(v, MaxValueValidator)), None),
        step="any" if isinstance(field, models.FloatField) else "1",
        choices=tuple(field.choices or ()),
        help_text=field.help_text,
        error=error.message.removeprefix(f"{name}: ") if error is not None and error.field == name else "",
    )


def read(name: str, text: str) -> Any:
    """What the service takes: typed numbers; text that is none goes on as it is, for the service to refuse in words."""
    field = Policy._meta.get_field(name)
    if isinstance(field, models.BooleanField):
        return text == "on"
    if isinstance(field, models.JSONField):
        return [_number(size, int) for size in re.split(r"[\s,;]+", text.strip()[:MOST_CHARACTERS]) if size]
    if isinstance(field, models.FloatField):
        return _number(text, float)
    if isinstance(field, models.IntegerField):
        return _number(text, int)
    return text


def in_words(name: str, value: Any) -> str:
    """A value of the field as people read it, without its unit."""
    field: Any = Policy._meta.get_field(name)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if field.choices:
        return str(dict(field.choices).get(value, value))
    return f"{value:,g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _kind(field: Any) -> str:
    if field.choices:
        return "choice"
    if isinstance(field, models.BooleanField):
        return "flag"
    if isinstance(field, models.JSONField):
        return "sizes"
    return "text" if isinstance(field, models.CharField) else "number"


def _number(text: str, kind: type[int | float]) -> int | float | str:
    try:
        return kind(text.strip()[:40])
    except ValueError:
        return text
