"""A policy's changes on its pages: who and what, the look before going back, going back, undoing a save."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from models_admin.models import Model, Policy, PolicyRevision
from models_admin.services import policies
from models_admin.services.actors import Actor, system_actor

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


@pytest.fixture
def saved(staff: Client, digits: Model) -> Model:
    """Revision 2, by the logged-in operator: a batch of 64."""
    assert save(staff, digits, max_batch_rows="64").headers["Location"] == f"{PAGE}?saved=2"
    return digits


def save(client: Client, model: Model, **typed: str) -> HttpResponse:
    """Send the form of the policy as it is now, with `typed` in it. `revision`: of a form that is older than that."""
    now = Policy.objects.get(model=model)
    form = {name: _typed(getattr(now, name)) for name in policies.EDITABLE_FIELDS if getattr(now, name) is not False}
    return client.post(f"{PAGE}save/", {**form, "revision": str(now.revision), **typed})


def _typed(value: object) -> str:
    return "on" if value is True else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def test_what_was_just_saved_can_be_undone_at_once_by_who_saved_it(
    staff: Client, viewer: Client, saved: Model, actor: Actor
) -> None:
    page = staff.get(f"{PAGE}?saved=2").content.decode()
    assert "Policy saved" in page
    assert f'action="{HISTORY}2/undo/"' in page
    assert "Policy saved" not in viewer.get(f"{PAGE}?saved=2").content.decode()
    for other in ("1", "4", "x", "2\0x"):
        assert "Policy saved" not in staff.get(PAGE, {"saved": other}).content.decode()
    PolicyRevision.objects.update(at=timezone.now() - timedelta(minutes=16))
    assert "Policy saved" not in staff.get(f"{PAGE}?saved=2").content.decode()
    assert "The change is undone." in words(staff.post(f"{HISTORY}2/undo/", follow=True))
    assert Policy.objects.get(model=saved).max_batch_rows == 32


def test_a_save_after_which_tuning_moved_something_else_is_told_so_and_undone_alone(
    staff: Client, saved: Model
) -> None:
    policies.update_policy(actor=system_actor("tuner"), model=saved, cache_max_mib=128)
    page = staff.get(f"{PAGE}?saved=2")
    assert "Policy saved" in words(page)
    assert "Since then, system:tuner changed “Cache size”." in words(page)
    assert "Undo my change" in words(page)
    staff.post(f"{HISTORY}2/undo/")
    policy = Policy.objects.get(model=saved)
    assert (policy.max_batch_rows, policy.cache_max_mib, policy.revision) == (32, 128, 4)


def test_a_save_whose_own_field_was_moved_since_says_why_it_is_not_undone(staff: Client, saved: Model) -> None:
    policies.update_policy(actor=system_actor("tuner"), model=saved, max_batch_rows=16)
    page = staff.get(f"{PAGE}?saved=2")
    assert "cannot be undone as a whole any more: “Largest batch” has another value by now" in words(page)
    assert "/undo/" not in page.content.decode()
    assert "system:tuner set “Largest batch” to 16 rows meanwhile." in words(
        staff.post(f"{HISTORY}2/undo/", follow=True)
    )
    assert Policy.objects.get(model=saved).max_batch_rows == 16


def test_a_form_takes_what_its_person_changed_and_leaves_what_tuning_moved_meanwhile(
    staff: Client, digits: Model
) -> None:
    policies.update_policy(actor=system_actor("tuner"), model=digits, cache_max_mib=128)
    answer = save(staff, digits, revision="1", cache_max_mib="64", max_batch_rows="16")
    assert answer.headers["Location"] == f"{PAGE}?saved=3"
    policy = Policy.objects.get(model=digits)
    assert (policy.max_batch_rows, policy.cache_max_mib) == (16, 128)


def test_a_field_that_both_changed_is_refused_with_who_and_to_what_and_a_second_save_takes_it(
    staff: Client, digits: Model
) -> None:
    policies.update_policy(actor=system_actor("tuner"), model=digits, max_batch_rows=64, cache_max_mib=128)
    answer = save(staff, digits, revision="1", cache_max_mib="64", max_batch_rows="16")
    assert answer.status_code == 409
    assert "system:tuner set “Largest batch” to 64 rows meanwhile. What you typed still stands below" in words(answer)
    page = answer.content.decode()
    assert 'name="revision" value="2"' in page
    assert re.search(r'name="max_batch_rows" value="16"', page)
    assert re.search(r'name="cache_max_mib" value="128"', page)
    assert save(staff, digits, revision="2", max_batch_rows="16").status_code == 302
    assert Policy.objects.get(model=digits).max_batch_rows == 16


def test_a_preview_shows_only_what_its_person_changed(staff: Client, digits: Model) -> None:
    policies.update_policy(actor=system_actor("tuner"), model=digits, cache_max_mib=128)
    form = {name: _typed(getattr(digits.policy, name)) for name in policies.EDITABLE_FIELDS}
    form = {name: text for name, text in form.items() if text != "False"}
    page = words(staff.post(f"{PAGE}preview/", {**form, "revision": "1", "max_batch_rows": "16"}))
    assert "1 change, not saved yet" in page


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


def test_a_mode_that_both_changed_is_refused_and_a_second_save_leaves_the_other_modes_as_they_are_now(
    staff: Client, digits: Model
) -> None:
    tuner = system_actor("tuner")
    policies.update_policy(
        actor=tuner, model=digits, tuning_modes={"placement": "off", "max_batch_rows": "off", "cache_max_mib": "off"}
    )
    policies.update_policy(actor=tuner, model=digits, tuning_modes={"placement": "off", "max_batch_rows": "off"})
    shown = {"tuning_modes.placement": "off", "tuning_modes.max_batch_rows": "off", "tuning_modes.cache_max_mib": "off"}
    answer = save(staff, digits, revision="2", **{**shown, "tuning_modes.placement": "automatic"})
    assert answer.status_code == 409
    page = answer.content.decode()
    chosen = {
        knob: re.search(rf'name="tuning_modes.{knob}".*?value="(\w+)" selected', page)[1]
        for knob in ("placement", "max_batch_rows", "cache_max_mib")
    }
    assert chosen == {"placement": "automatic", "max_batch_rows": "off", "cache_max_mib": "advise"}


@pytest.mark.parametrize("way", ["preview", "save"])
def test_a_form_of_a_revision_that_is_no_longer_kept_can_be_saved_after_a_look(
    staff: Client, changed: Model, way: str
) -> None:
    PolicyRevision.objects.filter(revision__lt=3).delete()
    form = {
        name: text for name in policies.EDITABLE_FIELDS if (text := _typed(getattr(changed.policy, name))) != "False"
    }
    answer = staff.post(f"{PAGE}{way}/", {**form, "revision": "1", "max_batch_rows": "16"})
    assert answer.status_code == 404
    assert "is not kept. What you typed still stands below" in words(answer)
    assert 'name="revision" value="3"' in answer.content.decode()
    assert save(staff, changed, revision="3", max_batch_rows="16").status_code == 302
