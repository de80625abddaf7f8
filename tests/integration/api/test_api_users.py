"""Accounts over the API, by the rules of the page; and what becomes of the keys of an account that is switched off."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from api_cast import Caller
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from models_admin.models import ApiKey, AuditEvent
from models_admin.publishing.snapshot import load_snapshot
from models_admin.services import keys, users
from models_admin.services.actors import user_actor

pytestmark = pytest.mark.django_db


def test_an_account_is_made_changed_switched_off_and_given_a_password(chief: Caller) -> None:
    made = chief("POST", "/users", {"name": "carol", "role": "viewer"})
    assert made.status_code == 201
    url = made.headers["Location"].removeprefix("/api/v1")
    carol = User.objects.get(username="carol")
    assert carol.check_password(made.json()["password"])
    assert "password" not in chief("GET", url).json()
    changed = chief("PATCH", url, {"role": "operator", "active": False})
    assert (changed.json()["role"], changed.json()["active"]) == ("operator", False)
    assert [u["name"] for u in chief("GET", "/users?active=false").json()["results"]] == ["carol"]
    reset = chief("POST", f"{url}/password")
    carol.refresh_from_db()
    assert reset.status_code == 200 and carol.check_password(reset.json()["password"])
    actions = AuditEvent.objects.filter(object_id="carol").order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["user.create", "user.role", "user.deactivate", "user.password"]


def test_wrong_accounts_and_changes_of_oneself_and_of_the_last_admin_are_refused(
    chief: Caller, chief_user: User, viewer_user: User
) -> None:
    for body in ({"name": "vera", "role": "viewer"}, {"name": "x", "role": "god"}, {"name": "<b>", "role": "viewer"},
                 {"name": "x"}, {"name": "x", "role": "admin", "is_superuser": True}):  # fmt: skip
        assert chief("POST", "/users", body).status_code == 400, body
    for body in ({"role": "viewer"}, {"active": False}):
        assert chief("PATCH", f"/users/{chief_user.pk}", body).status_code == 409
    other, _ = users.create_user(actor=user_actor(chief_user), name="dora", role="admin")
    User.objects.filter(pk=chief_user.pk).update(is_superuser=True, is_active=True)
    secret = keys.create_key(actor=user_actor(other), name="theirs", scope="admin")[1]
    by_key = Caller(secret=secret)
    assert by_key("PATCH", f"/users/{other.pk}", {"role": "viewer"}).status_code == 409  # the key acts for its account
    assert by_key("PATCH", f"/users/{viewer_user.pk}", {"role": "operator"}).json()["role"] == "operator"
    assert chief("GET", "/users/99999").status_code == 404


def test_a_list_of_accounts_counts_their_keys_once(
    chief: Caller, staff_user: User, django_assert_max_num_queries: Any
) -> None:
    keys.create_key(actor=user_actor(staff_user), name="ops", scope="admin")
    for number in range(20):
        User.objects.create_user(f"user{number}")
    with django_assert_max_num_queries(8):
        listed = chief("GET", "/users").json()["results"]
    assert {user["name"]: user["working_keys"] for user in listed if user["working_keys"]} == {"ann": 1}


def test_an_operator_s_administration_key_manages_no_accounts(staff_user: User, viewer_user: User) -> None:
    by_key = Caller(secret=keys.create_key(actor=user_actor(staff_user), name="ops", scope="admin")[1])
    assert by_key("GET", "/models").status_code == 200
    assert by_key("GET", "/users").status_code == 403
    assert by_key("PATCH", f"/users/{viewer_user.pk}", {"role": "admin"}).status_code == 403
    made = by_key("POST", "/keys", {"name": "child", "scope": "admin"}).json()
    assert made["created_by"] == "ann"  # what a key makes belongs to its account, and goes with it
    assert Caller(secret=made["secret"])("GET", "/users").status_code == 403


def test_the_keys_of_an_account_that_is_switched_off_stop_and_work_again_when_it_is_on(
    chief: Caller, staff_user: User
) -> None:
    key, secret = keys.create_key(actor=user_actor(staff_user), name="ops", scope="admin")
    nobodys, _ = keys.create_key(actor=user_actor(staff_user), name="old", scope="inference")
    ApiKey.objects.filter(pk=nobodys.pk).update(created_by=None)
    by_key, url = Caller(secret=secret), f"/users/{staff_user.pk}"
    assert chief("GET", url).json()["working_keys"] == 1

    def published() -> set[str]:
        snapshot = load_snapshot(None)
        assert snapshot is not None
        return {one.label for one in snapshot.keys.values()}

    before = load_snapshot(None)
    assert before is not None and published() == {"key:ops", "key:old"}
    chief("PATCH", url, {"active": False})
    assert load_snapshot(before.generation) is not None  # the data plane is told
    assert published() == {"key:old"}
    assert by_key("GET", "/models").status_code == 401
    assert [k["name"] for k in chief("GET", "/keys?state=suspended").json()["results"]] == ["ops"]
    assert [k["name"] for k in chief("GET", "/keys?state=active").json()["results"]] == ["old"]
    assert chief("GET", f"/keys/{key.pk}").json()["state"] == "suspended"
    chief("PATCH", url, {"active": True})
    assert published() == {"key:ops", "key:old"}
    assert by_key("GET", "/models").status_code == 200


def test_an_administration_key_administers_no_longer_than_its_account(chief: Caller, staff_user: User) -> None:
    secret = keys.create_key(actor=user_actor(staff_user), name="ops", scope="admin")[1]
    by_key, url = Caller(secret=secret), f"/users/{staff_user.pk}"
    assert by_key("POST", "/models", {"name": "one"}).status_code == 201
    before = load_snapshot(None)
    assert before is not None and [one.is_admin for one in before.keys.values()] == [True]
    chief("PATCH", url, {"role": "viewer"})
    after = load_snapshot(before.generation)  # the data plane is told
    assert after is not None and [one.is_admin for one in after.keys.values()] == [False]
    assert by_key("POST", "/models", {"name": "two"}).status_code == 403
    assert by_key("POST", "/keys", {"name": "child", "scope": "admin"}).status_code == 403
    chief("PATCH", url, {"role": "operator"})
    assert by_key("POST", "/models", {"name": "two"}).status_code == 201


def test_a_key_uploads_code_no_longer_than_its_account_may(chief: Caller, chief_user: User) -> None:
    owner, _ = users.create_user(actor=user_actor(chief_user), name="dora", role="admin")
    secret = keys.create_key(actor=user_actor(owner), name="theirs", scope="admin", may_upload_code=True)[1]
    by_key = Caller(secret=secret)
    child = {"name": "child", "scope": "admin", "may_upload_code": True}
    assert by_key("POST", "/keys", child).status_code == 201
    chief("PATCH", f"/users/{owner.pk}", {"role": "operator"})
    assert by_key("GET", "/models").status_code == 200
    assert by_key("POST", "/keys", child).status_code == 403
    owner.user_permissions.add(Permission.objects.get(codename="upload_code"))
    assert by_key("POST", "/keys", child).status_code == 201


def test_a_key_that_ends_gives_nobody_what_outlasts_it_and_takes_away_freely(
    chief: Caller, chief_user: User, viewer_user: User, staff_user: User
) -> None:
    soon = timezone.now() + timedelta(hours=1)
    robot = Caller(secret=keys.create_key(actor=user_actor(chief_user), name="ci", scope="admin", expires_at=soon)[1])
    viewer, operator = f"/users/{viewer_user.pk}", f"/users/{staff_user.pk}"
    for method, path, body in (
        ("POST", "/users", {"name": "carol", "role": "viewer"}),
        ("POST", f"{viewer}/password", None),
        ("PATCH", viewer, {"role": "operator"}),
    ):
        refused = robot(method, path, body)
        assert (refused.status_code, refused.json()["code"]) == (403, "would_outlast_the_key"), path
    assert robot("PATCH", operator, {"role": "viewer"}).status_code == 200
    assert robot("PATCH", viewer, {"active": False}).status_code == 200
    assert robot("PATCH", viewer, {"active": True}).status_code == 403
    assert not User.objects.filter(username="carol").exists()
    lasting = Caller(secret=keys.create_key(actor=user_actor(chief_user), name="own", scope="admin")[1])
    assert lasting("POST", "/users", {"name": "carol", "role": "viewer"}).status_code == 201
