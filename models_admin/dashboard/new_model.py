"""/models/new: a name, then versions."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from models_admin.dashboard.access import actor_of, login_required, staff_only
from models_admin.models.registry import MODEL_NAME_PATTERN
from models_admin.services import models as services
from models_admin.services.errors import ServiceError

# The HTML pattern attribute anchors by itself, and browsers read it with the v flag, where a class escapes its hyphen.
NAME_PATTERN = MODEL_NAME_PATTERN.removeprefix("^").removesuffix("$").replace("_-]", r"_\-]")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@staff_only
def new_model(request: HttpRequest) -> HttpResponse:
    """The form, and creating."""
    name = request.POST.get("name", "").strip()
    description = request.POST.get("description", "").replace("\r\n", "\n")
    error = None
    if request.method == "POST":
        try:
            services.create_model(actor=actor_of(request), name=name, description=description)
        except ServiceError as refused:
            error = refused
        else:
            messages.success(request, _("%(name)s is created. Upload its first version.") % {"name": name})
            return redirect("model-versions", name)
    context = {"name": name, "description": description, "error": error, "name_pattern": NAME_PATTERN}
    return render(request, "dashboard/new_model.html", context, status=error.status if error else 200)
