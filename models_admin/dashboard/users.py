"""/users/: accounts and their roles, for admins; /account/password/: one's own password."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth import get_user_model, update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from models_admin.dashboard.access import actor_of, admin_change, admin_page, own_page, perform
from models_admin.services import users as services
from models_admin.services.errors import ServiceError
from models_admin.services.keys import working_keys


@admin_page
def users(request: HttpRequest) -> HttpResponse:
    """The list and the form."""
    return render(request, "dashboard/users.html", _context())


@admin_change
def create(request: HttpRequest) -> HttpResponse:
    """Make an account and show its password once."""
    name, role = request.POST.get("name", "").strip(), request.POST.get("role", "")
    return _shown_once(request, lambda: services.create_user(actor=actor_of(request), name=name, role=role))


@admin_change
def new_password(request: HttpRequest, user_id: int) -> HttpResponse:
    """Another password, shown once."""
    user = _user_or_404(user_id)
    return _shown_once(request, lambda: services.new_password(actor=actor_of(request), user=user))


@admin_change
def set_role(request: HttpRequest, user_id: int) -> HttpResponse:
    """Another role."""
    user, role = _user_or_404(user_id), request.POST.get("role", "")
    done = _("{name} has another role from the next call on.").format(name=user.get_username())
    return perform(
        request, reverse("users"), done, lambda: services.set_role(actor=actor_of(request), user=user, role=role)
    )


@admin_change
def set_active(request: HttpRequest, user_id: int) -> HttpResponse:
    """Off or on."""
    user, active = _user_or_404(user_id), request.POST.get("active") == "true"
    words = (
        _("{name} may log in again; its API keys work again.")
        if active
        else _("{name} is switched off; every session has ended, and its API keys are refused.")
    )
    return perform(
        request,
        reverse("users"),
        words.format(name=user.get_username()),
        lambda: services.set_active(actor=actor_of(request), user=user, active=active),
    )


@sensitive_post_parameters()
@own_page
def password(request: HttpRequest) -> HttpResponse:
    """One's own password; this session stays, all others end."""
    form = PasswordChangeForm(request.user, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        user = form.save()
        update_session_auth_hash(request, user)
        services.note_own_password(actor=actor_of(request), user=user)
        messages.success(request, _("Your password is changed; your other sessions have ended."))
        return redirect("overview")
    status = 400 if request.method == "POST" else 200
    return render(request, "dashboard/password.html", {"form": form}, status=status)


def _shown_once(request: HttpRequest, make: Callable[[], tuple[User, str]]) -> HttpResponse:
    try:
        user, secret = make()
    except ServiceError as error:
        context = {**_context(), "error": error, "typed": request.POST}
        return render(request, "dashboard/users.html", context, status=error.status)
    return render(request, "dashboard/users.html", {**_context(), "made": user, "secret": secret}, status=201)


def _context() -> dict[str, object]:
    everyone = get_user_model().objects.order_by("-is_active", "username")
    keys = working_keys(timezone.now())
    rows = [(user, services.role_of(user), keys.get(user.pk, 0)) for user in everyone]
    return {"rows": rows, "roles": services.Role.choices, "short_roles": short_roles()}


def short_roles() -> list[tuple[str, str]]:
    """Roles by their names alone, for a list whose readers know what they mean."""
    return [
        (services.Role.VIEWER.value, _("Viewer")),
        (services.Role.OPERATOR.value, _("Operator")),
        (services.Role.ADMIN.value, _("Admin")),
    ]


def _user_or_404(user_id: int) -> User:
    user = get_user_model().objects.filter(pk=user_id).first()
    if user is None:
        raise Http404(_("There is no such account."))
    return user
