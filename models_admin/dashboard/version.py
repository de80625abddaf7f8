"""/models/{name}/versions/{n}/: one version with its validation, signature and measurements; and its changes."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from models_admin.dashboard.access import actor_of, change, page, perform, revision_of, version_or_404
from models_admin.dashboard.instances import instances_of
from models_admin.dashboard.roles import roles
from models_admin.dashboard.status import is_moving, load_status, report_of
from models_admin.dashboard.steps import STEP_LABELS
from models_admin.dashboard.versions import MOVING
from models_admin.models import ModelVersion
from models_admin.models.registry import VersionState
from models_admin.services import versions as services
from models_admin.services.defaults import first_awaited
from models_admin.services.retries import try_again
from models_admin.services.rollouts import active_rollout
from proxy import gateway

# What may be done by POST, with the words for when it was done.
ACTIONS = {
    "promote": (
        services.promote,
        gettext_lazy("%(version)s is the default now; calls go there as soon as its instances are ready."),
    ),
    "archive": (services.archive, gettext_lazy("%(version)s is archived. Its file is kept; restore it at any time.")),
    "restore": (services.restore, gettext_lazy("%(version)s is ready again.")),
    "validate": (services.revalidate, gettext_lazy("Validation of %(version)s begins anew.")),
    "retry": (try_again, gettext_lazy("Instances of %(version)s are started anew.")),
}


@page
def version(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """The page."""
    row = version_or_404(name, number)
    report = gateway.latest_report()
    rollout = active_rollout(row.model)
    load = load_status(row, report, is_candidate=rollout is not None and rollout.candidate_id == row.pk)
    held = roles(row.model, row, rollout)
    context = {
        "version": row,
        "model": row.model,
        "is_default": row.model.default_version_id == row.pk,
        "roles": held,
        "standing": f"{row.revision} {row.model.revision} {row.state} {row.keep_loaded} {','.join(held)}",
        "load": load,
        "load_moves": is_moving(load),
        "waits_for": first_awaited(row.model) if row.state == VersionState.READY else None,
        "golden": row.golden_samples.all(),
        "live": report_of(report, name, number),
        "instances": instances_of(report, name, number),
        **_steps(row),
    }
    return render(request, "dashboard/version.html", context)


@page
def steps_part(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """The validation's steps alone, for htmx each second; once final, the whole page is asked for anew."""
    row = version_or_404(name, number)
    response = render(request, "parts/steps.html", {"version": row, "model": row.model, "alone": True, **_steps(row)})
    if row.state not in MOVING:
        response.headers["HX-Refresh"] = "true"
    return response


@change
def act(request: HttpRequest, name: str, number: int, action: str) -> HttpResponse:
    """Promote, archive, restore or validate anew."""
    row = version_or_404(name, number)
    service, done = ACTIONS[action]
    return perform(
        request,
        reverse("version", args=[name, number]),
        done % {"version": row},
        lambda: service(actor=actor_of(request), version=row, expected_revision=revision_of(request)),
    )


@change
def keep_loaded(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """Keep an instance of a version that is not the default, or let it go."""
    row = version_or_404(name, number)
    keep = request.POST.get("keep") == "true"
    done = (
        _("One instance of %(row)s is kept loaded.") % {"row": row} if keep else _("%(row)s is let go.") % {"row": row}
    )
    return perform(
        request,
        reverse("version", args=[name, number]),
        done,
        lambda: services.set_keep_loaded(
            actor=actor_of(request), version=row, keep=keep, expected_revision=revision_of(request)
        ),
    )


@change
def notes(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """What is said of the version."""
    row = version_or_404(name, number)
    text = request.POST.get("notes", "").replace("\r\n", "\n")
    return perform(
        request,
        reverse("version", args=[name, number]),
        _("Notes saved."),
        lambda: services.update_version(
            actor=actor_of(request), version=row, expected_revision=revision_of(request), notes=text
        ),
    )


def _steps(row: ModelVersion) -> dict[str, object]:
    steps = [(STEP_LABELS.get(step.name, step.name.capitalize()), step) for step in row.steps.all()]
    return {"steps": steps, "moving": row.state in MOVING}
