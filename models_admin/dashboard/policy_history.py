"""/models/{name}/policy/history/: who changed what of the policy, and going back to how it was."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from models_admin.dashboard.access import actor_of, change, model_or_404, page, revision_of
from models_admin.dashboard.model import head
from models_admin.dashboard.paging import page_of
from models_admin.dashboard.policy import known_changes, rows_of
from models_admin.models import PolicyRevision
from models_admin.services import policies as services
from models_admin.services.errors import Invalid, NotFound, ServiceError

PAGE_ROWS = 20


@page
def history(request: HttpRequest, name: str) -> HttpResponse:
    """Every change, newest first."""
    model = model_or_404(name)
    paged = page_of(request, PolicyRevision.objects.filter(model=model).order_by("-revision"), PAGE_ROWS)
    rows = [(row, rows_of(known_changes(row))) for row in paged.rows]
    oldest = paged.rows[-1].revision if rows and not paged.older else None
    context = {**head(model), "policy": model.policy, "paged": paged, "changes": rows, "oldest": oldest}
    return render(request, "dashboard/policy_history.html", context)


@page
def revision(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """What going back to a revision would change of the present policy; nothing is changed."""
    model = model_or_404(name)
    refused = ""
    try:
        values = {} if number == model.policy.revision else services.values_at(model, number)
        rows = rows_of(services.changes_of(model.policy, values))
    except NotFound as error:
        raise Http404(error.message) from None
    except Invalid as error:
        rows, refused = [], error.message
    context = {**head(model), "policy": model.policy, "number": number, "preview": rows, "refused": refused}
    return render(request, "dashboard/policy_revision.html", context)


@change
def revert(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """Go back to a revision, as a new one."""
    model = model_or_404(name)
    before = model.policy.revision
    try:
        row = services.revert(
            actor=actor_of(request), model=model, revision=number, expected_revision=revision_of(request)
        )
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect("model-policy-history", name)
    if row.revision == before:
        messages.success(request, _("The policy is as it was then already; nothing was changed."))
        return redirect("model-policy-history", name)
    messages.success(request, _("The policy is as it was at revision %(number)s.") % {"number": number})
    return redirect(f"{reverse('model-policy', args=[name])}?saved={row.revision}")
