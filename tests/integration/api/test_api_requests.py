"""GET /requests: what it shows, to whom, and what it refuses."""

from __future__ import annotations

import pytest
from api_cast import Caller, FakeRuntime

from models_admin.models import ApiKey
from proxy.core.request_reports import Companion, RequestReport, Sort


def kept(principal_id: str) -> RequestReport:
    return RequestReport(
        number=7,
        request_id="order-1",
        model="digits",
        version=2,
        principal_id=principal_id,
        at_unix_s=1_800_000_000.5,
        status=200,
        total_ms=3.0,
        parts_ms=(("queue", 1.0), ("compute", 2.0)),
        rows=4,
        instance_id="digits/2#3",
        batch_rows=8,
        batch_requests=2,
        companions=(Companion(8, "order-2"),),
    )


def test_a_request_names_its_caller_its_parts_and_its_company(
    viewer: Caller, runtime: FakeRuntime, inference_key: tuple[ApiKey, str]
) -> None:
    runtime.kept = (kept(f"key:{inference_key[0].pk}"),)
    (row,) = viewer("GET", "/requests").json()["results"]
    assert row["caller"] == "key:app"
    assert row["id"] == "order-1"
    assert row["at"] == "2027-01-15T08:00:00.500000Z"
    assert row["parts_ms"] == {"queue": 1.0, "compute": 2.0}
    assert row["companions"] == [{"number": 8, "id": "order-2"}]
    assert (row["batch_requests"], row["instance_id"]) == (2, "digits/2#3")


def test_one_whose_key_is_gone_has_its_id_as_caller(viewer: Caller, runtime: FakeRuntime) -> None:
    runtime.kept = (kept("key:999999"),)
    assert viewer("GET", "/requests").json()["results"][0]["caller"] == "key:999999"


def test_the_parameters_reach_the_data_plane(admin: Caller, runtime: FakeRuntime) -> None:
    assert admin("GET", "/requests?model=digits&sort=slowest&id=ord&status=503").status_code == 200
    assert admin("GET", "/requests?status=error").status_code == 200
    first, second = runtime.queries
    assert (first.model, first.sort, first.text, first.status) == ("digits", Sort.SLOWEST, "ord", 503)
    assert second.only_errors


@pytest.mark.parametrize("query", ["sort=fastest", "status=ok", "status=20", "id=" + "x" * 129, "unknown=1"])
def test_what_cannot_be_asked_is_a_400_that_names_it(admin: Caller, runtime: FakeRuntime, query: str) -> None:
    answer = admin("GET", f"/requests?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["errors"]


def test_keys_for_inference_read_none_and_strangers_neither(
    inference: Caller, stranger: Caller, runtime: FakeRuntime
) -> None:
    assert inference("GET", "/requests").status_code == 403
    assert stranger("GET", "/requests").status_code == 401
    assert not runtime.queries


def test_without_a_data_plane_there_are_none(viewer: Caller) -> None:
    assert viewer("GET", "/requests").json()["results"] == []
