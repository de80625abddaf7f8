"""Models over the API: make, read, describe, load, unload, count instances, delete."""

from __future__ import annotations

import pytest
from api_cast import Caller, FakeRuntime, Maker

from models_admin.models import AuditEvent, Decision, Model, ScalingState

pytestmark = pytest.mark.django_db


def test_a_model_is_made_and_found_at_its_location(staff: Caller) -> None:
    made = staff("POST", "/models", {"name": "digits", "description": "Ten classes."})
    assert made.status_code == 201
    assert made.headers["Location"] == "/api/v1/models/digits"
    assert made.headers["ETag"] == '"1"'
    read = staff("GET", "/models/digits")
    assert read.json() == made.json()
    assert read.json() | {"created_at": "", "updated_at": ""} == {
        "name": "digits",
        "description": "Ten classes.",
        "loaded": True,
        "default_version": None,
        "version_count": 0,
        "wanted_instances": 1,
        "live": None,
        "revision": 1,
        "created_at": "",
        "updated_at": "",
        "deleted_at": None,
        "deleted_by": "",
        "kept_until": None,
        "artifact_bytes": None,
    }
    assert AuditEvent.objects.get(action="model.create").actor == "user:ann"


def test_a_name_is_given_once(staff: Caller, digits: Model) -> None:
    answer = staff("POST", "/models", {"name": "digits"})
    assert answer.status_code == 409
    assert answer.json()["code"] == "name_taken"
    assert answer.json()["errors"] == {"name": ["A model named digits exists already."]}


@pytest.mark.parametrize(
    "name", ["", " digits", "../up", "a/b", "x" * 129, "-a", "naïve", "a\u0000b", 5, None, [], "a\n"]
)
def test_a_bad_name_is_refused_with_its_field(name: object, staff: Caller) -> None:
    answer = staff("POST", "/models", {"name": name})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["name"]
    assert not Model.objects.exists()


def test_live_state_comes_from_the_data_plane(viewer: Caller, digits: Model, runtime: FakeRuntime) -> None:
    live = viewer("GET", "/models/digits").json()["live"]
    assert (live["state"], live["ready_instances"], live["wanted_instances"]) == ("ready", 1, 2)
    assert live["last_second"]["requests"] == 5
    assert live["last_second"]["p95_ms"] is None
    assert live["sandbox"] == {"seccomp": "on"}
    listed = viewer("GET", "/models").json()["results"][0]
    assert listed["live"] == live
    assert viewer("GET", "/models/digits/versions/1").json()["live"]["state"] == "ready"
    assert viewer("GET", "/models/digits/versions/2").json()["live"] is None


def test_the_description_changes_and_the_revision_rises(staff: Caller, digits: Model) -> None:
    answer = staff("PATCH", "/models/digits", {"description": "New."})
    assert (answer.status_code, answer.json()["description"], answer.headers["ETag"]) == (200, "New.", '"2"')


def test_unload_and_load_again(staff: Caller, digits: Model) -> None:
    assert staff("POST", "/models/digits/unload").json()["loaded"] is False
    assert staff("POST", "/models/digits/unload").json()["revision"] == 2
    assert staff("POST", "/models/digits/load", {}).json()["loaded"] is True
    assert [e.action for e in AuditEvent.objects.filter(action__in=("model.load", "model.unload"))] == [
        "model.load",
        "model.unload",
    ]


def test_a_loaded_model_is_not_deleted_an_unloaded_one_is(staff: Caller, digits: Model) -> None:
    refused = staff("DELETE", "/models/digits")
    assert (refused.status_code, refused.json()["code"]) == (409, "model_loaded")
    staff("POST", "/models/digits/unload")
    assert staff("DELETE", "/models/digits").status_code == 204
    assert staff("GET", "/models/digits").status_code == 404


def test_a_deleted_model_keeps_its_name_and_comes_back_with_its_versions(staff: Caller, digits: Model) -> None:
    staff("POST", "/models/digits/unload")
    assert staff("DELETE", "/models/digits").status_code == 204
    assert staff("GET", "/models").json()["results"] == []
    listed = staff("GET", "/models?deleted=true").json()["results"]
    assert [(one["name"], one["version_count"], one["deleted_by"]) for one in listed] == [("digits", 2, "user:ann")]
    assert listed[0]["artifact_bytes"] > 0
    taken = staff("POST", "/models", {"name": "digits"})
    assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
    assert "can still be restored" in taken.json()["detail"]
    again = staff("POST", "/models/digits/restore")
    assert (again.status_code, again.json()["loaded"], again.json()["version_count"]) == (200, False, 2)
    assert staff("POST", "/models/digits/restore").status_code == 404
    assert staff("DELETE", "/models/digits").status_code == 204
    assert staff("DELETE", "/models/digits?for_good=true").status_code == 204
    assert staff("GET", "/models?deleted=true").json()["results"] == []
    assert staff("POST", "/models", {"name": "digits"}).status_code == 201


def test_the_number_of_instances_is_a_decision_within_the_policy(admin: Caller, digits: Model) -> None:
    answer = admin("PUT", "/models/digits/instances", {"count": 2})
    assert (answer.status_code, answer.json()["wanted_instances"]) == (200, 2)
    assert ScalingState.objects.get(model=digits).wanted_instances == 2
    decision = Decision.objects.get()
    assert (decision.actor, decision.reason, decision.from_value, decision.to_value) == ("key:ci", "operator", "1", "2")
    beyond = admin("PUT", "/models/digits/instances", {"count": 3})
    assert (beyond.status_code, list(beyond.json()["errors"])) == (400, ["count"])


def test_the_list_is_filtered_ordered_and_paged(viewer: Caller, maker: Maker) -> None:
    for name in ("alpha", "beta", "gamma"):
        maker.model(name)
    Model.objects.filter(name="beta").update(loaded=False)
    names = lambda query: [m["name"] for m in viewer("GET", f"/models?{query}").json()["results"]]  # noqa: E731
    assert names("") == ["alpha", "beta", "gamma"]
    assert names("ordering=-name") == ["gamma", "beta", "alpha"]
    assert names("name=A") == ["alpha", "beta", "gamma"]
    assert names("name=lph") == ["alpha"]
    assert names("loaded=false") == ["beta"]
    page = viewer("GET", "/models?page_size=2").json()
    assert (page["count"], len(page["results"]), page["previous"]) == (3, 2, None)
    assert page["next"] == "http://testserver/api/v1/models?page=2&page_size=2"
    assert names("page_size=2&page=2") == ["gamma"]


def test_the_list_asks_the_database_the_same_number_of_times_for_many_models(
    viewer: Caller, maker: Maker, django_assert_max_num_queries: object
) -> None:
    for number in range(12):
        maker.version(maker.model(f"model-{number}"), 1)
    with django_assert_max_num_queries(6):  # type: ignore[operator]  session, user, count, page
        assert len(viewer("GET", "/models").json()["results"]) == 12


def test_purging_the_cache_is_passed_on_and_audited(
    staff: Caller, digits: Model, runtime: FakeRuntime, django_capture_on_commit_callbacks: object
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        assert staff("DELETE", "/models/digits/cache").status_code == 204
    assert runtime.purged == [("digits", None)]
    assert AuditEvent.objects.filter(action="model.purge_cache", object_id="digits", details={}).exists()


def test_purging_one_version_names_its_artifact(
    staff: Caller, digits: Model, runtime: FakeRuntime, django_capture_on_commit_callbacks: object
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        assert staff("DELETE", "/models/digits/cache?version=2").status_code == 204
    assert runtime.purged == [("digits", digits.versions.get(number=2).digest)]
    assert AuditEvent.objects.filter(action="model.purge_cache", details={"version": 2}).exists()


@pytest.mark.parametrize(
    ("query", "status"), [("version=99", 404), ("version=0", 400), ("version=x", 400), ("version=", 400), ("v=1", 400)]
)
def test_a_purge_of_something_else_drops_nothing(
    staff: Caller, digits: Model, runtime: FakeRuntime, query: str, status: int
) -> None:
    assert staff("DELETE", f"/models/digits/cache?{query}").status_code == status
    assert runtime.purged == []


def test_purging_every_cache_is_passed_on_and_audited(
    staff: Caller, runtime: FakeRuntime, django_capture_on_commit_callbacks: object
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        assert staff("DELETE", "/cache").status_code == 204
    assert runtime.purged == [(None, None)]
    assert AuditEvent.objects.filter(action="cache.purge").exists()


def test_without_a_data_plane_there_is_no_cache_to_purge(staff: Caller, digits: Model) -> None:
    answer = staff("DELETE", "/models/digits/cache")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert not AuditEvent.objects.filter(action="model.purge_cache").exists()
