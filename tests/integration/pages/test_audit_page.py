"""The audit page in words: what was done to what, from what to what, with links and filters."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from models_admin.dashboard.audit_rows import Detail, details_of
from models_admin.models import AuditEvent, Decision, Model
from models_admin.services import keys, models, policies, users, versions
from models_admin.services.actors import Actor
from proxy.core.words import say

pytestmark = pytest.mark.django_db


def text_of(client: Client, url: str) -> str:
    """What a person reads, without markup."""
    response = client.get(url)
    assert response.status_code == 200
    table = response.content.decode().partition("<tbody>")[2].partition("</tbody>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", table.replace("<del>", "[").replace("</del>", "]")))


def test_a_change_of_a_policy_is_told_with_labels_units_and_a_link_to_its_history(
    viewer: Client, digits: Model, actor: Actor
) -> None:
    policies.update_policy(actor=actor, model=digits, cache_max_mib=96, max_queue_delay_ms=7.5)
    html = viewer.get("/audit/?action=policy.update").content.decode()
    assert re.search(r"<del>[\d,]+ MiB</del> → <ins>96 MiB</ins>", html)
    assert re.search(r"Longest wait for company</span> <del>\S+ ms</del> → <ins>7.5 ms</ins>", html)
    assert 'href="/models/digits/policy/history/"' in html


def test_events_are_in_words_and_not_in_code_names(viewer: Client, digits: Model, actor: Actor, bob: User) -> None:
    versions.promote(actor=actor, version=digits.versions.get(number=5))
    users.set_role(actor=actor, user=bob, role="operator")
    key, _ = keys.create_key(actor=actor, name="ci", scope="inference", requests_per_s=1500, tenant="shop")
    text = text_of(viewer, "/audit/")
    assert "Version made the default" in text
    assert "Default version [ 1 ] → 5" in text.replace("[1]", "[ 1 ]").replace("  ", " ")
    assert "Operator: changes models and keys" in text
    assert "Requests a second 1,500" in text
    row = next(part for part in text.split("API key created") if "shop" in part)
    assert f" {key.pk} " not in row.split("As written")[0]


def test_an_api_key_is_found_by_its_name_and_leads_to_it(viewer: Client, digits: Model, actor: Actor) -> None:
    keys.create_key(actor=actor, name="nightly job", scope="inference")
    html = viewer.get("/audit/?object=nightly").content.decode()
    assert 'href="/keys/?name=nightly+job"' in html
    assert "1 event matches" in html


def test_what_is_deleted_is_no_link(viewer: Client, actor: Actor) -> None:
    model = models.create_model(actor=actor, name="gone")
    assert 'href="/models/gone/"' in viewer.get("/audit/").content.decode()
    Model.objects.filter(pk=model.pk).update(deleted_at=AuditEvent.objects.latest("at").at)
    assert 'href="/models/gone/"' not in viewer.get("/audit/").content.decode()


def test_the_filter_lists_actions_in_words_with_code_names_as_values(viewer: Client, digits: Model) -> None:
    html = viewer.get("/audit/?action=model.create&actor=alice").content.decode()
    assert '<option value="model.create" selected>Model created</option>' in html
    assert "?actor=user%3Aalice&amp;action=model.create" in html or "actor=user%3Aalice" in html


def test_a_page_of_events_costs_a_handful_of_queries(
    viewer: Client, digits: Model, actor: Actor, django_assert_max_num_queries: object
) -> None:
    for number in range(30):
        keys.create_key(actor=actor, name=f"key {number}", scope="inference")
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        viewer.get("/audit/")


def test_a_decision_tells_its_reason_and_values() -> None:
    decision = Decision(knob="cache_max_mib", from_value="32", to_value="64")
    decision.put(explanation=say("It would save %(time)s.", time="5 ms"))
    details = {"knob": "cache_max_mib", "to": "64", "reason": "cache_pays", "decision": 7}
    assert details_of("tuning.try", "digits", details, decision) == [
        Detail("Cache size", "64 MiB", "32 MiB"),
        Detail("Reason", "It would save 5 ms."),
    ]


def test_what_older_code_wrote_is_shown_all_the_same(viewer: Client, db: None) -> None:
    AuditEvent.objects.create(
        actor="someone",
        action="thing.was_done",
        object_type="thing",
        object_id="x",
        details={"changes": {"gone_field": [1, 2], "broken": 3}, "before": 1},
    )
    text = text_of(viewer, "/audit/")
    assert "Thing: was done" in text
    assert "gone_field" in text
