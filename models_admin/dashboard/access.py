"""Who may open a page and who may change things from it; how a service's refusal reaches the person.

Rules: every page needs a login; every change is a POST (CSRF-checked) by a member of staff. A refusal of a service
becomes a message on the page that the person came from: nothing was changed, and the words say what to do. Whose login
has ended comes back, after the next one, to the page and not to the address that its form was sent to.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from models_admin import selectors
from models_admin.dashboard import failures
from models_admin.models import Model, ModelVersion
from models_admin.services import page_login
from models_admin.services.actors import Actor, user_actor
from models_admin.services.errors import ServiceError

View = Callable[..., HttpResponse]


def login_required(view: View) -> View:
    """Ask whoever is not logged in to do so first; a script is told in words, so that its page stays as it is.

    What a page of another login asks for is refused.
    """

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            if page_login.is_of_another(request, with_form=True):
                return failures.another_login(request)
            return view(request, *args, **kwargs)
        if failures.is_for_a_script(request):
            return failures.logged_out(request)
        if request.method in ("GET", "HEAD"):
            return redirect_to_login(request.get_full_path())
        words = _("Your login had ended, so your last change was not made. Repeat it now.")
        messages.warning(request, words, extra_tags="repeat")
        return redirect_to_login(failures.came_from(request) or reverse("overview"))

    return inner


def page(view: View) -> View:
    """A page that is read: login needed, GET only, never kept by caches between people."""
    return never_cache(require_safe(login_required(view)))


def staff_only(view: View) -> View:
    """Refuse people who may only look, with words (403)."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_staff:
            raise PermissionDenied(_("Your account may look but not change things. Ask an administrator."))
        return view(request, *args, **kwargs)

    return inner


def change(view: View) -> View:
    """A change: login, staff, POST."""
    return never_cache(require_POST(login_required(staff_only(view))))


def admin_only(view: View) -> View:
    """Refuse everybody who may not manage accounts, with words (403)."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_superuser:
            raise PermissionDenied(_("Only admins manage accounts. Ask one of them."))
        return view(request, *args, **kwargs)

    return inner


def admin_page(view: View) -> View:
    """A page that only admins read."""
    return page(admin_only(view))


def admin_change(view: View) -> View:
    """A change that only admins make: login, admin, POST."""
    return never_cache(require_POST(login_required(admin_only(view))))


def own_page(view: View) -> View:
    """A form about one's own account: login; GET shows it, POST changes."""
    return never_cache(require_http_methods(["GET", "HEAD", "POST"])(login_required(view)))


def actor_of(request: HttpRequest) -> Actor:
    """The person of this request, as services and the audit log name them."""
    return user_actor(request.user, request.META.get("REMOTE_ADDR"))


def asked(request: HttpRequest, name: str) -> str:
    """What stands behind the `?` under `name`, bounded, and without what no database looks for."""
    return request.GET.get(name, "").replace("\0", "").strip()[:200]


def whole_number(text: str, most_digits: int) -> int | None:
    """The number, 0 or more, that a form or an address gives in at most so many digits; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= most_digits else None


def perform(request: HttpRequest, back: str, done: str, action: Callable[[], object]) -> HttpResponse:
    """Run a service; show `done` or the refusal on the page at `back`."""
    try:
        action()
    except ServiceError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, done)
    return redirect(back)


def model_or_404(name: str) -> Model:
    """The model with its default version, policy and scaling state."""
    try:
        return selectors.model_detail(name)
    except Model.DoesNotExist:
        raise Http404(_("There is no model named %(name)s.") % {"name": name}) from None


def version_or_404(name: str, number: int) -> ModelVersion:
    """The version with its model and steps."""
    try:
        return selectors.version(name, number)
    except ModelVersion.DoesNotExist:
        raise Http404(_absent(name, number)) from None


def _absent(name: str, number: int) -> str:
    values = {"name": name, "number": number}
    if ModelVersion.with_deleted.filter(model__name=name, number=number).exists():
        return _("%(name)s/%(number)s was deleted; under “Recently deleted” it can still be restored.") % values
    return _("%(name)s has no version %(number)s.") % values


def revision_of(request: HttpRequest) -> int | None:
    """The revision that the form was made from, so that two people do not overwrite each other (A11)."""
    text = request.POST.get("revision", "")
    return whole_number(text, 18)
