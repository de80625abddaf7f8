"""Errors of the API: one shape, whatever went wrong."""

from __future__ import annotations

import errno
import logging

import pytest
from api_cast import Caller
from django.core import exceptions as django_exceptions
from django.db import OperationalError
from django.http import Http404
from rest_framework import exceptions

from models_admin.api.problems import flatten, problem_of
from models_admin.models import Model
from models_admin.services import errors as services
from models_admin.services import models as model_services
from proxy.core import errors as proxy_errors


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (services.Invalid("m", field="name"), 400, "invalid"),
        (services.Conflict("m", code="in_use"), 409, "in_use"),
        (services.PreconditionFailed("m"), 412, "changed_meanwhile"),
        (services.NoSpace("m"), 507, "no_space"),
        (proxy_errors.NotReady(proxy_errors.Reason.NOT_READY, "m", 1_500_000_000), 503, "not_ready"),
        (exceptions.NotFound(), 404, "not_found"),
        (exceptions.Throttled(wait=4.2), 429, "throttled"),
        (Http404(), 404, "not_found"),
        (django_exceptions.PermissionDenied(), 403, "permission_denied"),
        (django_exceptions.RequestDataTooBig(), 413, "too_large"),
        (django_exceptions.SuspiciousFileOperation(), 400, "malformed"),
        (django_exceptions.ValidationError({"name": "m"}), 400, "invalid"),
        (OSError(errno.ENOSPC, "x"), 507, "no_space"),
        (OperationalError("database is locked"), 503, "database_busy"),
    ],
)
def test_each_kind_of_error_has_its_status_and_code(error: Exception, status: int, code: str) -> None:
    problem = problem_of(error)
    assert problem is not None
    assert (problem.status, problem.code) == (status, code)
    body = problem.body("r1")
    assert body["type"] == f"urn:dlproxy:problem:{code}"
    assert body["request_id"] == "r1"
    assert body["title"]


def test_retry_hints_are_whole_seconds_rounded_up() -> None:
    late = problem_of(proxy_errors.Rejected(proxy_errors.Reason.QUEUE_FULL, "m", 1_000_000_001))
    assert late is not None
    assert late.headers == {"Retry-After": "2"}


@pytest.mark.parametrize("error", [ValueError("secret"), KeyError("x"), OSError(errno.EACCES, "/secret/path")])
def test_what_nobody_foresaw_has_no_problem(error: Exception) -> None:
    assert problem_of(error) is None


def test_errors_are_named_by_path() -> None:
    detail = {"a": {"b": ["one", {"c": ["two"]}]}, "list": {3: ["three"]}, "non_field_errors": ["four"]}
    assert flatten(detail) == {"a.b": ["one"], "a.b[1].c": ["two"], "list[3]": ["three"], "": ["four"]}


def test_errors_do_not_grow_with_the_request() -> None:
    detail = {f"{n}" * 500: ["x" * 10_000] for n in range(1_000)}
    assert len(flatten(detail)) <= 100
    assert all(len(path) <= 300 and len(m[0]) <= 300 for path, m in flatten(detail).items())


@pytest.mark.django_db
def test_a_fault_of_ours_is_a_500_with_an_id_and_the_trace_only_in_the_log(
    staff: Caller, digits: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("/secret/path and a password")

    monkeypatch.setattr(model_services, "update_model", broken)
    with caplog.at_level(logging.ERROR):
        answer = staff("PATCH", "/models/digits", {"description": "x"})
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "secret" not in answer.content.decode()
    request_id = answer.json()["request_id"]
    assert answer.headers["X-Request-Id"] == request_id
    record = next(r for r in caplog.records if request_id in r.getMessage())
    assert record.exc_info is not None


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/nothing", "/models/", "/models/digits/", "/models/a%2Fb", "/keys/0"])
def test_an_unknown_route_is_a_problem_too(path: str, stranger: Caller) -> None:
    answer = stranger("GET", path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "unknown_route"


@pytest.mark.django_db
@pytest.mark.parametrize("number", ["0", "01", "1.0", "9999999999", "-1", "%31%00"])
def test_a_version_number_out_of_range_is_no_route(number: str, staff: Caller, digits: Model) -> None:
    assert staff("GET", f"/models/digits/versions/{number}").status_code == 404


@pytest.mark.django_db
def test_answers_are_not_to_be_stored(viewer: Caller) -> None:
    answer = viewer("GET", "/models")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.django_db
def test_a_client_that_accepts_no_json_is_told_so(viewer: Caller) -> None:
    answer = viewer("GET", "/models", Accept="text/csv")
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
