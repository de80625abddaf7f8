"""A1: every route of the admin API with every method, asked by every kind of caller, does as its policy declares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from api_cast import Caller, FakeRuntime
from django.contrib.auth.models import User
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from models_admin.api.permissions import POLICIES, AdminsOnly, AnyCaller, InferencePolicy, Public, ReadOrStaff
from models_admin.api.urls import urlpatterns
from models_admin.models import ApiKey, Model, Rollout, VersionLabel

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
CALLERS = ("stranger", "viewer", "staff", "inference", "admin", "chief")

CHANGED = (ReadOrStaff, AdminsOnly)
# Route name → policy and the methods that it has. A new route belongs here, or test_a01_every_route_is_listed fails.
ROUTES: dict[str, tuple[type, str]] = {
    "models": (ReadOrStaff, "GET POST"),
    "model": (ReadOrStaff, "GET PATCH DELETE"),
    "model-restore": (ReadOrStaff, "POST"),
    "load": (ReadOrStaff, "POST"),
    "unload": (ReadOrStaff, "POST"),
    "instance-count": (ReadOrStaff, "PUT"),
    "policy": (ReadOrStaff, "GET PATCH"),
    "policy-history": (ReadOrStaff, "GET"),
    "policy-revert": (ReadOrStaff, "POST"),
    "model-tuning": (ReadOrStaff, "GET PATCH"),
    "capacity": (ReadOrStaff, "GET"),
    "cache": (ReadOrStaff, "GET DELETE"),
    "caches": (ReadOrStaff, "DELETE"),
    "infer": (InferencePolicy, "POST"),
    "versions": (ReadOrStaff, "GET POST"),
    "version": (ReadOrStaff, "GET PATCH DELETE"),
    "compare": (ReadOrStaff, "GET"),
    "promote": (ReadOrStaff, "POST"),
    "archive": (ReadOrStaff, "POST"),
    "restore": (ReadOrStaff, "POST"),
    "validate": (ReadOrStaff, "POST"),
    "infer-version": (InferencePolicy, "POST"),
    "labels": (ReadOrStaff, "GET"),
    "label": (ReadOrStaff, "GET PUT DELETE"),
    "rollback": (ReadOrStaff, "POST"),
    "rollouts": (ReadOrStaff, "GET POST"),
    "rollout": (ReadOrStaff, "GET PATCH"),
    "rollout-advance": (ReadOrStaff, "POST"),
    "rollout-hold": (ReadOrStaff, "POST"),
    "rollout-resume": (ReadOrStaff, "POST"),
    "rollout-promote": (ReadOrStaff, "POST"),
    "rollout-abort": (ReadOrStaff, "POST"),
    "rollout-cancel": (ReadOrStaff, "POST"),
    "uploads": (ReadOrStaff, "GET POST OPTIONS"),
    "upload": (ReadOrStaff, "GET PATCH DELETE OPTIONS"),
    "infer-label": (InferencePolicy, "POST"),
    "golden": (ReadOrStaff, "GET POST"),
    "golden-record": (ReadOrStaff, "POST"),
    "golden-sample": (ReadOrStaff, "DELETE"),
    "keys": (ReadOrStaff, "GET POST"),
    "key": (ReadOrStaff, "GET DELETE"),
    "users": (AdminsOnly, "GET POST"),
    "user": (AdminsOnly, "GET PATCH"),
    "user-password": (AdminsOnly, "POST"),
    "instances": (ReadOrStaff, "GET"),
    "instance-exits": (ReadOrStaff, "GET"),
    "instance-log": (ReadOrStaff, "GET"),
    "instance-restart": (ReadOrStaff, "POST"),
    "instance-drain": (ReadOrStaff, "POST"),
    "requests": (ReadOrStaff, "GET"),
    "metric-history": (ReadOrStaff, "GET"),
    "machine-history": (ReadOrStaff, "GET"),
    "tuning": (ReadOrStaff, "GET PUT"),
    "decisions": (ReadOrStaff, "GET"),
    "decision-apply": (ReadOrStaff, "POST"),
    "decision-dismiss": (ReadOrStaff, "POST"),
    "decision-undo": (ReadOrStaff, "POST"),
    "audit": (ReadOrStaff, "GET"),
    "audit-export": (ReadOrStaff, "GET"),
    "system": (ReadOrStaff, "GET"),
    "nodes": (ReadOrStaff, "GET"),
    "schema": (AnyCaller, "GET"),
    "docs": (AnyCaller, "GET"),
    "unknown": (Public, ""),
}
PATHS = {
    "unknown": "/nothing/here",
    "docs": "/docs/",
    "schema": "/schema",
    "compare": "/models/digits/versions/compare?a=1&b=2",
    "capacity": "/models/digits/capacity?rate_per_s=10",
}


def every_pattern(patterns: list[Any]) -> Iterator[URLPattern]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from every_pattern(pattern.url_patterns)
        else:
            yield pattern


def path_of(name: str, key_id: int, rollout_id: int, user_id: int) -> str:
    if name in PATHS:
        return PATHS[name]
    pattern = next(p for p in urlpatterns if p.name == name)
    route = str(pattern.pattern)
    for placeholder, value in (
        ("<model:name>", "digits"),
        ("<number:number>", "2"),
        ("<number:key_id>", str(key_id)),
        ("<number:rollout_id>", str(rollout_id)),
        ("<number:user_id>", str(user_id)),
        ("<number:sample_id>", "1"),
        ("<number:decision_id>", "1"),
        ("<label:label>", "fast"),
        ("<uuid:upload_id>", "00000000-0000-0000-0000-000000000001"),
    ):
        route = route.replace(placeholder, value)
    return "/" + route


def test_a01_every_route_is_listed_with_its_policy() -> None:
    assert {pattern.name for pattern in every_pattern(urlpatterns)} == set(ROUTES)
    for pattern in every_pattern(urlpatterns):
        view = pattern.callback.view_class
        assert view.permission_classes == (ROUTES[pattern.name][0],), pattern.name
        assert "permission_classes" in vars(view), f"{view.__name__} inherits its policy instead of declaring it"
        assert view.permission_classes[0] in POLICIES


def test_a01_the_site_has_no_other_route_under_the_prefix() -> None:
    prefixes = [str(entry.pattern) for entry in get_resolver().url_patterns]
    assert prefixes.count("api/v1/") == 1
    assert not [prefix for prefix in prefixes if prefix.startswith("api") and prefix != "api/v1/"]


def rollout_of(digits: Model) -> Rollout:
    """A rollout of version 2, which has the label `fast`, too."""
    second = digits.versions.get(number=2)
    VersionLabel.objects.create(model=digits, version=second, name="fast")
    steps = [{"weight_percent": 5, "hold_s": 60}]
    return Rollout.objects.create(model=digits, candidate=second, steps=steps, step_started_at=timezone.now())


def expected(policy: type, caller: str, method: str, *, exists: bool) -> set[int] | str:
    """The statuses that the policy allows, or "answer" where the right is there and the method exists."""
    if policy is Public:
        return {404}
    if caller == "stranger":
        return {401}
    right = True
    if policy is ReadOrStaff:
        right = caller in ("staff", "admin", "chief") or (caller == "viewer" and method in ("GET", "HEAD", "OPTIONS"))
    if policy is AdminsOnly:
        right = caller == "chief"
    if not right:
        return {403}
    return "answer" if exists else {405}


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("route", sorted(ROUTES))
def test_a01_route_matrix(
    route: str, request: pytest.FixtureRequest, runtime: FakeRuntime, digits: Model, viewer_user: User
) -> None:
    callers: dict[str, Caller] = {name: request.getfixturevalue(name) for name in CALLERS}
    policy, methods = ROUTES[route]
    path = path_of(route, ApiKey.objects.get(name="app").pk, rollout_of(digits).pk, viewer_user.pk)
    for method in METHODS:
        has = method in methods.split() or (method == "HEAD" and "GET" in methods.split())
        for name, caller in callers.items():
            if has and method not in ("GET", "HEAD") and name in ("staff", "admin", "chief") and policy in CHANGED:
                continue  # the right is there: what the change does is tested in tests/integration/api
            status = caller(method, path).status_code
            wanted = expected(policy, name, method, exists=has)
            if route == "docs":
                wanted = docs_wanted(name, wanted)
            if route == "upload" and wanted == "answer" and method != "OPTIONS":
                wanted = {404, 412}  # an upload is its caller's alone, and HEAD names the version of its protocol
            if wanted == "answer":
                assert status in (200, 204), (route, method, name, status)
            else:
                assert status in wanted, (route, method, name, status, wanted)


def docs_wanted(caller: str, wanted: set[int] | str) -> set[int] | str:
    """The page of the documentation is for browsers: no keys, and strangers are sent to log in."""
    if caller in ("stranger", "inference", "admin"):
        return {302, 405} if wanted != "answer" else {302}
    return wanted


@pytest.mark.django_db
@pytest.mark.parametrize("change", ["revoked_at", "expires_at"])
def test_a01_a_key_that_has_ended_opens_nothing(change: str, admin: Caller, admin_key: tuple[ApiKey, str]) -> None:
    assert admin("GET", "/models").status_code == 200
    ApiKey.objects.filter(pk=admin_key[0].pk).update(**{change: timezone.now()})
    answer = admin("GET", "/models")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="dlproxy"'


@pytest.mark.django_db
@pytest.mark.parametrize("secret", ["", "x", "dlp_" + "a" * 43, "dlp_\u00e9", "a b c", "\x00", "x" * 9_000])
def test_a01_unknown_keys_get_the_same_words(secret: str, stranger: Caller) -> None:
    answer = stranger("GET", "/models", Authorization=f"Bearer {secret}")
    assert answer.status_code == 401
    assert answer.json()["detail"] == "This API key is unknown, expired or revoked."


@pytest.mark.django_db
def test_a01_a_bad_key_does_not_fall_back_to_the_session(staff: Caller) -> None:
    assert staff("GET", "/models", Authorization="Bearer dlp_no").status_code == 401


@pytest.mark.django_db
def test_a06_a_right_that_was_taken_away_is_gone_with_the_next_call(staff: Caller, staff_user: Any) -> None:
    assert staff("POST", "/models", {"name": "one"}).status_code == 201
    staff_user.is_staff = False
    staff_user.save()
    assert staff("POST", "/models", {"name": "two"}).status_code == 403
    staff_user.is_active = False
    staff_user.save()
    assert staff("GET", "/models").status_code == 401
