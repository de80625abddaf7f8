"""/models/{name}/policy/: every parameter with its unit, bounds, default and what a larger value does."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from models_admin.dashboard.access import actor_of, asked, change, model_or_404, page, revision_of
from models_admin.dashboard.model import head
from models_admin.dashboard.policy_fields import field_view, label_of, typed_in, value_with_unit, values_of
from models_admin.dashboard.policy_layout import GROUPS
from models_admin.models import Model
from models_admin.services import policies as services
from models_admin.services.errors import ServiceError


@page
def policy(request: HttpRequest, name: str) -> HttpResponse:
    """The form. `?saved=` names the revision that was just made, whose undoing is offered while it is the newest."""
    model = model_or_404(name)
    saved = asked(request, "saved") == str(model.policy.revision) and model.policy.revision > 1
    return _show(request, model, {}, None, just_saved=saved)


@change
def preview(request: HttpRequest, name: str) -> HttpResponse:
    """The form as it was typed, with what would change; nothing is saved."""
    model = model_or_404(name)
    typed = typed_in(request.POST)
    try:
        changes = services.changes_of(model.policy, values_of(model.policy, typed))
    except ServiceError as error:
        return _show(request, model, typed, error)
    return _show(request, model, typed, None, preview=rows_of(changes))


@change
def save(request: HttpRequest, name: str) -> HttpResponse:
    """Take the form. A refusal shows what was typed, with the words at the field."""
    model = model_or_404(name)
    typed = typed_in(request.POST)
    before = model.policy.revision
    try:
        row = services.update_policy(
            actor=actor_of(request),
            model=model,
            expected_revision=revision_of(request),
            **values_of(model.policy, typed),
        )
    except ServiceError as error:
        return _show(request, model, typed, error)
    back = reverse("model-policy", args=[name])
    if row.revision == before:
        messages.success(request, _("Nothing was changed."))
        return redirect(back)
    return redirect(f"{back}?saved={row.revision}")


def rows_of(changes: dict[str, list[Any]]) -> list[tuple[str, str, str]]:
    """Changes as the pages show them: label, value before, value after."""
    return [
        (label_of(field), value_with_unit(field, before), value_with_unit(field, after))
        for field, (before, after) in changes.items()
    ]


def _show(
    request: HttpRequest,
    model: Model,
    typed: dict[str, Any],
    error: ServiceError | None,
    *,
    preview: list[tuple[str, str, str]] | None = None,
    just_saved: bool = False,
) -> HttpResponse:
    groups = [(title, [field_view(model.policy, name, typed, error) for name in names]) for title, names in GROUPS]
    context = {
        **head(model),
        "policy": model.policy,
        "revision": request.POST.get("revision") or model.policy.revision,
        "groups": groups,
        "error": error,
        "preview": preview,
        "just_saved": just_saved,
    }
    return render(request, "dashboard/policy.html", context, status=error.status if error else 200)
