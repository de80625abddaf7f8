"""Orders to instances, their logs and ends over the API: audited, and only for those who may change things."""

from __future__ import annotations

import pytest
from api_cast import Caller, FakeRuntime

from models_admin.models import AuditEvent
from proxy.core.instance_reports import ExitReport, OrderOutcome


@pytest.mark.parametrize(
    ("verb", "words"), [("restart", "user:ann ordered a restart."), ("drain", "user:ann had it drained.")]
)
def test_an_order_is_given_audited_and_answered_in_words(
    staff: Caller, runtime: FakeRuntime, verb: str, words: str
) -> None:
    answer = staff("POST", f"/instances/1/{verb}")
    assert answer.status_code == 202
    assert answer.json()["instance_id"] == "digits/1#1"
    assert answer.json()["outcome"] == "beside"
    assert "started beside it" in answer.json()["detail"]
    assert runtime.orders.given == [(verb, 1, words)]
    event = AuditEvent.objects.get(action=f"instance.{verb}")
    assert (event.actor, event.object_type, event.object_id) == ("user:ann", "instance", "digits/1#1")


def test_an_instance_that_is_not_there_is_a_404_and_no_event(admin: Caller, runtime: FakeRuntime) -> None:
    assert admin("POST", "/instances/9/restart").status_code == 404
    runtime.orders.outcome = OrderOutcome.GONE
    assert admin("POST", "/instances/1/restart").status_code == 404
    assert not AuditEvent.objects.filter(action="instance.restart").exists()


def test_without_a_data_plane_there_is_nothing_to_order(admin: Caller) -> None:
    assert admin("POST", "/instances/1/restart").status_code == 404
    assert admin("GET", "/instances/1/log").status_code == 503


def test_viewers_and_inference_keys_order_nothing(viewer: Caller, inference: Caller, runtime: FakeRuntime) -> None:
    assert viewer("POST", "/instances/1/drain").status_code == 403
    assert inference("POST", "/instances/1/drain").status_code == 403
    assert inference("GET", "/instances/1/log").status_code == 403
    assert not runtime.orders.given


def test_a_log_has_no_secrets_and_an_ended_one_its_last_words(viewer: Caller, runtime: FakeRuntime) -> None:
    runtime.orders.output = b"hello dlp_" + b"x" * 43 + b"\n"
    log = viewer("GET", "/instances/1/log").json()
    assert log == {"instance_id": "digits/1#1", "is_alive": True, "text": "hello [hidden]"}
    runtime.exits = (ExitReport("digits/1#8", 1_800_000_000.0, "It crashed.", False, 3.5, 12, "bye"),)
    assert viewer("GET", "/instances/8/log").json() == {"instance_id": "digits/1#8", "is_alive": False, "text": "bye"}
    assert viewer("GET", "/instances/77/log").status_code == 404


def test_ends_are_listed(viewer: Caller, runtime: FakeRuntime) -> None:
    runtime.exits = (ExitReport("digits/1#8", 1_800_000_000.0, "It crashed.", False, 3.5, 12, "bye"),)
    assert viewer("GET", "/instances/exits").json()["results"] == [
        {
            "instance_id": "digits/1#8",
            "at": "2027-01-15T08:00:00Z",
            "words": "It crashed.",
            "is_planned": False,
            "uptime_s": 3.5,
            "executions": 12,
        }
    ]


def test_instances_have_their_number_and_threads(viewer: Caller, runtime: FakeRuntime) -> None:
    first = viewer("GET", "/instances").json()["results"][0]
    assert (first["number"], first["threads"]) == (1, 0)
