"""/deleted/: models and versions that were deleted and can still be restored; deleting, restoring, removing."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from models_admin.dashboard.access import (
    actor_of,
    change,
    model_or_404,
    page,
    perform,
    revision_of,
    version_or_404,
    whole_number,
)
from models_admin.models import Model, ModelVersion
from models_admin.selectors import deleted as selectors
from models_admin.services import deletions
from models_admin.services.errors import ServiceError


@page
def deleted(request: HttpRequest) -> HttpResponse:
    """The page: what is kept, what its files take, and until when."""
    models = [(row, selectors.kept_until(row.deleted_at)) for row in selectors.deleted_models()]
    versions = [(row, selectors.kept_until(row.deleted_at)) for row in selectors.deleted_versions()]
    held_bytes = sum(row.artifact_bytes for row, _ in models) + sum(row.size_bytes for row, _ in versions)
    context = {"models": models, "versions": versions, "held_bytes": held_bytes}
    return render(request, "dashboard/deleted.html", context)


def undo_model(name: str) -> dict[str, object]:
    """What the notice "deleted – undo" shows of a model; empty once it is restored or removed."""
    row = selectors.deleted_models().filter(name=name).first() if name else None
    return _undo(row, "model-undelete", name)


def undo_version(name: str, number: str) -> dict[str, object]:
    """As `undo_model`, of a version."""
    wanted = whole_number(number, 9)
    row = selectors.deleted_versions(name).filter(number=wanted).first() if wanted is not None else None
    return _undo(row, "version-undelete", name, wanted)


def _undo(row: Model | ModelVersion | None, url_name: str, *names: object) -> dict[str, object]:
    if row is None:
        return {}
    return {"undo": row, "undo_until": selectors.kept_until(row.deleted_at), "undo_url": reverse(url_name, args=names)}


@change
def delete_model(request: HttpRequest, name: str) -> HttpResponse:
    """Delete a model; the overview then offers the way back."""
    model = model_or_404(name)
    try:
        deletions.delete_model(actor=actor_of(request), model=model, expected_revision=revision_of(request))
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect("model", name)
    return redirect(f"{reverse('overview')}?{urlencode({'deleted': name})}")


@change
def delete_version(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """Delete a version; the list of versions then offers the way back."""
    row = version_or_404(name, number)
    try:
        deletions.delete_version(actor=actor_of(request), version=row, expected_revision=revision_of(request))
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect("version", name, number)
    return redirect(f"{reverse('model-versions', args=[name])}?{urlencode({'deleted': number})}")


@change
def restore_model(request: HttpRequest, name: str) -> HttpResponse:
    """Bring a deleted model back."""
    row = _model_or_404(name)
    done = _("%(name)s is restored with its versions. It serves nothing until it is loaded.") % {"name": name}
    return perform(
        request, reverse("overview"), done, lambda: deletions.restore_model(actor=actor_of(request), model=row)
    )


@change
def restore_version(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """Bring a deleted version back."""
    row = _version_or_404(name, number)
    done = _("%(version)s is restored as it was. It takes no traffic until it is promoted.") % {"version": row}
    back = reverse("model-versions", args=[name])
    return perform(request, back, done, lambda: deletions.restore_version(actor=actor_of(request), version=row))


@change
def remove_model(request: HttpRequest, name: str) -> HttpResponse:
    """Remove a deleted model for good."""
    row = _model_or_404(name)
    done = _("%(name)s is removed for good.") % {"name": name}
    back = reverse("deleted")
    return perform(request, back, done, lambda: deletions.remove_model(actor=actor_of(request), model=row))


@change
def remove_version(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """Remove a deleted version for good."""
    row = _version_or_404(name, number)
    done = _("%(name)s is removed for good.") % {"name": row}
    back = reverse("deleted")
    return perform(request, back, done, lambda: deletions.remove_version(actor=actor_of(request), version=row))


def _model_or_404(name: str) -> Model:
    row = selectors.deleted_models().filter(name=name).first()
    if row is None:
        raise Http404(_("No deleted model named %(name)s is kept.") % {"name": name})
    return row


def _version_or_404(name: str, number: int) -> ModelVersion:
    row = selectors.deleted_versions(name).filter(number=number).first()
    if row is None:
        raise Http404(_("No deleted version %(number)s of %(name)s is kept.") % {"number": number, "name": name})
    return row
