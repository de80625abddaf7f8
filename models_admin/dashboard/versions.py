"""/models/{name}/versions/: uploading, and every version with its state."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from models_admin.dashboard.access import asked, model_or_404, page, whole_number
from models_admin.dashboard.deleted import undo_version
from models_admin.dashboard.model import head
from models_admin.dashboard.paging import page_of
from models_admin.dashboard.roles import roles
from models_admin.dashboard.rollout import rollout_context
from models_admin.dashboard.status import load_status, loaded
from models_admin.dashboard.steps import STEP_LABELS
from models_admin.models import Model, ModelVersion, Rollout
from models_admin.models.registry import VersionState
from models_admin.selectors.deleted import deleted_versions
from models_admin.selectors.uploads import unfinished_uploads
from models_admin.services.defaults import first_awaited
from models_admin.services.rollouts import active_rollout, rollback_target
from proxy import gateway

SIDES = ("inputs", "outputs")
MOVING = frozenset({VersionState.UPLOADED, VersionState.VALIDATING})
PAGE_ROWS = 50
"""Versions on a page. Larger: fewer pages, each slower to make and to read."""


@page
def versions(request: HttpRequest, name: str) -> HttpResponse:
    """The page. Uploads themselves go to the admin API, in pieces."""
    model = model_or_404(name)
    context = {
        **head(model),
        **_rows(request, model),
        **rollout_context(model),
        **undo_version(name, asked(request, "deleted")),
        "deleted_count": deleted_versions(name).count(),
        **_like(model, asked(request, "like")),
        "max_upload_bytes": settings.DLPROXY_MAX_UPLOAD_BYTES,
        "unfinished": unfinished_uploads(f"user:{request.user.pk}", model),
        "step_labels": {name: str(label) for name, label in STEP_LABELS.items()},
    }
    return render(request, "dashboard/versions.html", context)


@page
def versions_part(request: HttpRequest, name: str) -> HttpResponse:
    """The list alone, for htmx while a version is being validated."""
    model = model_or_404(name)
    return render(request, "parts/versions.html", {"model": model, **_rows(request, model)})


def _like(model: Model, number: str) -> dict[str, object]:
    """The version whose declarations the form begins with; nothing where the address names none of this model's."""
    asked_for = whole_number(number, 9)
    like = None if asked_for is None else model.versions.filter(number=asked_for).first()
    if like is None or not like.declared_signature:
        return {"like": like}
    sides = (f'"{side}": {json.dumps(like.declared_signature[side], ensure_ascii=False)}' for side in SIDES)
    return {"like": like, "like_signature": "{" + ",\n ".join(sides) + "}"}


def _rows(request: HttpRequest, model: Model) -> dict[str, object]:
    """A page of the versions; archived ones only when they are asked for. Of the others numbers and states are read."""
    known = list(model.versions.values_list("number", "state"))
    archived = sum(state == VersionState.ARCHIVED for _, state in known)
    numbers = [number for number, _ in known]
    first = model.default_version.number if model.default_version else (numbers or [None])[-1]
    with_archived = asked(request, "archived") == "true"
    report = gateway.latest_report()
    rollout = active_rollout(model)
    rollback = rollback_target(model)
    candidate = rollout and rollout.candidate
    listed = [number for number, state in known if with_archived or state != VersionState.ARCHIVED]
    paged = page_of(request, listed, PAGE_ROWS)
    shown = model.versions.filter(number__in=list(paged.rows)).prefetch_related("labels")
    rows = [
        (version, load_status(version, report, is_candidate=version == candidate), roles(model, version, rollout))
        for version in shown
    ]
    return {
        "rows": rows,
        "paged": paged,
        "standing": _standing(model, known, rollout, rollback),
        "loaded": loaded(model.name, report),
        "waits_for": first_awaited(model),
        "moving": any(state in MOVING for _, state in known),
        "archived_count": archived,
        "numbers": numbers,
        "a": first,
        "b": next((number for number in numbers if number != first), None),
        "with_archived": with_archived,
    }


def _standing(
    model: Model, known: Sequence[tuple[int, str]], rollout: Rollout | None, rollback: ModelVersion | None
) -> str:
    """What the parts around the list depend on: where it changes, they are asked for anew."""
    states = hashlib.blake2b(repr(known).encode(), digest_size=8).hexdigest()
    return f"{model.revision} {model.default_version_id} {states} {rollout and rollout.pk} {rollback and rollback.pk}"
