"""The page of API keys: a long list, what a key made, and models that are chosen twice."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from models_admin.models import ApiKey, Model
from models_admin.services import keys
from models_admin.services.actors import Actor

PAGE = "/keys/"


def words(client: Client, query: str = "") -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", client.get(PAGE + query).content.decode()))


def test_a_long_list_comes_in_pages_and_asks_the_database_no_more(
    viewer: Client, actor: Actor, digits: Model, django_assert_max_num_queries: Any
) -> None:
    for number in range(60):
        keys.create_key(actor=actor, name=f"key{number}", scope="inference", all_models=False, models=[digits])
    with django_assert_max_num_queries(12):
        page = words(viewer)
    assert page.count("dlp_") == 51  # and the example of a call
    assert "Page 1 of 2" in page


def test_the_list_is_narrowed_by_name_and_state_in_the_url(viewer: Client, actor: Actor, digits: Model) -> None:
    for name in ("mobile app", "report"):
        keys.create_key(actor=actor, name=name, scope="inference")
    keys.revoke_key(actor=actor, key=ApiKey.objects.get(name="report"))
    assert "mobile app" in words(viewer, "?name=APP")
    assert "report" not in words(viewer, "?name=APP")
    assert "mobile app" not in words(viewer, "?state=revoked")
    assert "No key matches" in words(viewer, "?state=expired")
    assert "mobile app" in words(viewer, "?state=nonsense")


@pytest.mark.parametrize("with_made", [False, True])
def test_a_key_with_which_keys_were_made_is_revoked_alone_or_with_them(
    staff: Client, viewer: Client, alice: User, digits: Model, with_made: bool
) -> None:
    person = Actor(label="user:ann", user_id=alice.pk)
    parent, _ = keys.create_key(actor=person, name="ci", scope="admin")
    by_key = Actor(label="key:ci", user_id=alice.pk, key_id=parent.pk)
    keys.create_key(actor=by_key, name="child", scope="inference")
    page = staff.get(PAGE).content.decode()
    assert "1 key that was made with it goes on working" in page
    assert "With the 1 made with it" in page
    assert "with key ci" in page
    assert "With the 1 made with it" not in viewer.get(PAGE).content.decode()
    staff.post(f"{PAGE}{parent.pk}/revoke/", {"with_made": "true"} if with_made else {})
    child = ApiKey.objects.get(name="child")
    assert (child.revoked_at is not None) is with_made
    # One that is revoked already still offers to end what it left behind.
    assert ("With the 1 made with it" in staff.get(PAGE).content.decode()) is not with_made


def test_models_that_are_chosen_beside_every_model_are_asked_about(staff: Client, digits: Model) -> None:
    form = {"name": "app", "scope": "inference", "weight": "1", "all_models": "true", "models": "digits"}
    answer = staff.post(f"{PAGE}create/", form)
    assert answer.status_code == 400
    assert "Choose every model or single ones, not both." in answer.content.decode()
    assert not ApiKey.objects.filter(name="app").exists()
