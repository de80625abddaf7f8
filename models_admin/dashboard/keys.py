"""/keys/: API keys; `?state=` and `?name=` narrow. A new secret is in the answer to its creation and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime, time

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _

from models_admin import selectors
from models_admin.dashboard.access import actor_of, asked, change, page, perform, whole_number
from models_admin.dashboard.paging import page_of
from models_admin.models import ApiKey, Model
from models_admin.models.access import KeyScope
from models_admin.services import keys as services
from models_admin.services.errors import Invalid, ServiceError

PAGE_ROWS = 50


@page
def keys(request: HttpRequest) -> HttpResponse:
    """The list, and for staff the form."""
    return render(request, "dashboard/keys.html", _context(request))


@change
def create(request: HttpRequest) -> HttpResponse:
    """Make a key and show it once; the answer is kept by no cache (`change` sees to it)."""
    try:
        key, secret = services.create_key(
            actor=actor_of(request),
            name=request.POST.get("name", "").strip(),
            scope=request.POST.get("scope", ""),
            all_models=request.POST.get("all_models") == "true",
            models=_models(request),
            may_upload_code=request.POST.get("may_upload_code") == "on",
            expires_at=_expiry(request.POST.get("expires_at", "")),
            weight=_weight(request.POST.get("weight", "1")),
            tenant=request.POST.get("tenant", "").strip(),
            requests_per_s=_rate(request.POST.get("requests_per_s", "")),
        )
    except ServiceError as error:
        return render(request, "dashboard/keys.html", {**_context(request), "error": error}, status=error.status)
    context = {**_context(request), "created": key, "secret": secret}
    return render(request, "dashboard/keys.html", context, status=201)


@change
def revoke(request: HttpRequest, key_id: int) -> HttpResponse:
    """End a key for good."""
    key = ApiKey.objects.filter(pk=key_id).first()
    if key is None:
        raise Http404(_("There is no such key."))
    with_made = request.POST.get("with_made") == "true"
    words = (
        _("%(name)s and the keys made with it are revoked; calls with them are refused from now on.")
        if with_made
        else _("%(name)s is revoked; calls with it are refused from now on.")
    )
    return perform(
        request,
        reverse("keys"),
        words % {"name": key.name},
        lambda: services.revoke_key(actor=actor_of(request), key=key, with_made=with_made),
    )


def _context(request: HttpRequest) -> dict[str, object]:
    now = timezone.now()
    chosen = {"name": asked(request, "name"), "state": asked(request, "state")}
    known = selectors.keys().filter(name__icontains=chosen["name"])
    if chosen["state"] in services.KeyState:
        known = known.filter(services.in_state(chosen["state"], now))
    paged, made = page_of(request, known, PAGE_ROWS), services.made_and_working(now)
    return {
        "keys": [
            (key, services.state_of(key, now), services.gives_code(key), made.get(key.pk, 0)) for key in paged.rows
        ],
        "paged": paged,
        "chosen": chosen,
        "is_filtered": any(chosen.values()),
        "states": services.KeyState.choices,
        "scopes": KeyScope.choices,
        "models": Model.objects.order_by("name"),
        "typed": request.POST,
        "typed_models": request.POST.getlist("models"),
        "may_give_code": actor_of(request).may_upload_code,
    }


def _models(request: HttpRequest) -> list[Model]:
    if request.POST.get("all_models") == "true":
        if request.POST.getlist("models"):
            raise Invalid(_("Choose every model or single ones, not both."), field="models")
        return []
    chosen = set(request.POST.getlist("models"))
    return [model for model in Model.objects.all() if model.name in chosen]


def _weight(text: str) -> int:
    """The key's share; its bounds are the table's."""
    weight = whole_number(text, 4)
    if weight is None:
        raise Invalid(_("Give the weight as a whole number from 1 to 100."), field="weight")
    return weight


def _rate(text: str) -> int:
    """Requests a second; its bounds are the table's."""
    if not text:
        return 0
    rate = whole_number(text, 8)
    if rate is None:
        raise Invalid(_("Give the rate as a whole number from 0 to 1 000 000; 0 is no limit."), field="requests_per_s")
    return rate


def _expiry(text: str) -> datetime | None:
    """The end of the chosen day, UTC."""
    if not text:
        return None
    try:
        day = parse_date(text)
    except ValueError:
        day = None
    if day is None:
        raise Invalid(_("Give the expiry as a date, such as 2027-01-31."), field="expires_at")
    return datetime.combine(day, time(23, 59, 59), UTC)
