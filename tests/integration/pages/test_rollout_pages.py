"""From the pages: policies previewed and changed, rollouts begun and ended, the way back, labels, quarantine."""

from __future__ import annotations

import json
import re

import pytest
from django.http import HttpResponse
from django.test import Client

from models_admin.dashboard.version import STEP_LABELS
from models_admin.models import Decision, GoldenSample, Model, ModelVersion, Policy, Rollout
from models_admin.publishing.snapshot import load_snapshot
from models_admin.services import policies, rollouts, versions
from models_admin.services.actors import Actor

VERSIONS = "/models/digits/versions/"


def words(response: HttpResponse) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def form(model: Model, **changed: object) -> dict[str, object]:
    """The policy's form as it would be sent."""
    policy = Policy.objects.get(model=model)
    sent: dict[str, object] = {"revision": policy.revision}
    for name in policies.EDITABLE_FIELDS:
        value = changed.get(name, getattr(policy, name))
        if isinstance(value, bool):
            if value:
                sent[name] = "on"
        else:
            sent[name] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return sent


@pytest.fixture
def running(digits: Model, actor: Actor) -> Rollout:
    return rollouts.start(actor=actor, model=digits, candidate=digits.versions.get(number=5))


def test_a_preview_says_what_would_change_and_changes_nothing(staff: Client, digits: Model) -> None:
    sent = form(digits, priority_levels=5, padded_batch_rows=[1, 4, 16])
    response = staff.post("/models/digits/policy/preview/", sent)
    assert response.status_code == 200
    assert "2 changes, not saved yet" in words(response)
    assert "Pad to sizes none 1, 4, 16" in words(response)
    assert Policy.objects.get(model=digits).priority_levels == 3


def test_saved_changes_are_decisions_of_the_operator(staff: Client, digits: Model) -> None:
    staff.post("/models/digits/policy/save/", form(digits, placement="power_of_two_choices", padded_batch_rows=[2, 8]))
    made = {row.knob: (row.from_value, row.to_value, row.reason) for row in Decision.objects.filter(model=digits)}
    assert made["placement"] == ("least_outstanding", "power_of_two_choices", "operator")
    assert made["padded_batch_rows"] == ("none", "2, 8", "operator")
    snapshot = load_snapshot(None)
    assert snapshot is not None
    assert snapshot.models["digits"].policy.batching.padded_rows == (2, 8)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("padded_batch_rows", [4, 2]),
        ("padded_batch_rows", [1, 64]),
        ("preferred_batch_rows", ["many"]),
        ("default_priority", 9),
        ("device", "tpu"),
        ("retry_budget_percent", 101),
    ],
)
def test_a_wrong_value_is_refused_at_its_field(staff: Client, digits: Model, field: str, value: object) -> None:
    response = staff.post("/models/digits/policy/save/", form(digits, **{field: value}))
    assert response.status_code == 400
    assert 'aria-invalid="true"' in response.content.decode()
    assert Policy.objects.get(model=digits).revision == 1


def test_a_rollout_begins_with_the_steps_of_the_form(staff: Client, digits: Model) -> None:
    sent = {"candidate": "5", "mode": "canary", "weight_1": "10", "hold_1": "30", "weight_2": "100", "hold_2": "60"}
    response = staff.post("/models/digits/rollout/start/", sent, follow=True)
    assert "The rollout has begun" in words(response)
    rollout = rollouts.active_rollout(digits)
    assert rollout is not None
    assert [step["weight_percent"] for step in rollout.steps] == [10, 100]


def test_a_rollout_that_cannot_begin_says_why(staff: Client, digits: Model) -> None:
    response = staff.post("/models/digits/rollout/start/", {"candidate": "2", "mode": "canary"}, follow=True)
    assert "only a ready version can be rolled out" in words(response)
    response = staff.post("/models/digits/rollout/start/", {"candidate": "77", "mode": "canary"}, follow=True)
    assert "Choose a version" in words(response)


def test_the_running_rollout_is_shown_with_its_steps_and_steered(staff: Client, running: Rollout) -> None:
    page = staff.get(VERSIONS)
    assert "Canary: version 5 beside 1" in words(page)
    assert "Version 5 (candidate)" in words(page)
    staff.post("/models/digits/rollout/weight/", {"weight_percent": "12.5"})
    staff.post("/models/digits/rollout/hold/")
    running.refresh_from_db()
    assert (running.weight_percent, running.state) == (12.5, "holding")
    staff.post("/models/digits/rollout/resume/")
    staff.post("/models/digits/rollout/advance/")
    running.refresh_from_db()
    assert (running.step_index, running.state) == (1, "running")
    staff.post("/models/digits/rollout/abort/")
    running.refresh_from_db()
    assert running.state == "aborted"
    assert "Rollouts before" in words(staff.get(VERSIONS))


def test_the_part_that_follows_a_rollout_asks_for_the_page_when_it_has_ended(staff: Client, running: Rollout) -> None:
    assert "HX-Refresh" not in staff.get("/models/digits/rollout/").headers
    staff.post("/models/digits/rollout/cancel/")
    assert staff.get("/models/digits/rollout/").headers["HX-Refresh"] == "true"
    response = staff.post("/models/digits/rollout/hold/", follow=True)
    assert "No rollout runs" in words(response)


def test_a_promoted_candidate_can_be_rolled_back_from_the_page(staff: Client, running: Rollout) -> None:
    staff.post("/models/digits/rollout/promote/")
    assert "Version 1 is still warm" in words(staff.get(VERSIONS))
    staff.post("/models/digits/roll-back/")
    default = Model.objects.get(name="digits").default_version
    assert default is not None
    assert default.number == 1


def test_labels_are_set_moved_and_removed(staff: Client, digits: Model) -> None:
    staff.post("/models/digits/labels/set/", {"label": "fast", "version": "1"})
    staff.post("/models/digits/labels/set/", {"label": "fast", "version": "5"})
    assert digits.labels.get(name="fast").version.number == 5
    assert "/v2/models/digits/versions/fast/infer" in words(staff.get(VERSIONS))
    response = staff.post("/models/digits/labels/set/", {"label": "9bad", "version": "5"}, follow=True)
    assert "begin with a letter" in words(response)
    staff.post("/models/digits/labels/remove/", {"label": "fast"})
    assert not digits.labels.exists()


def test_a_quarantined_version_says_why_and_is_tried_again(staff: Client, digits: Model) -> None:
    ModelVersion.objects.filter(model=digits, number=1).update(quarantined_reason="It crashed <five> times.")
    page = staff.get("/models/digits/versions/1/")
    assert "It crashed &lt;five&gt; times." in page.content.decode()
    before = load_snapshot(None)
    staff.post("/models/digits/versions/1/retry/")
    after = load_snapshot(None)
    assert before is not None
    assert after is not None
    assert before.models["digits"].versions[1] != after.models["digits"].versions[1]
    assert ModelVersion.objects.get(model=digits, number=1).quarantined_reason == ""


def test_the_newest_ready_versions_stay_loaded_by_policy(staff: Client, digits: Model, actor: Actor) -> None:
    policies.update_policy(actor=actor, model=digits, keep_latest=1)
    snapshot = load_snapshot(None)
    assert snapshot is not None
    assert set(snapshot.models["digits"].versions) == {1, 5}
    versions.promote(actor=actor, version=digits.versions.get(number=5))


def test_scaling_says_what_each_signal_asks_for(staff: Client, digits: Model) -> None:
    signals = {"words": "2 are enough.", "demand": {"count": 2, "words": "demand of 9.0 requests/s asks for 2"}}
    digits.scaling.signals = signals
    digits.scaling.save()
    assert "2 are enough. Signal Asks for Why Demand 2 Demand of 9.0 requests/s asks for 2." in words(
        staff.get("/models/digits/")
    )


def test_a_key_is_made_with_its_weight(staff: Client, digits: Model) -> None:
    sent = {"name": "batch jobs", "scope": "inference", "all_models": "true", "weight": "7"}
    assert staff.post("/keys/create/", sent).status_code == 201
    snapshot = load_snapshot(None)
    assert snapshot is not None
    assert 7 in {key.weight for key in snapshot.keys.values()}
    assert staff.post("/keys/create/", {**sent, "weight": "101"}).status_code == 400
    assert staff.post("/keys/create/", {**sent, "weight": "x"}).status_code == 400


def test_golden_samples_are_added_shown_and_removed(staff: Client, digits: Model) -> None:
    tensors = {
        "inputs": [{"name": "image", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": [0.5] * 64}],
        "outputs": [{"name": "scores", "shape": [1, 10], "datatype": "FP32", "data": [0.1] * 10}],
    }
    url = "/models/digits/versions/5/golden"
    response = staff.post(f"{url}/add/", {"json": json.dumps(tensors), "rtol": "0.01"}, follow=True)
    assert "The sample is kept" in words(response)
    assert "Uploaded" in words(response)
    sample = GoldenSample.objects.get(version__number=5)
    assert sample.rtol == 0.01
    for broken in ("{", "[]", '{"inputs": []}'):
        refused = staff.post(f"{url}/add/", {"json": broken}, follow=True)
        assert "notice" in refused.content.decode()
    assert GoldenSample.objects.count() == 1
    staff.post(f"{url}/remove/", {"sample": str(sample.pk)})
    assert not GoldenSample.objects.exists()


def offered(page: HttpResponse) -> list[str]:
    return [
        re.sub(r"\s+", " ", text) for text in re.findall(r"<option value=\"\d+\"[^>]*>([^<]*)<", page.content.decode())
    ]


def test_what_is_loaded_can_be_asked_on_the_try_page(staff: Client, running: Rollout, digits: Model) -> None:
    assert offered(staff.get("/models/digits/try/")) == ["1 (default)", "5 (canary candidate)"]
    staff.post("/models/digits/labels/set/", {"label": "beta", "version": "5"})
    staff.post("/models/digits/rollout/promote/")
    assert offered(staff.get("/models/digits/try/")) == ["5 (default, beta)", "1 (warm)"]
    staff.post("/models/digits/labels/set/", {"label": "old", "version": "1"})
    assert offered(staff.get("/models/digits/try/?version=1"))[1] == "1 (warm, old)"
    assert "That version is not loaded" in words(staff.get("/models/digits/try/?version=4"))


def test_only_those_who_may_keep_golden_samples_are_offered_it(staff: Client, viewer: Client, digits: Model) -> None:
    assert '"may_keep": true' in staff.get("/models/digits/try/").content.decode()
    assert '"may_keep": false' in viewer.get("/models/digits/try/").content.decode()


def test_each_validation_step_has_its_words() -> None:
    assert tuple(STEP_LABELS) == versions.STEPS


def test_a11_a_form_made_before_somebody_else_s_change_changes_nothing(
    staff: Client, digits: Model, running: Rollout, actor: Actor
) -> None:
    html = staff.get(VERSIONS).content.decode()
    assert html.count(f'name="rollout" value="{running.pk}"') == 6  # share, promote, next, hold, cancel, abort
    made_from = {"rollout": running.pk, "revision": running.revision}
    rollouts.set_weight(actor=actor, rollout=running, weight_percent=9)
    for name, typed in (
        ("weight", {"weight_percent": "50"}),
        ("advance", {}),
        ("promote", {}),
        ("hold", {}),
        ("cancel", {}),
    ):
        answer = staff.post(f"/models/digits/rollout/{name}/", {**made_from, **typed}, follow=True)
        assert "Someone changed this rollout since you read it" in words(answer), name
    running.refresh_from_db()
    assert (running.weight_percent, running.state, running.revision) == (9, "running", 2)
    staff.post("/models/digits/rollout/abort/", made_from)  # taking traffic away is never too late
    running.refresh_from_db()
    assert running.state == "aborted"
    another = rollouts.start(actor=actor, model=digits, candidate=running.candidate)
    assert "Another rollout runs meanwhile" in words(
        staff.post("/models/digits/rollout/abort/", made_from, follow=True)
    )
    another.refresh_from_db()
    assert another.state == "running"


def test_a11_a_start_a_way_back_and_a_label_are_made_from_the_model_as_it_was_shown(
    staff: Client, digits: Model, actor: Actor
) -> None:
    old = digits.revision
    versions.promote(actor=actor, version=digits.versions.get(number=5))
    for url, typed in (
        ("rollout/start", {"candidate": "1", "mode": "canary"}),
        ("roll-back", {}),
        ("labels/set", {"label": "fast", "version": "1"}),
    ):
        answer = staff.post(f"/models/digits/{url}/", {"revision": old, **typed}, follow=True)
        assert "Someone changed this model since you read it" in words(answer), url
    digits.refresh_from_db()
    assert digits.default_version.number == 5
    assert not Rollout.objects.exists() and not digits.labels.exists()
