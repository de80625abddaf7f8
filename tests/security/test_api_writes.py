"""A3, A5, A8, A11: writes that say too much, come from elsewhere, ask for too much, or come too late."""

from __future__ import annotations

import json
from typing import Any

import pytest
from api_cast import Caller, FakeRuntime
from django.contrib.auth.models import User
from django.test import Client

from models_admin.api.parsers import MAX_JSON_BYTES
from models_admin.models import ApiKey, Model, ModelVersion

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("method", "path", "body", "extra"),
    [
        ("POST", "/models", {"name": "m"}, ["id", "revision", "default_version", "loaded", "owner", "tenant", "live"]),
        ("PATCH", "/models/digits", {}, ["name", "revision", "loaded", "created_at", "is_staff", "__class__"]),
        ("PATCH", "/models/digits/versions/2", {}, ["state", "digest", "sha256", "path", "artifact_id", "signature"]),
        ("PATCH", "/models/digits/policy", {}, ["id", "model", "model_id", "revision", "updated_at"]),
        ("POST", "/models/digits/policy/revert", {"revision": 1}, ["values", "changes", "actor", "model"]),
        ("PUT", "/tuning", {"frozen": True}, ["changed_by", "changed_at", "name"]),
        ("PATCH", "/models/digits/tuning", {"modes": {}}, ["trial", "tried", "cooldown_until", "look", "fence"]),
        ("POST", "/keys", {"name": "k"}, ["digest", "prefix", "created_by", "revoked_at", "last_used_at", "is_staff"]),
        ("PUT", "/models/digits/instances", {"count": 1}, ["fence", "wanted_instances"]),
        ("POST", "/models/digits/load", {}, ["force"]),
        ("POST", "/models/digits/versions/2/promote", {}, ["state"]),
    ],
)
def test_a03_fields_that_are_not_the_callers_to_set_are_refused(
    method: str, path: str, body: dict[str, Any], extra: list[str], staff: Caller, digits: Model
) -> None:
    before = (list(Model.objects.values()), list(ModelVersion.objects.values()), ApiKey.objects.count())
    for name in extra:
        answer = staff(method, path, {**body, name: "x"})
        assert answer.status_code == 400, (name, answer.content)
        assert list(answer.json()["errors"]) == [name]
    assert (list(Model.objects.values()), list(ModelVersion.objects.values()), ApiKey.objects.count()) == before


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1", b"[[]]", b'[{"name": "m"}]'])
def test_a03_a_body_that_is_no_object_is_refused(body: bytes, staff: Caller) -> None:
    assert staff("POST", "/models", body).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"name": "m", "tags": ["\\ud83d\\ud83d"]}',
        b'{"name": "a", "name": "b"}',
        b'{"name": NaN}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"name": ' + b"9" * 10_000 + b"}",
    ],
)
def test_a03_malformed_json_is_refused(body: bytes, staff: Caller) -> None:
    answer = staff("POST", "/models", body)
    assert answer.status_code == 400, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert len(answer.content) < 2_000
    assert not Model.objects.exists()


def test_a03_a_body_over_the_limit_is_refused(staff: Caller) -> None:
    head = b'{"name": "m", "description": "'
    whole = head + b"x" * (MAX_JSON_BYTES - len(head) - 2) + b'"}'
    assert staff("POST", "/models", whole).status_code == 400  # read, and the description is too long
    assert staff("POST", "/models", whole + b" ").status_code == 413


def test_a03_a_method_override_is_ignored(viewer: Caller, digits: Model) -> None:
    answer = viewer("GET", "/models/digits", X_HTTP_Method_Override="DELETE")
    assert answer.status_code == 200
    assert viewer("POST", "/models/digits", X_HTTP_Method_Override="GET").status_code == 403
    assert Model.objects.count() == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/models", {"name": "m"}),
        ("PATCH", "/models/digits", {"description": "x"}),
        ("DELETE", "/models/digits/versions/2", None),
        ("PUT", "/models/digits/instances", {"count": 2}),
        ("POST", "/models/digits/infer", {}),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_a05_a_session_without_the_token_changes_nothing(
    method: str, path: str, body: Any, content_type: str, staff_user: User, digits: Model, runtime: FakeRuntime
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff_user)
    client.cookies["dlproxy_csrf"] = "t" * 32
    sent = json.dumps(body).encode() if body is not None else b""
    for headers in ({}, {"X-CSRFToken": "u" * 32}, {"X-CSRFToken": ""}):
        answer = client.generic(method, f"/api/v1{path}", sent, content_type=content_type, headers=headers)
        assert answer.status_code == 403, answer.content
        assert answer.json()["code"] == "csrf_failed"
    assert (Model.objects.count(), ModelVersion.objects.count(), runtime.asked) == (1, 2, [])


def test_a05_a_token_in_the_form_does_not_count(staff_user: User, digits: Model) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff_user)
    client.cookies["dlproxy_csrf"] = "t" * 32
    answer = client.post("/api/v1/models/digits/versions", {"csrfmiddlewaretoken": "t" * 32, "notes": "x"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://testserver.evil.example", "https://testserver"]
)
def test_a05_a_foreign_origin_is_refused_although_the_token_is_right(origin: str, staff: Caller, digits: Model) -> None:
    assert staff("POST", "/models", {"name": "m"}, Origin=origin).status_code == 403
    assert staff("POST", "/models", {"name": "m"}, Origin="http://testserver").status_code == 201


def test_a05_a_key_needs_no_token_and_lends_none_to_a_session(staff_user: User, admin_key: tuple[ApiKey, str]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff_user)
    assert client.post("/api/v1/models", {"name": "m"}, content_type="application/json").status_code == 403
    by_key = client.post(
        "/api/v1/models",
        {"name": "m"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {admin_key[1]}"},
    )
    assert by_key.status_code == 201


def test_a05_json_that_calls_itself_text_is_refused(staff: Caller) -> None:
    assert staff("POST", "/models", {"name": "m"}, Content_Type="text/plain").status_code == 415


@pytest.mark.parametrize("page_size", ["500", "501", "1000000000", str(2**63), "9" * 400])
def test_a08_a_large_page_is_clamped(page_size: str, viewer: Caller, digits: Model) -> None:
    assert viewer("GET", f"/models?page_size={page_size}").json()["count"] == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("page_size", value) for value in ("0", "-1", "1.5", "x", "", "\u0663", "+1", "1e3", "NaN")],
        *[("page", value) for value in ("0", "-1", "2", str(2**63), "9" * 400, "last", "", "1;drop")],
    ],
)
def test_a08_a_page_that_does_not_exist_is_named(name: str, value: str, viewer: Caller, digits: Model) -> None:
    answer = viewer.client.get("/api/v1/models", {name: value})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [name])


@pytest.mark.parametrize("count", [-1, 0, 65, 10**6, 1.5, "2", True, None, [1], {"count": 1}, 2**63, 10**400])
def test_a09_a_number_of_instances_out_of_bounds_is_refused(count: Any, staff: Caller, digits: Model) -> None:
    answer = staff("PUT", "/models/digits/instances", {"count": count})
    assert answer.status_code == 400, answer.content
    assert list(answer.json()["errors"]) == ["count"]


REVISED = [
    ("PATCH", "/models/digits", {"description": "x"}),
    ("DELETE", "/models/digits", None),
    ("POST", "/models/digits/unload", None),
    ("PATCH", "/models/digits/policy", {"threads_per_instance": 2}),
    ("PATCH", "/models/digits/tuning", {"modes": {"placement": "off"}}),
    ("PATCH", "/models/digits/versions/2", {"notes": "x"}),
    ("DELETE", "/models/digits/versions/2", None),
    ("POST", "/models/digits/versions/2/promote", None),
    ("POST", "/models/digits/versions/2/archive", None),
]


@pytest.mark.parametrize(("method", "path", "body"), REVISED)
@pytest.mark.parametrize("tag", ['"99"', 'W/"1"', '""', '"x", "y"'])
def test_a11_a_change_on_an_old_revision_is_refused(
    tag: str, method: str, path: str, body: Any, staff: Caller, digits: Model
) -> None:
    before = (list(Model.objects.values()), list(ModelVersion.objects.values()))
    answer = staff(method, path, body, If_Match=tag)
    assert answer.status_code == 412, answer.content
    assert answer.json()["code"] == "changed_meanwhile"
    assert (list(Model.objects.values()), list(ModelVersion.objects.values())) == before


@pytest.mark.parametrize(("method", "path", "body"), [r for r in REVISED if r[:2] != ("DELETE", "/models/digits")])
@pytest.mark.parametrize("tag", ['"1"', "*", '"7", "1"', ' "1" '])
def test_a11_a_change_on_the_present_revision_is_made(
    tag: str, method: str, path: str, body: Any, staff: Caller, digits: Model
) -> None:
    assert staff(method, path, body, If_Match=tag).status_code in (200, 204)


@pytest.mark.parametrize("tag", ["1", '"1', '"1 "', "abc", '"1";', "", '"\u00e9"', '"1"' * 500])
def test_a11_a_malformed_tag_is_refused_with_its_name(tag: str, staff: Caller, digits: Model) -> None:
    answer = staff("PATCH", "/models/digits", {"description": "x"}, If_Match=tag)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["If-Match"])


def test_a11_of_two_with_the_same_tag_the_second_is_refused(staff: Caller, admin: Caller, digits: Model) -> None:
    tag = staff("GET", "/models/digits").headers["ETag"]
    assert staff("PATCH", "/models/digits", {"description": "first"}, If_Match=tag).status_code == 200
    assert admin("PATCH", "/models/digits", {"description": "second"}, If_Match=tag).status_code == 412
    assert Model.objects.get().description == "first"


@pytest.mark.django_db(transaction=True)
def test_a11_of_many_at_once_with_the_same_tag_one_succeeds(staff_user: User, digits: Model) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connection

    def change(number: int) -> int:
        try:
            caller = Caller(staff_user)
            return int(caller("PATCH", "/models/digits", {"description": f"{number}"}, If_Match='"1"').status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(change, range(8)))
    assert statuses == [200] + [412] * 7
    assert Model.objects.get().revision == 2
