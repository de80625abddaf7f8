"""/login/ and /logout/."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import views
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from models_admin.dashboard import first_run, login_limit


class Login(views.LoginView):
    """Log in; after too many wrong passwords 429 with Retry-After, whatever is typed."""

    template_name = "dashboard/login.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Try a password."""
        if login_limit.is_blocked(self._username, self._address):
            return self._refuse()
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """The right one."""
        login_limit.forget(self._username)
        return super().form_valid(form)

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """A wrong one."""
        if not form.has_error("username") and not form.has_error("password"):
            login_limit.note_failure(self._username, self._address)
        return super().form_invalid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Whether to say where the first password is."""
        return super().get_context_data(first_run=first_run.exists(), **kwargs)

    @property
    def _username(self) -> str:
        return self.request.POST.get("username", "")[:254]

    @property
    def _address(self) -> str:
        return self.request.META.get("REMOTE_ADDR") or ""

    def _refuse(self) -> HttpResponse:
        words = _("Too many wrong passwords. Try again in {minutes} minutes.")
        problem = words.format(minutes=login_limit.WINDOW_S // 60)
        context = self.get_context_data(form=AuthenticationForm(self.request), problem=problem)
        response = render(self.request, self.template_name, context, status=429)
        response.headers["Retry-After"] = str(login_limit.WINDOW_S)
        return response


class Logout(views.LogoutView):
    """Log out (POST only); the open live sockets end within seconds."""

    http_method_names = ("post", "options")
