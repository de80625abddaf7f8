"""/models/{name}/policy/: every parameter with its unit, bounds, default and what a larger value does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.dashboard.access import (
    actor_of,
    asked,
    change,
    model_or_404,
    page,
    perform,
    revision_of,
    whole_number,
)
from models_admin.dashboard.model import head
from models_admin.dashboard.policy_fields import (
    MODES,
    error_words,
    field_view,
    label_of,
    typed_in,
    value_with_unit,
    values_of,
)
from models_admin.dashboard.policy_layout import GROUPS
from models_admin.models import Model, PolicyRevision
from models_admin.services import policies as services
from models_admin.services.errors import Conflict, NotFound, ServiceError

JUST_NOW = timedelta(minutes=15)
"""How long a saved change is spoken of on its page. Larger: a page that stayed open speaks of older ones."""
MOST_LATER = 5


@dataclass(frozen=True, slots=True)
class Saved:
    """A change of the reader's. `later`: (who, which fields) of those after it; `moved`: its own fields among them."""

    revision: int
    later: list[tuple[str, str]]
    moved: list[str]


@page
def policy(request: HttpRequest, name: str) -> HttpResponse:
    """The form. `?saved=` names the revision that its reader made just now, whose undoing is offered."""
    model = model_or_404(name)
    return _show(request, model, {}, None, saved=_just_saved(request, model))


@change
def preview(request: HttpRequest, name: str) -> HttpResponse:
    """The form as it was typed, with what would change; nothing is saved."""
    model = model_or_404(name)
    typed = typed_in(request.POST)
    try:
        pairs = _pairs(request, model, typed)
        changes = services.changes_of(model.policy, {name: wanted for name, (_read, wanted) in pairs.items()})
    except ServiceError as error:
        return _show(request, model, typed, error)
    return _show(request, model, typed, None, preview=rows_of(changes))


@change
def save(request: HttpRequest, name: str) -> HttpResponse:
    """Take what the person changed; what was moved meanwhile, by tuning above all, stays where it did not touch that.

    A refusal shows what was typed, with the words at the field; saving again then overwrites what was moved.
    """
    model = model_or_404(name)
    typed = typed_in(request.POST)
    before = model.policy.revision
    pairs: dict[str, tuple[Any, Any]] = {}
    try:
        pairs = _pairs(request, model, typed)
        row = services.exchange(actor=actor_of(request), model=model, pairs=pairs)
    except Conflict as error:
        fresh = model_or_404(name)
        return _show(request, fresh, _changed(typed, pairs), error, revision=fresh.policy.revision)
    except ServiceError as error:
        return _show(request, model, typed, error)
    back = reverse("model-policy", args=[name])
    if row.revision == before:
        messages.success(request, _("Nothing was changed."))
        return redirect(back)
    return redirect(f"{back}?saved={row.revision}")


@change
def undo(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """Take one change back, and nothing that came after it."""
    model = model_or_404(name)
    done = _("The change is undone.")
    return perform(
        request,
        reverse("model-policy", args=[name]),
        done,
        lambda: services.undo_change(actor=actor_of(request), model=model, revision=number),
    )


def _pairs(request: HttpRequest, model: Model, typed: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What the person changed of the policy that the form was made from, as {field: (read as, wanted)}."""
    read = services.as_of(model, revision_of(request))
    wanted = values_of(read, typed)
    return {name: (was, wanted[name]) for name in wanted if (was := getattr(read, name)) != wanted[name]}


def _changed(typed: dict[str, Any], pairs: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    """The part of what was typed that the person changed; of the modes, those of the knobs that were changed."""
    changed = {name: typed[name] for name in pairs}
    if MODES in changed:
        was, wanted = pairs[MODES]
        changed[MODES] = {knob: mode for knob, mode in wanted.items() if was.get(knob) != mode}
    return changed


def _just_saved(request: HttpRequest, model: Model) -> Saved | None:
    """The change that `?saved=` names, if the reader made it a moment ago."""
    number = whole_number(asked(request, "saved"), 18)
    if number is None:
        return None
    since = timezone.now() - JUST_NOW
    row = model.policy_revisions.filter(revision=number, actor=actor_of(request).label[:200], at__gte=since).first()
    if row is None:
        return None
    pairs = {name: (to, to) for name, (_was, to) in known_changes(row).items()}
    later = model.policy_revisions.filter(revision__gt=number).order_by("revision")
    return Saved(
        number,
        [(one.actor, ", ".join(map(label_of, known_changes(one)))) for one in later[:MOST_LATER]],
        [label_of(name) for name in services.moved_since(model.policy, pairs)],
    )


def known_changes(row: PolicyRevision) -> dict[str, Any]:
    """Its changes of fields that a policy still has."""
    return {name: pair for name, pair in row.changes.items() if name in services.EDITABLE_FIELDS}


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
    saved: Saved | None = None,
    revision: int | None = None,
) -> HttpResponse:
    is_too_old = isinstance(error, NotFound)  # of a revision that is no longer kept, nothing could ever be saved
    posted = "" if is_too_old else request.POST.get("revision")
    groups = [(title, [field_view(model.policy, name, typed, error) for name in names]) for title, names in GROUPS]
    context = {
        **head(model),
        "policy": model.policy,
        "revision": revision or posted or model.policy.revision,
        "groups": groups,
        "error": error_words(error) if error else "",
        "preview": preview,
        "may_save_again": isinstance(error, Conflict),
        "is_too_old": is_too_old,
        "saved": saved,
    }
    return render(request, "dashboard/policy.html", context, status=error.status if error else 200)
