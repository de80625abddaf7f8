"""A model's policy over the API: bounds, types, rules that span fields."""

from __future__ import annotations

from typing import Any

import pytest
from api_cast import Caller

from models_admin.models import AuditEvent, Model, Policy, ScalingState

pytestmark = pytest.mark.django_db


def test_the_policy_is_read_with_its_revision(viewer: Caller, digits: Model) -> None:
    answer = viewer("GET", "/models/digits/policy")
    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"1"'
    assert answer.json()["max_batch_rows"] == 32
    assert "model" not in answer.json()


def test_some_fields_change_and_the_rest_stay(admin: Caller, digits: Model) -> None:
    answer = admin("PATCH", "/models/digits/policy", {"max_queue_delay_ms": 2.5, "autoscale": False})
    assert answer.status_code == 200
    assert (answer.json()["max_queue_delay_ms"], answer.json()["autoscale"]) == (2.5, False)
    assert answer.headers["ETag"] == '"2"'
    assert Policy.objects.get(model=digits).max_batch_rows == 32
    assert AuditEvent.objects.get(action="policy.update").details["changes"]["autoscale"] == [True, False]


def test_a_new_bound_moves_the_wanted_number_of_instances(admin: Caller, digits: Model) -> None:
    assert admin("PATCH", "/models/digits/policy", {"min_instances": 2}).status_code == 200
    assert ScalingState.objects.get(model=digits).wanted_instances == 2


BAD: list[tuple[str, Any]] = [
    ("max_batch_rows", 0),
    ("max_batch_rows", 4_097),
    ("max_batch_rows", 1.0),
    ("max_batch_rows", "32"),
    ("max_batch_rows", True),
    ("max_batch_rows", None),
    ("max_batch_rows", [1]),
    ("min_instances", -1),
    ("min_instances", 10**6),
    ("max_instances", 0),
    ("max_queue_requests", 2**63),
    ("max_queue_requests", 10**400),
    ("default_timeout_ms", 0),
    ("max_queue_delay_ms", -0.001),
    ("max_queue_delay_ms", 1_000.001),
    ("max_queue_delay_ms", "NaN"),
    ("max_queue_delay_ms", False),
    ("cache_ttl_s", -1),
    ("cache_enabled", "yes"),
    ("cache_enabled", 1),
    ("placement", "sticky"),
    ("placement", 7),
    ("target_utilisation_percent", 96),
    ("revision", 9),
    ("model", "other"),
    ("id", 1),
    ("nonsense", 1),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_a09_a_value_out_of_bounds_is_refused_with_its_field(
    field: str, value: Any, staff: Caller, digits: Model
) -> None:
    before = Policy.objects.filter(model=digits).values().get()
    answer = staff("PATCH", "/models/digits/policy", {field: value})
    assert answer.status_code == 400, answer.content
    assert list(answer.json()["errors"]) == [field]
    assert Policy.objects.filter(model=digits).values().get() == before


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"9" * 5_000])
def test_a09_a_number_that_is_not_finite_is_refused(word: bytes, staff: Caller, digits: Model) -> None:
    answer = staff("PATCH", "/models/digits/policy", b'{"max_queue_delay_ms": ' + word + b"}")
    assert answer.status_code == 400, answer.content
    assert b"set_int_max_str_digits" not in answer.content


def test_a09_rules_that_span_fields_hold_over_what_is_kept(staff: Caller, digits: Model) -> None:
    answer = staff("PATCH", "/models/digits/policy", {"min_instances": 5})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["min_instances"])
    both = staff("PATCH", "/models/digits/policy", {"min_instances": 5, "max_instances": 6})
    assert both.status_code == 200


@pytest.mark.parametrize(
    ("field", "edge"),
    [("max_batch_rows", 1), ("max_batch_rows", 4_096), ("cache_ttl_s", 0), ("max_queue_delay_ms", 1_000)],
)
def test_a09_the_bounds_themselves_are_allowed(field: str, edge: float, staff: Caller, digits: Model) -> None:
    answer = staff("PATCH", "/models/digits/policy", {field: edge})
    assert (answer.status_code, answer.json()[field]) == (200, edge)
