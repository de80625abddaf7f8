"""What somebody is told whose request was refused or failed: a page, or a problem document for scripts and programs.

Rules: whoever is logged in gets the page inside the site's frame, so that every way on is there; whoever is not, and
whoever meets a fault of the server, gets one that needs neither database nor session. Each names the request, whose id
the log has, too. A fault is logged here, once, whatever becomes of the page: its trace at most each 30 s for each cause
(proxy.core.own_faults), since open pages ask each second. 503 while the database is busy or away (F13, F16).
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import Resolver404
from django.utils.http import escape_leading_slashes, url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from models_admin.dashboard.static_files import StaticFilesMissing
from models_admin.services import page_login
from models_admin.services.problems import CONTENT_TYPE, Problem
from models_admin.services.request_id import HEADER, id_of
from proxy.core.own_faults import OwnFaults

log = logging.getLogger(__name__)

RETRY_AFTER_S = 5
_faults = OwnFaults()


@dataclass(frozen=True, slots=True)
class Failure:
    """One refusal or fault as a person reads it."""

    status: int
    code: str
    title: str
    words: str


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    words = str(exception) or _("Your account may not do this. Ask an administrator.")
    return answer(request, Failure(403, "permission_denied", _("Not allowed"), words))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404. What one of our own views says is shown; the resolver's list of addresses is not."""
    said = "" if isinstance(exception, Resolver404) else str(exception)
    words = said or _("There is nothing at this address. It may have been deleted or renamed.")
    return answer(request, Failure(404, "not_found", _("Not found"), words))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    words = _(
        "The server could not read what was sent, so nothing was changed. Go back, reload the page, and try again."
    )
    if isinstance(exception, DisallowedHost):
        words = _(
            "This server is not meant to be reached under this name. Its operator can allow the name with "
            "DLPROXY_ALLOWED_HOSTS."
        )
    return answer(request, Failure(400, "malformed", _("The request was not understood"), words))


def page_expired(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW: the form was made before the last login, or the browser keeps no cookies."""
    del reason  # it is in the log
    words = _(
        "Nothing was changed. You may have logged in or out in another tab, or your browser refuses cookies. Go "
        "back, reload the page, and try again."
    )
    return answer(request, Failure(403, "page_expired", _("This page has expired"), words))


def method_not_allowed(request: HttpRequest) -> HttpResponse:
    """For an address that takes changes only and was opened as a page, or the other way round."""
    words = _("This address takes changes from a form and shows nothing by itself. Nothing was changed.")
    return answer(request, Failure(405, "method_not_allowed", _("There is no page here"), words))


def logged_out(request: HttpRequest) -> HttpResponse:
    """For a script whose person's login has ended: it says so, and what was typed stays in the page."""
    words = _("Your login has ended, so nothing was changed. Log in again in another tab, then repeat it here.")
    return answer(request, Failure(401, "not_authenticated", _("Log in"), words))


def another_login(request: HttpRequest) -> HttpResponse:
    """For a change from a page that was made for somebody else than who is logged in now."""
    failure = Failure(403, page_login.CODE, _("Another account is logged in"), page_login.words(request))
    return answer(request, failure)


def refused_body(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """A body that was not read (dlproxy_site.body_guard): `detail` is for programs."""
    words = {
        401: _("Log in before sending this much."),
        403: _("Your account may look but not change things. Ask an administrator."),
        503: _away(),
        413: _("What was sent is larger than this address takes, so it was not read. Nothing was changed."),
    }
    if "text/html" not in request.headers.get("Accept", ""):
        return _problem(request, Problem(status, "body_refused", detail))
    title = _("The database does not answer") if status == HTTPStatus.SERVICE_UNAVAILABLE else _("Not accepted")
    failure = Failure(status, "body_refused", title, words.get(status, detail))
    return answer(request, failure, in_frame=status < HTTPStatus.INTERNAL_SERVER_ERROR)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, called while the error is handled. Neither page needs the database."""
    error = sys.exc_info()[1]
    is_database = isinstance(error, OperationalError | InterfaceError)
    _say(request, error, with_trace=not is_database)
    if is_database:
        failure = Failure(503, "database_busy", _("The database does not answer"), _away())
    elif isinstance(error, StaticFilesMissing):
        words = _(
            "The files that pages are made of were never built, or were deleted. Its operator builds them with "
            "script/server, or with manage.py prepare, and starts the server again."
        )
        failure = Failure(500, "static_files_missing", _("The server is not fully set up"), words)
    else:
        words = _(
            "This is a fault of the server, not of what you did. Its log has the reason. Serving models goes on by "
            "itself."
        )
        failure = Failure(500, "internal", _("The server failed"), words)
    try:
        response = answer(request, failure, in_frame=False)
    except Exception as second:
        # The last resort: Django would ask for this page again for each middleware around the first fault.
        log.exception("request %s: the page that says so failed, too", id_of(request), exc_info=second)
        plain = f"{failure.title}\n{failure.words}\n{id_of(request)}\n"
        response = HttpResponse(plain, content_type="text/plain; charset=utf-8", status=failure.status)
    if is_database:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    response._has_been_logged = True  # type: ignore[attr-defined]  # above; Django would do it again, with a trace
    return response


def answer(request: HttpRequest, failure: Failure, *, in_frame: bool = True) -> HttpResponse:
    """The failure for whoever asked: a problem document for scripts and programs, else a page with a way back."""
    if is_for_a_program(request):
        return _problem(request, Problem(failure.status, failure.code, failure.words))
    is_fault = failure.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    user = getattr(request, "user", None) if in_frame else None
    context = {
        "layout": "base.html" if user is not None and user.is_authenticated else "door.html",
        "failure": failure,
        "is_fault": is_fault,
        "request_id": id_of(request),
        "again": request.get_full_path() if is_fault and request.method == "GET" else "",
        "back": came_from(request),
    }
    response = render(request, "failure.html", context, status=failure.status)
    return _never_kept(request, response)


def _problem(request: HttpRequest, problem: Problem) -> HttpResponse:
    body = problem.body(id_of(request))
    return _never_kept(request, JsonResponse(body, status=problem.status, content_type=CONTENT_TYPE))


def _never_kept(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    response.headers[HEADER] = id_of(request)
    response.headers["Cache-Control"] = "no-store"
    return response


def is_for_a_program(request: HttpRequest) -> bool:
    """Whether whoever asked reads JSON: the API's clients, our pages' scripts, what names no HTML. Browsers name it."""
    if request.path.startswith("/api/") or is_for_a_script(request):
        return True
    accepted = request.headers.get("Accept")
    return accepted is not None and "text/html" not in accepted


def is_for_a_script(request: HttpRequest) -> bool:
    """Whether a script of a page asked, or what names JSON: a login page instead of an answer would mislead it."""
    return request.headers.get("HX-Request") == "true" or "json" in request.headers.get("Accept", "")


def came_from(request: HttpRequest) -> str:
    """The address within this site of the page whose form was sent; empty where that is not known, or is this one."""
    referrer = request.headers.get("Referer", "")
    try:
        is_ours = url_has_allowed_host_and_scheme(referrer, {request.get_host()}, require_https=request.is_secure())
    except DisallowedHost:
        return ""
    if not is_ours or request.method in ("GET", "HEAD"):
        return ""
    parts = urlsplit(referrer)
    path = escape_leading_slashes(parts.path)  # `//name/` would be another host
    return f"{path}?{parts.query}" if parts.query else path


def _away() -> str:
    return _(
        "It is busy, away, or its disk is full, so nothing can be shown or changed for the moment. Serving "
        "models goes on by itself. Try again in a while; the server’s log has the reason."
    )


def _say(request: HttpRequest, error: BaseException | None, *, with_trace: bool) -> None:
    """A line for each failed request; the trace of a cause that was said lately is not said again."""
    words = f"request {id_of(request)} failed: {request.method} {request.path}"
    if error is None:
        log.error(words)
    elif with_trace and (line := _faults.line("page", words, error, time.monotonic_ns())):
        log.error(line, exc_info=error)
    else:
        log.error("%s: %s: %s", words, type(error).__name__, " ".join(str(error).split()))
