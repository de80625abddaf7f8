"""/models/{name}/policy/: every parameter with its unit, bounds, default and what a larger value does."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from models_admin.dashboard.access import actor_of, change, model_or_404, page, revision_of
from models_admin.dashboard.model import head
from models_admin.dashboard.policy_fields import GROUPS, field_view, in_words, label_of, read
from models_admin.models import Model
from models_admin.services import policies as services
from models_admin.services.errors import ServiceError


@page
def policy(request: HttpRequest, name: str) -> HttpResponse:
    """The form."""
    return _show(request, model_or_404(name), {}, None)


@change
def preview(request: HttpRequest, name: str) -> HttpResponse:
    """The form as it was typed, with what would change; nothing is saved."""
    model = model_or_404(name)
    typed = _typed(request)
    try:
        changes = services.changes_of(model.policy, _values(typed))
    except ServiceError as error:
        return _show(request, model, typed, error)
    rows = [(label_of(field), in_words(field, was), in_words(field, now)) for field, (was, now) in changes.items()]
    return _show(request, model, typed, None, preview=rows)


@change
def save(request: HttpRequest, name: str) -> HttpResponse:
    """Take the form. A refusal shows what was typed, with the words at the field."""
    model = model_or_404(name)
    typed = _typed(request)
    try:
        before = model.policy.revision
        row = services.update_policy(
            actor=actor_of(request), model=model, expected_revision=revision_of(request), **_values(typed)
        )
    except ServiceError as error:
        return _show(request, model, typed, error)
    words = "Policy saved; it applies to the next request." if row.revision != before else "Nothing was changed."
    messages.success(request, words)
    return redirect("model-policy", name)


def _typed(request: HttpRequest) -> dict[str, str]:
    return {field: request.POST.get(field, "") for field in services.EDITABLE_FIELDS}


def _values(typed: dict[str, str]) -> dict[str, Any]:
    return {field: read(field, text) for field, text in typed.items()}


def _show(
    request: HttpRequest,
    model: Model,
    typed: dict[str, str],
    error: ServiceError | None,
    preview: list[tuple[str, str, str]] | None = None,
) -> HttpResponse:
    groups = [
        (title, [field_view(model.policy, name, typed, error) for name in names]) for title, names in GROUPS.items()
    ]
    context = {
        **head(model),
        "policy": model.policy,
        "revision": request.POST.get("revision") or model.policy.revision,
        "groups": groups,
        "error": error,
        "preview": preview,
    }
    return render(request, "dashboard/policy.html", context, status=error.status if error else 200)
