"""Accounts: only admins manage them, one admin always stays, and a right that is taken away is gone at once."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.test import Client

from models_admin.live import sessions
from models_admin.models import AuditEvent
from models_admin.services import keys, users
from models_admin.services.actors import Actor, user_actor
from models_admin.services.errors import Conflict


def words(response: object) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))  # type: ignore[attr-defined]


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_user("olga", password="a long password", is_staff=True))
    return client


@pytest.mark.parametrize(
    ("role", "is_staff", "is_superuser"), [("viewer", False, False), ("operator", True, False), ("admin", True, True)]
)
def test_a_new_account_has_its_role_and_a_password_that_is_shown_once(
    staff: Client, role: str, is_staff: bool, is_superuser: bool
) -> None:
    response = staff.post("/users/create/", {"name": "carol", "role": role})
    assert response.status_code == 201
    assert "no-store" in response.headers["Cache-Control"]
    secret = response.context["secret"]
    assert secret not in staff.get("/users/").content.decode()
    carol = User.objects.get(username="carol")
    assert (carol.is_staff, carol.is_superuser) == (is_staff, is_superuser)
    assert carol.check_password(secret)
    event = AuditEvent.objects.get(action="user.create")
    assert (event.actor, event.object_id, event.details) == ("user:alice", "carol", {"role": role})
    assert secret not in str(event.details)


@pytest.mark.parametrize(
    "form", [{"name": "", "role": "viewer"}, {"name": "bob", "role": "viewer"}, {"name": "x", "role": "god"},
             {"name": "<b>", "role": "viewer"}, {"name": "a\0b", "role": "viewer"}]
)  # fmt: skip
def test_a_bad_account_is_refused_in_words(staff: Client, bob: User, form: dict[str, str]) -> None:
    before = User.objects.count()
    response = staff.post("/users/create/", form)
    assert response.status_code == 400
    assert 'role="alert"' in response.content.decode()
    assert User.objects.count() == before


def test_operators_and_viewers_neither_see_nor_change_accounts(operator: Client, viewer: Client, alice: User) -> None:
    for client in (operator, viewer):
        assert client.get("/users/").status_code == 403
        assert client.post("/users/create/", {"name": "eve", "role": "admin"}).status_code == 403
        assert client.post(f"/users/{alice.pk}/role/", {"role": "viewer"}).status_code == 403
        assert client.post(f"/users/{alice.pk}/active/", {"active": "false"}).status_code == 403
        assert client.post(f"/users/{alice.pk}/password/").status_code == 403
        assert 'href="/users/"' not in client.get("/").content.decode()
    assert not User.objects.filter(username="eve").exists()


def test_nobody_demotes_or_switches_off_themselves(staff: Client, alice: User) -> None:
    for url, form in (
        (f"/users/{alice.pk}/role/", {"role": "viewer"}),
        (f"/users/{alice.pk}/active/", {"active": "false"}),
    ):
        assert "ask another admin" in words(staff.post(url, form))
    alice.refresh_from_db()
    assert alice.is_superuser
    assert alice.is_active


def test_the_last_active_admin_stays(alice: User, bob: User) -> None:
    """Even for an actor who is none of them, such as an admin who was demoted a moment ago."""
    other = Actor("user:gone", user_id=0)
    with pytest.raises(Conflict, match="last active admin"):
        users.set_role(actor=other, user=alice, role="operator")
    with pytest.raises(Conflict, match="last active admin"):
        users.set_active(actor=other, user=alice, active=False)
    users.set_role(actor=user_actor(alice), user=bob, role="admin")
    users.set_active(actor=user_actor(bob), user=alice, active=False)
    with pytest.raises(Conflict, match="last active admin"):
        users.set_role(actor=other, user=bob, role="viewer")


def test_a06_a_demoted_person_changes_nothing_from_the_next_call_on(staff: Client, operator: Client) -> None:
    olga = User.objects.get(username="olga")
    assert operator.post("/models/new", {"name": "one"}).status_code == 302
    staff.post(f"/users/{olga.pk}/role/", {"role": "viewer"})
    assert operator.post("/models/new", {"name": "two"}).status_code == 403
    event = AuditEvent.objects.get(action="user.role")
    assert event.details == {"before": "operator", "after": "viewer"}


def test_the_keys_page_says_what_an_admin_key_of_a_demoted_person_may_really_do(
    staff: Client, operator: Client
) -> None:
    olga = User.objects.get(username="olga")
    actor = Actor("system:test", is_admin=True, may_upload_code=True, user_id=olga.pk)
    keys.create_key(actor=actor, name="robot", scope="admin", may_upload_code=True)
    assert ">Everything<" in staff.get("/keys/").content.decode()  # operators may not upload code, nor may their keys
    olga.user_permissions.add(Permission.objects.get(codename="upload_code"))
    assert "Everything, with code uploads" in staff.get("/keys/").content.decode()
    staff.post(f"/users/{olga.pk}/role/", {"role": "viewer"})
    page = staff.get("/keys/").content.decode()
    assert "Everything" not in page
    assert "Its account may not administer any more." in page


def test_w3_a_switched_off_person_is_logged_out_and_so_is_their_live_socket(
    staff: Client, viewer: Client, bob: User
) -> None:
    session_key = viewer.session.session_key
    assert sessions.identity(session_key) is not None
    staff.post(f"/users/{bob.pk}/active/", {"active": "false"})
    assert viewer.get("/").status_code == 302
    assert sessions.identity(session_key) is None
    staff.post(f"/users/{bob.pk}/active/", {"active": "true"})
    assert User.objects.get(pk=bob.pk).is_active


def test_a_new_password_ends_every_session(staff: Client, viewer: Client, bob: User) -> None:
    assert viewer.get("/").status_code == 200
    response = staff.post(f"/users/{bob.pk}/password/")
    assert viewer.get("/").status_code == 302
    assert User.objects.get(pk=bob.pk).check_password(response.context["secret"])


def test_ones_own_password_is_changed_and_this_session_stays(viewer: Client, bob: User) -> None:
    wrong = {"old_password": "no", "new_password1": "another long one", "new_password2": "another long one"}
    assert viewer.post("/account/password/", wrong).status_code == 400
    assert viewer.post("/account/password/", {**wrong, "old_password": "a long password"}).status_code == 302
    assert viewer.get("/").status_code == 200
    assert User.objects.get(pk=bob.pk).check_password("another long one")
    assert AuditEvent.objects.get(action="user.own_password").actor == "user:bob"


def test_an_account_that_is_not_there_is_a_404(staff: Client) -> None:
    assert staff.post("/users/999999/role/", {"role": "viewer"}).status_code == 404
