"""/models/{name}/policy/: every parameter with its unit, bounds, default and what a larger value does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from models_admin.dashboard.access import actor_of, change, model_or_404, page, revision_of
from models_admin.dashboard.model import head
from models_admin.models import Model, Policy
from models_admin.services import policies as services
from models_admin.services.errors import ServiceError

GROUPS = {
    "Batching": ("max_batch_rows", "max_queue_delay_ms", "placement"),
    "Queue and deadlines": ("max_queue_requests", "default_timeout_ms", "max_timeout_ms"),
    "Scaling": (
        "autoscale",
        "min_instances",
        "max_instances",
        "target_utilisation_percent",
        "scale_down_delay_s",
    ),
    "Instances": ("threads_per_instance", "memory_limit_mib", "execution_timeout_ms", "load_timeout_s"),
    "Versions": ("rollback_window_s",),
    "Result cache": ("cache_enabled", "cache_max_mib", "cache_ttl_s"),
}
UNITS = {
    "_ms": "ms",
    "_s": "s",
    "_mib": "MiB",
    "_percent": "%",
    "_rows": "rows",
    "_requests": "requests",
    "_instances": "instances",
    "threads_per_instance": "threads",
}
LABELS = {
    "max_batch_rows": "Largest batch",
    "max_queue_delay_ms": "Longest wait for company",
    "max_queue_requests": "Queue length",
    "default_timeout_ms": "Default timeout",
    "max_timeout_ms": "Longest timeout",
    "execution_timeout_ms": "Execution timeout",
    "load_timeout_s": "Load timeout",
    "threads_per_instance": "Threads per instance",
    "memory_limit_mib": "Memory limit",
    "autoscale": "Scale by measured load",
    "min_instances": "Fewest instances",
    "max_instances": "Most instances",
    "target_utilisation_percent": "Target utilisation",
    "scale_down_delay_s": "Scale-down delay",
    "rollback_window_s": "Keep the replaced version warm",
    "cache_enabled": "Cache answers",
    "cache_max_mib": "Cache size",
    "cache_ttl_s": "Longest age",
}


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field as the form shows it."""

    name: str
    label: str
    kind: str
    value: Any
    default: Any
    unit: str
    low: float | None
    high: float | None
    choices: tuple[tuple[str, str], ...]
    help_text: str
    error: str


@page
def policy(request: HttpRequest, name: str) -> HttpResponse:
    """The form."""
    return _show(request, model_or_404(name), {}, None)


@change
def save(request: HttpRequest, name: str) -> HttpResponse:
    """Take the form. A refusal shows what was typed, with the words at the field."""
    model = model_or_404(name)
    typed = {field: request.POST.get(field, "") for field in services.EDITABLE_FIELDS}
    try:
        values = {field: _value(field, text) for field, text in typed.items()}
        before = model.policy.revision
        row = services.update_policy(
            actor=actor_of(request), model=model, expected_revision=revision_of(request), **values
        )
    except ServiceError as error:
        return _show(request, model, typed, error)
    words = "Policy saved; it applies to the next request." if row.revision != before else "Nothing was changed."
    messages.success(request, words)
    return redirect("model-policy", name)


def _show(request: HttpRequest, model: Model, typed: dict[str, str], error: ServiceError | None) -> HttpResponse:
    groups = [
        (title, [field_view(model.policy, name, typed, error) for name in names]) for title, names in GROUPS.items()
    ]
    context = {**head(model), "policy": model.policy, "groups": groups, "error": error}
    return render(request, "dashboard/policy.html", context, status=error.status if error else 200)


def field_view(policy: Policy, name: str, typed: dict[str, str], error: ServiceError | None) -> FieldView:
    """The field `name` with what was typed, else its value now."""
    field: Any = Policy._meta.get_field(name)
    value = typed[name] if name in typed else getattr(policy, name)
    kind = "choice" if field.choices else "flag" if isinstance(field, models.BooleanField) else "number"
    if kind == "flag":
        value = value in {True, "on"}
    elif isinstance(value, float):
        value = f"{value:g}"
    low = next((v.limit_value for v in field.validators if isinstance(v, MinValueValidator)), None)
    high = next((v.limit_value for v in field.validators if isinstance(v, MaxValueValidator)), None)
    return FieldView(
        name=name,
        label=LABELS.get(name, name.replace("_", " ").capitalize()),
        kind=kind,
        value=value,
        default=dict(field.choices)[field.default] if kind == "choice" else field.default,
        unit=next((unit for ending, unit in UNITS.items() if name.endswith(ending)), ""),
        low=low,
        high=high,
        choices=tuple(field.choices or ()),
        help_text=field.help_text,
        error=error.message if error is not None and error.field == name else "",
    )


def _value(name: str, text: str) -> Any:
    """What the service takes: typed numbers; text that is none goes on as it is, for the service to refuse in words."""
    field = Policy._meta.get_field(name)
    if isinstance(field, models.BooleanField):
        return text == "on"
    if isinstance(field, models.FloatField):
        return _number(text, float)
    if isinstance(field, models.IntegerField):
        return _number(text, int)
    return text


def _number(text: str, kind: type[int | float]) -> int | float | str:
    try:
        return kind(text.strip()[:40])
    except ValueError:
        return text
