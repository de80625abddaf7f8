"""Rollouts, labels and golden samples over HTTP: what is answered, what is refused, and with which ETag."""

from __future__ import annotations

import json
from typing import Any

import pytest
from api_cast import Caller, FakeRuntime

from models_admin.models import AuditEvent, Model, ModelVersion, NodeStatus
from proxy.core.requests import Answer

pytestmark = pytest.mark.django_db
SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
}
X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
Y = {"name": "y", "datatype": "FP32", "shape": [1, 1], "data": [3.0]}
STEPS = [{"weight_percent": 5, "hold_s": 60}, {"weight_percent": 50, "hold_s": 60}]


@pytest.fixture(autouse=True)
def signed(digits: Model) -> None:
    ModelVersion.objects.filter(model=digits).update(signature=SIGNATURE)


@pytest.fixture
def rollout(admin: Caller) -> dict[str, Any]:
    answer = admin("POST", "/models/digits/rollouts", {"candidate": 2, "steps": STEPS})
    assert answer.status_code == 201, answer.content
    assert answer.headers["Location"].endswith(f"/api/v1/models/digits/rollouts/{answer.json()['id']}")
    made: dict[str, Any] = answer.json()
    return made


def test_a_rollout_is_started_read_and_listed(admin: Caller, viewer: Caller, rollout: dict[str, Any]) -> None:
    assert (rollout["candidate"], rollout["state"], rollout["weight_percent"]) == (2, "running", 5)
    read = viewer("GET", f"/models/digits/rollouts/{rollout['id']}")
    assert read.json()["steps"] == [{"weight_percent": 5.0, "hold_s": 60.0}, {"weight_percent": 50.0, "hold_s": 60.0}]
    assert read.headers["ETag"] == '"1"'
    assert viewer("GET", "/models/digits/rollouts?state=running").json()["count"] == 1
    assert viewer("GET", "/models/digits/rollouts?state=aborted").json()["count"] == 0
    assert AuditEvent.objects.get(action="rollout.start").actor == "key:ci"


def test_the_slider_moves_the_weight_once(admin: Caller, rollout: dict[str, Any]) -> None:
    path = f"/models/digits/rollouts/{rollout['id']}"
    moved = admin("PATCH", path, {"weight_percent": 12.5}, If_Match='"1"')
    assert (moved.status_code, moved.json()["weight_percent"], moved.headers["ETag"]) == (200, 12.5, '"2"')
    assert admin("PATCH", path, {"weight_percent": 99}, If_Match='"1"').status_code == 412
    assert admin("PATCH", path, {"weight_percent": "99"}).status_code == 400
    assert admin("PATCH", path, {"weight_percent": 101}).status_code == 400


def test_every_action_answers_with_where_the_rollout_stands(admin: Caller, rollout: dict[str, Any]) -> None:
    path = f"/models/digits/rollouts/{rollout['id']}"
    assert admin("POST", path + "/hold").json()["state"] == "holding"
    assert admin("POST", path + "/resume").json()["state"] == "running"
    assert admin("POST", path + "/advance").json()["weight_percent"] == 50
    assert admin("POST", path + "/advance").status_code == 409
    ended = admin("POST", path + "/abort", {"reason": "wrong digits"}).json()
    assert (ended["state"], "wrong digits" in ended["reason"]) == ("aborted", True)
    for action in ("advance", "hold", "resume", "promote", "abort", "cancel"):
        assert admin("POST", f"{path}/{action}").status_code == 409
    assert admin("GET", "/models/digits/versions/1").json()["is_default"]


def test_promotion_and_the_way_back(admin: Caller, rollout: dict[str, Any]) -> None:
    assert admin("POST", f"/models/digits/rollouts/{rollout['id']}/promote").json()["state"] == "promoted"
    assert admin("GET", "/models/digits/versions/2").json()["is_default"]
    back = admin("POST", "/models/digits/rollback")
    assert (back.status_code, back.json()["number"], back.json()["is_default"]) == (200, 1, True)
    again = admin("POST", "/models/digits/rollback")
    assert (again.status_code, again.json()["code"]) == (409, "nothing_warm")


def test_what_the_shadow_found_is_shown(admin: Caller) -> None:
    made = admin("POST", "/models/digits/rollouts", {"candidate": 2, "mode": "shadow"}).json()
    from django.utils import timezone

    numbers = {"rollout_id": made["id"], "compared": 7, "differing": 1}
    NodeStatus.objects.create(name="web", at=timezone.now(), info={"shadows": [numbers]})
    assert admin("GET", f"/models/digits/rollouts/{made['id']}").json()["shadow"] == numbers


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "candidate"),
        ({"candidate": 1}, 409, None),
        ({"candidate": 9}, 404, None),
        ({"candidate": "2"}, 400, "candidate"),
        ({"candidate": 2, "mode": "blue"}, 400, "mode"),
        ({"candidate": 2, "steps": [{"weight_percent": 5}]}, 400, "steps[0].hold_s"),
        ({"candidate": 2, "steps": []}, 400, "steps"),
        ({"candidate": 2, "max_p99_ratio": 0.1}, 400, "max_p99_ratio"),
        ({"candidate": 2, "colour": 1}, 400, "colour"),
    ],
)
def test_a_rollout_that_makes_no_sense_is_refused(
    admin: Caller, body: dict[str, Any], status: int, field: str | None
) -> None:
    answer = admin("POST", "/models/digits/rollouts", body)
    assert answer.status_code == status, answer.content
    if field is not None:
        assert field in answer.json()["errors"], answer.content


def test_a_start_on_an_old_read_of_the_model_is_refused(admin: Caller) -> None:
    tag = admin("GET", "/models/digits").headers["ETag"]
    admin("PATCH", "/models/digits", {"description": "changed"})
    assert admin("POST", "/models/digits/rollouts", {"candidate": 2}, If_Match=tag).status_code == 412


def test_rollouts_of_another_model_are_not_found(admin: Caller, maker: Any, rollout: dict[str, Any]) -> None:
    maker.model("other")
    assert admin("GET", f"/models/other/rollouts/{rollout['id']}").status_code == 404
    assert admin("POST", f"/models/other/rollouts/{rollout['id']}/abort").status_code == 404


def test_labels_are_set_moved_listed_and_removed(admin: Caller, viewer: Caller) -> None:
    assert admin("PUT", "/models/digits/labels/fast", {"version": 1}).json() == {"label": "fast", "version": 1}
    tag = viewer("GET", "/models/digits/labels").headers["ETag"]
    moved = admin("PUT", "/models/digits/labels/fast", {"version": 2}, If_Match=tag)
    assert moved.json()["version"] == 2
    assert admin("PUT", "/models/digits/labels/fast", {"version": 1}, If_Match=tag).status_code == 412
    assert viewer("GET", "/models/digits/labels").json() == {"labels": [{"label": "fast", "version": 2}]}
    assert admin("DELETE", "/models/digits/versions/2").status_code == 409
    assert admin("DELETE", "/models/digits/labels/fast").status_code == 204
    assert viewer("GET", "/models/digits/labels/fast").status_code == 404
    assert admin("PUT", "/models/digits/labels/9fast", {"version": 2}).status_code == 404
    assert admin("PUT", "/models/digits/labels/fast", {"version": 9}).status_code == 404


def test_a_label_stands_where_a_number_may(inference: Caller, runtime: FakeRuntime) -> None:
    assert inference("POST", "/models/digits/versions/stable/infer", {"inputs": [X]}).status_code == 200
    assert runtime.asked[0][1:3] == ("digits", "stable")


def test_golden_samples_are_added_listed_and_removed(admin: Caller, viewer: Caller) -> None:
    path = "/models/digits/versions/2/golden"
    made = admin("POST", path, {"inputs": [X], "outputs": [Y], "rtol": 0.01})
    assert made.status_code == 201 and made.json()["source"] == "upload", made.content
    listed = viewer("GET", path)
    assert [sample["id"] for sample in listed.json()["samples"]] == [made.json()["id"]]
    assert listed.headers["ETag"] == made.headers["ETag"]
    assert admin("POST", path, {"inputs": [X], "outputs": [{**Y, "data": ["3"]}]}).status_code == 400
    assert admin("POST", path, {"inputs": [X]}).status_code == 400
    assert admin("DELETE", f"{path}/{made.json()['id']}", If_Match='"1"').status_code == 412
    assert admin("DELETE", f"{path}/{made.json()['id']}").status_code == 204
    assert viewer("GET", path).json()["samples"] == []


def test_an_answer_is_recorded_as_golden(admin: Caller, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"model_name": "digits", "model_version": "2", "outputs": [Y]}).encode()
    monkeypatch.setattr("proxy.gateway.infer_from_thread", lambda *_: Answer(200, body))
    made = admin("POST", "/models/digits/versions/2/golden/record", {"inputs": [X]})
    assert (made.status_code, made.json()["source"]) == (201, "recorded"), made.content
    assert made.json()["outputs"][0]["data"] == [3.0] and made.json()["created_by"] == "key:ci"
