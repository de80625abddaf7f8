"""API keys over the API: made once, shown once, ended for good."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from api_cast import Caller, Maker
from django.utils import timezone

from models_admin.models import ApiKey, AuditEvent, Model
from models_admin.publishing.snapshot import load_snapshot
from models_admin.services import keys
from models_admin.services.actors import Actor
from models_admin.services.errors import Forbidden

pytestmark = pytest.mark.django_db


def test_a_key_is_made_and_its_secret_shown_once(staff: Caller) -> None:
    made = staff("POST", "/keys", {"name": "app"})
    assert made.status_code == 201
    body = made.json()
    secret = body.pop("secret")
    assert secret.startswith("dlp_")
    assert (body["scope"], body["all_models"], body["state"], body["created_by"]) == (
        "inference",
        True,
        "active",
        "ann",
    )
    key = ApiKey.objects.get()
    assert key.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert made.headers["Location"] == f"/api/v1/keys/{key.pk}"
    assert staff("GET", f"/keys/{key.pk}").json() == body
    for answer in (staff("GET", "/keys"), staff("GET", f"/keys/{key.pk}"), staff("GET", "/audit")):
        assert secret not in answer.content.decode()
        assert key.digest not in answer.content.decode()


def test_a_key_may_be_held_to_some_models(staff: Caller, digits: Model, maker: Maker) -> None:
    maker.model("other")
    body = staff("POST", "/keys", {"name": "app", "models": ["digits"]}).json()
    assert (body["all_models"], body["models"]) == (False, ["digits"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "x", "scope": "root"}, "scope"),
        ({"name": "x", "models": ["nothing"]}, "models"),
        ({"name": "x", "models": "digits"}, "models"),
        ({"name": "x", "models": ["digits"], "all_models": True}, "models"),
        ({"name": "x", "all_models": False}, "models"),
        ({"name": "x", "scope": "admin", "models": ["digits"]}, "all_models"),
        ({"name": "x", "may_upload_code": True}, "may_upload_code"),
        ({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "expires_at": "soon"}, "expires_at"),
        ({"name": "x", "digest": "0" * 64}, "digest"),
        ({"name": "x", "secret": "dlp_mine"}, "secret"),
        ({"name": "x", "created_by": "vera"}, "created_by"),
        ({"name": "x", "tenant": "t" * 65}, "tenant"),
        ({"name": "x", "tenant": 7}, "tenant"),
        ({"name": "x", "requests_per_s": -1}, "requests_per_s"),
        ({"name": "x", "requests_per_s": 1_000_001}, "requests_per_s"),
        ({"name": "x", "requests_per_s": "5"}, "requests_per_s"),
    ],
)
def test_a_bad_field_is_named(body: dict[str, object], field: str, staff: Caller, digits: Model) -> None:
    answer = staff("POST", "/keys", body)
    assert answer.status_code == 400, answer.content
    assert next(iter(answer.json()["errors"])).split("[")[0] == field
    assert not ApiKey.objects.exists()


def test_a_tenant_and_a_rate_reach_the_data_plane(staff: Caller) -> None:
    made = staff("POST", "/keys", {"name": "app", "tenant": "shop", "requests_per_s": 5}).json()
    assert (made["tenant"], made["requests_per_s"]) == ("shop", 5)
    details = AuditEvent.objects.get(action="key.create").details
    assert (details["tenant"], details["requests_per_s"], details["all_models"]) == ("shop", 5, True)
    snapshot = load_snapshot(None)
    assert snapshot is not None
    ((key,), limited) = (snapshot.keys.values(), ("tenant:shop", 5))
    assert (key.tenant, key.requests_per_s) == limited
    plain = staff("POST", "/keys", {"name": "plain"}).json()
    assert (plain["tenant"], plain["requests_per_s"]) == ("", 0)


def test_nobody_gives_a_right_that_they_lack(admin: Caller) -> None:
    answer = admin("POST", "/keys", {"name": "strong", "scope": "admin", "may_upload_code": True})
    assert (answer.status_code, list(answer.json()["errors"])) == (403, ["may_upload_code"])


def test_a_key_that_ends_makes_no_key_that_outlives_it(staff: Caller) -> None:
    end = (timezone.now() + timedelta(days=7)).replace(microsecond=0)
    parent = staff("POST", "/keys", {"name": "ci", "scope": "admin", "expires_at": end.isoformat()}).json()
    robot = Caller(secret=parent["secret"])
    for scope in ("admin", "inference"):
        child = robot("POST", "/keys", {"name": "child", "scope": scope})
        assert (child.status_code, child.json()["expires_at"]) == (201, parent["expires_at"])
        grandchild = Caller(secret=child.json()["secret"])("POST", "/keys", {"name": "grandchild"})
        assert grandchild.status_code == (201 if scope == "admin" else 403)
    assert {key.expires_at for key in ApiKey.objects.all()} == {end}
    sooner = (end - timedelta(days=1)).isoformat()
    assert robot("POST", "/keys", {"name": "sooner", "expires_at": sooner}).status_code == 201
    later = robot("POST", "/keys", {"name": "later", "expires_at": (end + timedelta(seconds=1)).isoformat()})
    assert (later.status_code, list(later.json()["errors"])) == (403, ["expires_at"])
    # A person's own keys end when the person says.
    assert staff("POST", "/keys", {"name": "person's"}).json()["expires_at"] is None


def test_a_revoked_key_stays_in_the_list_and_opens_nothing(staff: Caller) -> None:
    made = staff("POST", "/keys", {"name": "ci", "scope": "admin"}).json()
    robot = Caller(secret=made["secret"])
    assert robot("GET", "/models").status_code == 200
    assert staff("DELETE", f"/keys/{made['id']}").status_code == 204
    assert staff("DELETE", f"/keys/{made['id']}").status_code == 204
    assert robot("GET", "/models").status_code == 401
    assert staff("GET", f"/keys/{made['id']}").json()["state"] == "revoked"
    assert AuditEvent.objects.filter(action="key.revoke").count() == 1


def test_keys_are_filtered_by_state(staff: Caller) -> None:
    for name in ("active", "expired", "revoked"):
        staff("POST", "/keys", {"name": name})
    past = timezone.now() - timedelta(days=1)
    ApiKey.objects.filter(name="expired").update(expires_at=past)
    ApiKey.objects.filter(name="revoked").update(revoked_at=past)
    for state in ("active", "expired", "revoked"):
        found = staff("GET", f"/keys?state={state}").json()["results"]
        assert [(key["name"], key["state"]) for key in found] == [(state, state)]


def test_use_of_a_key_is_remembered_at_most_once_a_minute(admin: Caller, admin_key: tuple[ApiKey, str]) -> None:
    admin("GET", "/models")
    first = ApiKey.objects.get(pk=admin_key[0].pk).last_used_at
    assert first is not None
    admin("GET", "/models")
    assert ApiKey.objects.get(pk=admin_key[0].pk).last_used_at == first


@pytest.fixture
def family(staff: Caller) -> dict[str, ApiKey]:
    """An administration key, one that it made, one that this made, and one of a person's."""
    secret = staff("POST", "/keys", {"name": "ci", "scope": "admin"}).json()["secret"]
    secret = Caller(secret=secret)("POST", "/keys", {"name": "child", "scope": "admin"}).json()["secret"]
    Caller(secret=secret)("POST", "/keys", {"name": "grandchild"})
    staff("POST", "/keys", {"name": "person's"})
    return {key.name: key for key in ApiKey.objects.all()}


def test_a_key_that_was_replaced_is_revoked_alone(staff: Caller, family: dict[str, ApiKey]) -> None:
    listed = {key["name"]: key["made_with"] for key in staff("GET", "/keys").json()["results"]}
    ci, child = family["ci"].pk, family["child"].pk
    assert listed == {"ci": None, "child": ci, "grandchild": child, "person's": None}
    assert keys.made_and_working(timezone.now()) == {ci: 2, child: 1}
    assert staff("DELETE", f"/keys/{ci}").status_code == 204
    states = {key["name"]: key["state"] for key in staff("GET", "/keys").json()["results"]}
    assert states == {"ci": "revoked", "child": "active", "grandchild": "active", "person's": "active"}


def test_a_key_that_leaked_is_revoked_with_all_that_were_made_with_it(staff: Caller, family: dict[str, ApiKey]) -> None:
    ci = family["ci"].pk
    staff("DELETE", f"/keys/{ci}")  # one that is revoked already still leads to those made with it
    assert staff("DELETE", f"/keys/{ci}?with_made=perhaps").status_code == 400
    assert staff("DELETE", f"/keys/{ci}?with_made=true").status_code == 204
    states = {key["name"]: key["state"] for key in staff("GET", "/keys").json()["results"]}
    assert states == {"ci": "revoked", "child": "revoked", "grandchild": "revoked", "person's": "active"}
    assert AuditEvent.objects.filter(action="key.revoke").count() == 3


def made_by(key: ApiKey) -> Actor:
    return Actor(label=f"key:{key.name}", is_admin=True, key_id=key.pk)


def test_a_key_that_is_revoked_while_it_asks_makes_no_key(family: dict[str, ApiKey]) -> None:
    """The door let it in before; the revoke came first to its row."""
    ci = family["ci"]
    keys.revoke_key(actor=made_by(family["person's"]), key=ci, with_made=True)
    with pytest.raises(Forbidden) as refused:
        keys.create_key(actor=made_by(ci), name="too late", scope="admin")
    assert refused.value.code == "key_revoked"
    assert not ApiKey.objects.filter(name="too late").exists()


def test_a_key_that_is_made_just_before_its_maker_is_revoked_is_revoked_with_it(
    family: dict[str, ApiKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The revoke waits for each row's lock; what its holder made meanwhile is among those that end."""
    lock, made = keys.writing.lock, []

    def late(row: ApiKey) -> ApiKey:
        if row.name in ("ci", "grandchild"):
            name = f"late of {row.name}"
            made.append(ApiKey.objects.create(name=name, prefix=name[:16], digest=name, made_with=row))
        return lock(row)

    monkeypatch.setattr(keys.writing, "lock", late)
    assert keys.revoke_key(actor=made_by(family["person's"]), key=family["ci"], with_made=True) == 5
    assert [key.name for key in made] == ["late of ci", "late of grandchild"]
    assert [key.name for key in ApiKey.objects.filter(revoked_at=None)] == ["person's"]
