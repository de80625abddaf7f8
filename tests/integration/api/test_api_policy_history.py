"""A policy's history over the API, and going back to an earlier revision."""

from __future__ import annotations

from typing import Any

import pytest
from api_cast import Caller

from models_admin.models import AuditEvent, Decision, Model, Policy, PolicyRevision
from models_admin.services.policies import EDITABLE_FIELDS, values_of
from proxy.core.words import readable

pytestmark = pytest.mark.django_db


def change(caller: Caller, **fields: Any) -> None:
    assert caller("PATCH", "/models/digits/policy", fields).status_code == 200


def test_each_change_is_kept_newest_first_with_who_and_what(viewer: Caller, admin: Caller, digits: Model) -> None:
    assert viewer("GET", "/models/digits/policy/history").json()["results"] == []
    change(admin, max_batch_rows=16, max_queue_delay_ms=2.5)
    change(admin, max_batch_rows=64)
    rows = viewer("GET", "/models/digits/policy/history").json()["results"]
    assert [(row["revision"], row["actor"]) for row in rows] == [(3, "key:ci"), (2, "key:ci")]
    assert rows[0]["changes"] == {"max_batch_rows": [16, 64]}
    assert rows[1]["changes"] == {"max_batch_rows": [32, 16], "max_queue_delay_ms": [0.0, 2.5]}
    assert viewer("GET", "/models/digits/policy/history?page_size=1&page=2").json()["results"] == rows[1:]
    assert viewer("GET", "/models/nothing/policy/history").status_code == 404


def test_going_back_sets_what_was_then_as_a_new_revision(admin: Caller, digits: Model) -> None:
    change(admin, max_batch_rows=16, preferred_batch_rows=[8, 16])
    change(admin, preferred_batch_rows=[4], cache_ttl_s=60)
    answer = admin("POST", "/models/digits/policy/revert", {"revision": 2})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"4"')
    assert (answer.json()["preferred_batch_rows"], answer.json()["cache_ttl_s"]) == ([8, 16], 0)
    newest = PolicyRevision.objects.first()
    assert newest is not None
    assert newest.changes == {"preferred_batch_rows": [[4], [8, 16]], "cache_ttl_s": [60, 0]}
    assert AuditEvent.objects.filter(action="policy.update").count() == 3
    decision = Decision.objects.get(knob="cache_ttl_s", to_value="0")
    assert decision.explanation == "key:ci went back to the policy's revision 2."
    assert readable(decision.said["explanation"], lambda text: f"[{text}]", "") == f"[{decision.explanation}]"


def test_what_was_before_the_oldest_change_can_be_gone_back_to(admin: Caller, digits: Model) -> None:
    before = values_of(Policy.objects.get())
    change(admin, max_batch_rows=16, max_instances=4)
    assert admin("POST", "/models/digits/policy/revert", {"revision": 1}).status_code == 200
    assert values_of(Policy.objects.get()) == before


def test_going_back_to_the_present_changes_nothing(admin: Caller, digits: Model) -> None:
    change(admin, max_batch_rows=16)
    answer = admin("POST", "/models/digits/policy/revert", {"revision": 2})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    assert PolicyRevision.objects.count() == 1


def test_fields_that_are_no_more_are_left_out_and_those_that_were_not_then_stay(admin: Caller, digits: Model) -> None:
    change(admin, max_batch_rows=16)
    kept = PolicyRevision.objects.get()
    del kept.values["cache_ttl_s"]
    kept.values["once_was"] = 1
    kept.save()
    change(admin, max_batch_rows=64, cache_ttl_s=5)
    assert admin("POST", "/models/digits/policy/revert", {"revision": 2}).status_code == 200
    policy = Policy.objects.get()
    assert (policy.max_batch_rows, policy.cache_ttl_s) == (16, 5)
    assert set(PolicyRevision.objects.first().values) == set(EDITABLE_FIELDS)  # type: ignore[union-attr]


@pytest.mark.parametrize("revision", [5, 2**53])
def test_a_revision_that_is_not_kept_is_named(revision: int, admin: Caller, digits: Model) -> None:
    change(admin, max_batch_rows=16)
    answer = admin("POST", "/models/digits/policy/revert", {"revision": revision})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert str(revision) in answer.json()["detail"]


@pytest.mark.parametrize("revision", [0, -1, 1.5, True, "2", None, 2**53 + 1, 10**400])
def test_a09_a_revision_that_is_no_number_is_refused(revision: Any, staff: Caller, digits: Model) -> None:
    answer = staff("POST", "/models/digits/policy/revert", {"revision": revision})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["revision"])


def test_a11_going_back_from_an_old_read_is_refused(admin: Caller, digits: Model) -> None:
    change(admin, max_batch_rows=16)
    answer = admin("POST", "/models/digits/policy/revert", {"revision": 1}, If_Match='"1"')
    assert answer.status_code == 412
    assert Policy.objects.get().max_batch_rows == 16
