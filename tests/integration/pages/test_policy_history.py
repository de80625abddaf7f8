"""A policy's changes on its pages: who and what, the look before going back, going back, undoing a save."""

from __future__ import annotations

import re

import pytest
from django.http import HttpResponse
from django.test import Client

from models_admin.models import Model, Policy, PolicyRevision
from models_admin.services import policies
from models_admin.services.actors import Actor

PAGE = "/models/digits/policy/"
HISTORY = f"{PAGE}history/"


def words(response: HttpResponse) -> str:
    text = re.sub(r"<[^>]+>", " ", response.content.decode())
    return re.sub(r"\s+", " ", text)


@pytest.fixture
def changed(digits: Model, actor: Actor) -> Model:
    """Revisions 2 (a batch of 64) and 3 (a cache of 128 MiB)."""
    policies.update_policy(actor=actor, model=digits, max_batch_rows=64)
    policies.update_policy(actor=actor, model=digits, cache_max_mib=128, tuning_modes={"placement": "off"})
    return digits


def test_without_a_change_the_history_says_what_it_will_hold(staff: Client, digits: Model) -> None:
    assert "The policy is as it was made" in words(staff.get(HISTORY))


def test_each_change_has_who_and_what_and_the_way_back(staff: Client, changed: Model) -> None:
    page = words(staff.get(HISTORY))
    assert "user:alice" in page
    assert "Largest batch 32 rows → 64 rows" in page
    assert "Cache size 64 MiB → 128 MiB" in page
    assert "Modes of tuning advise on each → Placement: off" in page
    assert page.count("Go back to this") == 2  # to 2 and to what was before it; 3 is now


def test_a_look_at_a_revision_says_what_would_change_and_changes_nothing(staff: Client, changed: Model) -> None:
    page = words(staff.get(f"{HISTORY}1/"))
    assert "Largest batch 64 rows 32 rows" in page
    assert "Cache size 128 MiB 64 MiB" in page
    assert Policy.objects.get(model=changed).revision == 3
    assert "as it was then already" in words(staff.get(f"{HISTORY}3/"))
    assert staff.get(f"{HISTORY}9/").status_code == 404


def test_going_back_is_a_new_revision(staff: Client, changed: Model) -> None:
    response = staff.post(f"{HISTORY}1/revert/", {"revision": "3"}, follow=True)
    policy = Policy.objects.get(model=changed)
    assert (policy.revision, policy.max_batch_rows, policy.cache_max_mib) == (4, 32, 64)
    assert "as it was at revision 1" in words(response)


def test_a11_going_back_from_an_old_page_is_refused(staff: Client, changed: Model) -> None:
    response = staff.post(f"{HISTORY}1/revert/", {"revision": "2"}, follow=True)
    assert "Someone changed this" in words(response)
    assert Policy.objects.get(model=changed).max_batch_rows == 64


def test_what_was_just_saved_can_be_undone_at_once_and_only_while_it_is_the_newest(
    staff: Client, viewer: Client, changed: Model
) -> None:
    page = staff.get(f"{PAGE}?saved=3").content.decode()
    assert f'action="{HISTORY}2/revert/"' in page
    assert "revert" not in viewer.get(f"{PAGE}?saved=3").content.decode()
    for other in ("2", "4", "x", "3\0x"):
        assert "revert" not in staff.get(PAGE, {"saved": other}).content.decode()
    staff.post(f"{HISTORY}2/revert/", {"revision": "3"})
    policy = Policy.objects.get(model=changed)
    assert (policy.max_batch_rows, policy.cache_max_mib, policy.tuning_modes) == (64, 64, {})


def test_fields_of_another_release_are_not_shown_and_not_taken(staff: Client, changed: Model) -> None:
    PolicyRevision.objects.filter(revision=2).update(changes={"gone": [1, 2]}, values={"gone": 2, "max_batch_rows": 16})
    assert "Fields that this release does not have." in words(staff.get(HISTORY))
    assert "Largest batch 64 rows 16 rows" in words(staff.get(f"{HISTORY}2/"))


def test_a_revision_that_breaks_a_rule_of_today_says_which(staff: Client, changed: Model) -> None:
    PolicyRevision.objects.filter(revision=2).update(values={"max_batch_rows": 0})
    page = words(staff.get(f"{HISTORY}2/"))
    assert "This release cannot go back to it" in page
    assert "Go back to this" not in page


def test_modes_are_saved_from_the_form(staff: Client, digits: Model) -> None:
    sent = {"revision": "1", **{name: str(getattr(digits.policy, name)) for name in policies.EDITABLE_FIELDS}}
    for flag in ("autoscale", "fair_share", "cache_enabled"):
        sent[flag] = "on"
    for switched_off in ("adaptive_limit", "cache_shared", "cache_keep_nan", "cache_second_level"):
        del sent[switched_off]
    sent |= {"preferred_batch_rows": "", "padded_batch_rows": "", "tuning_modes.cache_max_mib": "automatic"}
    staff.post(f"{PAGE}save/", sent)
    assert Policy.objects.get(model=digits).tuning_modes == {"cache_max_mib": "automatic"}
    refused = staff.post(f"{PAGE}save/", {**sent, "revision": "2", "tuning_modes.placement": "<script>"})
    assert refused.status_code == 400
    assert "<script>" not in refused.content.decode().replace("<script src", "")
