"""Every error of the admin API as a problem document (models_admin.services.problems).

Place: DRF's exception handler. `errors` names each field by its path (`declared_signature.inputs[0].shape`).
Rules: a message never holds a path, a trace or a secret; what nobody foresaw is a 500 with the request's id, and its
trace is in the log under that id.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any

from django.core import exceptions as django_exceptions
from django.db import OperationalError
from django.http import Http404, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import set_rollback

from models_admin.services.errors import ServiceError
from models_admin.services.problems import CONTENT_TYPE, Problem
from proxy.core.errors import ProxyError
from proxy.core.units import NS_PER_S

log = logging.getLogger(__name__)

BUSY_RETRY_S = 1
MAX_ERRORS = 100
MAX_TEXT_CHARACTERS = 300
NOT_AUTHENTICATED = "Send an API key as `Authorization: Bearer dlp_…`, or log in to the dashboard."
INVALID = "The request holds fields that cannot be accepted."


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's hook: the answer for `error`."""
    set_rollback()
    request_id = getattr(context.get("view"), "request_id", "")
    problem = problem_of(error)
    if problem is None:
        log.error("request %s failed", request_id, exc_info=error)
        problem = Problem(500, "internal", f"The server failed; its log has the reason under {request_id}.")
    elif problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request %s was answered %d: %s", request_id, problem.status, error)
    return Response(problem.body(request_id), status=problem.status, headers=problem.headers, content_type=CONTENT_TYPE)


def problem_of(error: Exception) -> Problem | None:
    """The problem that `error` stands for, or None if nobody foresaw it."""
    if isinstance(error, ServiceError):
        return _of_service(error)
    if isinstance(error, ProxyError):
        headers = {}
        if error.retry_after_ns is not None:
            headers["Retry-After"] = str(max(1, -(-error.retry_after_ns // NS_PER_S)))
        return Problem(error.status, error.reason.value, error.message, headers=headers)
    if isinstance(error, exceptions.APIException):
        return _of_rest_framework(error)
    return _of_django(error)


def _of_service(error: ServiceError) -> Problem:
    errors = {error.field: [error.message.removeprefix(f"{error.field}: ")]} if error.field else {}
    return Problem(error.status, error.code, error.message, errors)


def _of_rest_framework(error: exceptions.APIException) -> Problem:
    headers = {}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = error.auth_header
    if getattr(error, "wait", None) is not None:
        headers["Retry-After"] = str(int(error.wait) + 1)
    if isinstance(error, exceptions.ValidationError):
        errors = flatten(error.detail)
        return Problem(error.status_code, "invalid", _first(errors), errors, headers)
    if isinstance(error, exceptions.NotAuthenticated):
        return Problem(error.status_code, error.default_code, NOT_AUTHENTICATED, headers=headers)
    code = error.detail.code if isinstance(error.detail, exceptions.ErrorDetail) else error.default_code
    return Problem(error.status_code, str(code), _short(str(error.detail)), headers=headers)


def _of_django(error: Exception) -> Problem | None:
    if isinstance(error, Http404):
        return Problem(404, "not_found", str(error) or "There is no such thing.")
    if isinstance(error, django_exceptions.PermissionDenied):
        return Problem(403, "permission_denied", "You may not do this.")
    if isinstance(error, django_exceptions.ValidationError):
        errors = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
        errors = {"" if name == django_exceptions.NON_FIELD_ERRORS else name: list(m) for name, m in errors.items()}
        return Problem(400, "invalid", _first(errors), errors)
    if isinstance(error, django_exceptions.RequestDataTooBig):
        return Problem(413, "too_large", "The body is larger than this route takes.")
    if isinstance(error, django_exceptions.TooManyFieldsSent | django_exceptions.TooManyFilesSent):
        return Problem(400, "malformed", "The form has more parts than this route takes.")
    if isinstance(error, MultiPartParserError):
        return Problem(400, "malformed", "The multipart body is malformed.")
    if isinstance(error, django_exceptions.SuspiciousOperation | django_exceptions.BadRequest | UnreadablePostError):
        return Problem(400, "malformed", "The request is malformed or ended early.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Problem(507, "no_space", "The server's disk is full; free space or remove old versions.")
    if isinstance(error, OperationalError):
        busy = "The database is busy or away; try again."
        return Problem(503, "database_busy", busy, headers={"Retry-After": str(BUSY_RETRY_S)})
    return None


def flatten(detail: Any) -> dict[str, list[str]]:
    """DRF's nested error detail as {path: messages}; errors of the whole body stand under the empty path."""
    errors: dict[str, list[str]] = {}
    for path, message in islice(_walk(detail, ""), MAX_ERRORS):
        errors.setdefault(_short(path), []).append(_short(message))
    return errors


def _short(text: str) -> str:
    """Messages repeat what the client sent; an answer is not to grow with it."""
    return text if len(text) <= MAX_TEXT_CHARACTERS else text[: MAX_TEXT_CHARACTERS - 1] + "…"


def _walk(detail: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            if name == api_settings.NON_FIELD_ERRORS_KEY:
                yield from _walk(inner, path)
            elif isinstance(name, int):
                yield from _walk(inner, f"{path}[{name}]")
            else:
                yield from _walk(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(detail, list):
        for position, inner in enumerate(detail):
            nested = isinstance(inner, Mapping | list)
            if nested and inner:
                yield from _walk(inner, f"{path}[{position}]")
            elif not nested:
                yield path, str(inner)
    else:
        yield path, str(detail)


def _first(errors: Mapping[str, list[str]]) -> str:
    """A sentence for people who read `detail` only: the first error with its field."""
    for path, messages in errors.items():
        if messages:
            return f"{path}: {messages[0]}" if path else messages[0]
    return INVALID
