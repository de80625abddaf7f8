"""Tuning over the API: the switch, modes and state, decisions and what people do with them, capacity, the cache."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api_cast import Caller
from trial_cast import measure, proposal, row

from models_admin.models import AuditEvent, Decision, Model, NodeStatus, Policy, ScalingState, TuningState
from models_admin.services import leases, scaling, tuning_trials
from models_admin.services.tuning_writing import LEASE
from proxy.core.policies import Knob

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def lease(db: None) -> None:
    leases.acquire(name=LEASE, holder="a", ttl_s=15, now=NOW)


def trial(digits: Model) -> Decision:
    Policy.objects.filter(model=digits).update(tuning_modes={"max_batch_rows": "automatic"})
    begun = tuning_trials.begin_trial(fence=1, decision=row(digits), proposal=proposal(), now=NOW)
    assert begun is not None
    return begun


def card(digits: Model) -> Decision:
    shown = tuning_trials.advise(fence=1, card=row(digits, proposal(Knob.QUEUE_DELAY, 0.0, 0.5)))
    assert shown is not None
    return shown


def policy() -> Policy:
    return Policy.objects.get(model__name="digits")


# The switch.


def test_tuning_is_frozen_and_goes_on(viewer: Caller, admin: Caller, digits: Model) -> None:
    assert viewer("GET", "/tuning").json() == {"frozen": False, "changed_by": "", "changed_at": None}
    trial(digits)
    answer = admin("PUT", "/tuning", {"frozen": True})
    assert (answer.status_code, answer.json()["frozen"], answer.json()["changed_by"]) == (200, True, "key:ci")
    assert policy().max_batch_rows == 32
    assert viewer("GET", "/models/digits/tuning").json()["frozen"] is True
    assert admin("PUT", "/tuning", {"frozen": False}).json()["frozen"] is False
    assert AuditEvent.objects.filter(action__startswith="tuning.", object_type="tuning").count() == 2


@pytest.mark.parametrize("value", [1, "true", None, [True], {}])
def test_a09_a_switch_that_is_neither_true_nor_false_is_refused(value: Any, staff: Caller) -> None:
    answer = staff("PUT", "/tuning", {"frozen": value})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["frozen"])


# Modes and state.


def test_a_model_that_nobody_looked_at_yet_says_so(viewer: Caller, digits: Model) -> None:
    answer = viewer("GET", "/models/digits/tuning")
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"1"')
    body = answer.json()
    assert body["modes"] == {**dict.fromkeys((knob.value for knob in Knob), "advise"), "instances": "automatic"}
    assert body["values"]["max_batch_rows"] == 32
    assert (body["trial"], body["cooldown_until"], body["tried"]) == (None, None, [])
    assert body["look"] == {"at": None, "step": "", "why": "", "words": "", "by_knob": {}}
    assert not TuningState.objects.exists()  # reading makes nothing


def test_the_state_shows_the_trial_the_look_and_what_was_tried(viewer: Caller, digits: Model) -> None:
    begun = trial(digits)
    tried = {"knob": "placement", "from_value": "random", "to_value": "round_robin", "outcome": "undone", "load": 6}
    look = {"at": NOW.isoformat(), "step": "measure", "why": "measuring", "words": "12 s more."}
    TuningState.objects.update(
        look=look, tried=[{**tried, "at_unix_s": n, "objective": "lowest_latency"} for n in range(60)]
    )
    TuningState.objects.update(cooldown_until=NOW - timedelta(seconds=1))
    body = viewer("GET", "/models/digits/tuning").json()
    assert (body["trial"]["id"], body["trial"]["status"]) == (begun.pk, "measuring")
    assert body["trial"]["predicted"] == {"metric": "p99_ms", "before": 31.0, "after": 22.0, "better": "lower"}
    assert (body["look"]["words"], body["look"]["by_knob"]) == ("12 s more.", {})
    assert datetime.fromisoformat(body["look"]["at"]) == NOW
    assert [one["at_unix_s"] for one in body["tried"]] == list(range(10, 60))
    assert body["cooldown_until"] is None


def test_modes_change_as_part_of_the_policy(admin: Caller, digits: Model) -> None:
    answer = admin("PATCH", "/models/digits/tuning", {"modes": {"placement": "off", "instances": "advise"}})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    assert (answer.json()["modes"]["placement"], answer.json()["modes"]["instances"]) == ("off", "advise")
    assert policy().autoscale is False
    assert admin("PATCH", "/models/digits/tuning", {"modes": {}}).headers["ETag"] == '"2"'
    assert admin("PATCH", "/models/nothing/tuning", {"modes": {}}).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "modes"),
        ({"modes": None}, "modes"),
        ({"modes": []}, "modes"),
        ({"modes": {"placement": "sometimes"}}, "modes.placement"),
        ({"modes": {"placement": None}}, "modes.placement"),
        ({"modes": {"placement": ["off"]}}, "modes.placement"),
        ({"modes": {"threads": "off"}}, "modes.threads"),
        ({"mode": "off"}, "mode"),
    ],
)
def test_a09_modes_that_are_none_are_refused_by_name(body: Any, field: str, staff: Caller, digits: Model) -> None:
    answer = staff("PATCH", "/models/digits/tuning", body)
    assert answer.status_code == 400
    assert field in answer.json()["errors"], answer.content
    assert policy().revision == 1


# Decisions.


def test_decisions_show_how_far_they_have_come(viewer: Caller, digits: Model) -> None:
    begun, proposed = trial(digits), card(digits)
    found = lambda query: [one["id"] for one in viewer("GET", f"/decisions?{query}").json()["results"]]  # noqa: E731
    assert found("status=advised") == [proposed.pk]
    assert found("status=measuring&knob=max_batch_rows&model=digits") == [begun.pk]
    assert found("status=kept") == []
    answer = viewer("GET", "/decisions?status=perhaps")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["status"])
    one = viewer("GET", "/decisions?status=measuring").json()["results"][0]
    assert (one["expected"][:14], one["outcome"], one["settled_at"], one["undoes"]) == (
        "p99 31 → 22 ms",
        "",
        None,
        None,
    )
    assert datetime.fromisoformat(one["applied_at"]) == NOW
    assert "proposal" not in one["predicted"]


def test_a_proposal_is_taken(admin: Caller, digits: Model) -> None:
    proposed = card(digits)
    answer = admin("POST", f"/decisions/{proposed.pk}/apply")
    assert (answer.status_code, answer.json()["status"], answer.json()["actor"]) == (200, "measuring", "key:ci")
    assert policy().max_queue_delay_ms == 0.5
    again = admin("POST", f"/decisions/{proposed.pk}/apply")
    assert (again.status_code, again.json()["code"]) == (409, "not_proposed")


def test_a_proposal_is_dismissed(admin: Caller, digits: Model) -> None:
    answer = admin("POST", f"/decisions/{card(digits).pk}/dismiss")
    assert (answer.status_code, answer.json()["status"], answer.json()["outcome"]) == (
        200,
        "dismissed",
        "key:ci dismissed it.",
    )


def test_a_decision_is_undone(admin: Caller, digits: Model) -> None:
    assert admin("PATCH", "/models/digits/policy", {"max_batch_rows": 16}).status_code == 200
    made = Decision.objects.get(knob="max_batch_rows")
    answer = admin("POST", f"/decisions/{made.pk}/undo")
    assert (answer.status_code, answer.json()["undoes"], answer.json()["to_value"]) == (200, made.pk, "32")
    assert policy().max_batch_rows == 32
    again = admin("POST", f"/decisions/{made.pk}/undo")
    assert (again.status_code, again.json()["code"]) == (409, "changed_meanwhile")
    assert "is 32 rows now, not 16 rows" in again.json()["detail"]


@pytest.mark.parametrize("action", ["apply", "dismiss", "undo"])
def test_a_decision_that_there_is_not_is_not_found(action: str, admin: Caller, digits: Model) -> None:
    assert admin("POST", f"/decisions/999/{action}").status_code == 404
    answer = admin("POST", f"/decisions/{card(digits).pk}/{action}", {"force": True})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["force"])


def test_a_proposed_number_of_instances_is_taken(admin: Caller, digits: Model) -> None:
    leases.acquire(name=scaling.LEASE, holder="a", ttl_s=15, now=NOW)
    admin("PATCH", "/models/digits/tuning", {"modes": {"instances": "advise"}})
    made = Decision(model=digits, knob="instances", from_value="1", to_value="2", reason="demand", explanation="Why.")
    proposed = tuning_trials.advise(fence=1, card=made, lease=scaling.LEASE)
    assert proposed is not None
    answer = admin("POST", f"/decisions/{proposed.pk}/apply")
    assert (answer.status_code, answer.json()["status"], answer.json()["predicted"]) == (200, "applied", None)
    assert ScalingState.objects.get().wanted_instances == 2


# Capacity.


def test_capacity_answers_from_what_is_measured_and_says_how_wrong_it_is(viewer: Caller, digits: Model) -> None:
    measure(datetime.now(UTC), name="digits")
    answer = viewer("GET", "/models/digits/capacity?rate_per_s=500&p99_ms=100")
    assert answer.status_code == 200
    body = answer.json()
    assert body["instances"] >= 2
    assert (body["rate_per_s"], body["target_ms"], body["quantile"]) == (500.0, 100.0, 99)
    assert body["predicted_p99_ms"] <= 100
    assert body["fit"]["executions"] > 1_000
    present = body["present"]
    assert present["measured_p99_ms"] == pytest.approx(20, rel=0.1)
    assert present["error_ratio_p99"] == pytest.approx(present["predicted_p99_ms"] / present["measured_p99_ms"] - 1)
    assert body["assumptions"]
    by_policy = viewer("GET", "/models/digits/capacity?rate_per_s=500").json()
    assert (by_policy["target_ms"], by_policy["quantile"]) == (0.0, 99)
    assert viewer("GET", "/models/digits/capacity?rate_per_s=500&p95_ms=100").json()["quantile"] == 95


def test_capacity_without_load_says_what_is_missing(viewer: Caller, digits: Model) -> None:
    body = viewer("GET", "/models/digits/capacity?rate_per_s=500&p99_ms=100").json()
    assert (body["instances"], body["limited_by"], body["fit"], body["present"]) == (None, "fit", None, {})
    assert "send some load" in body["words"]
    measure(datetime.now(UTC), name="digits", histogram={"x": 1})  # nor from what cannot be read
    assert viewer("GET", "/models/digits/capacity?rate_per_s=500").json()["limited_by"] == "fit"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "rate_per_s"),
        ("rate_per_s=", "rate_per_s"),
        *((f"rate_per_s={value}", "rate_per_s") for value in ("0", "-1", "nan", "inf", "1e10", "ten", "9" * 2_000)),
        *((f"rate_per_s=1&p99_ms={value}", "p99_ms") for value in ("-1", "nan", "-inf", "1e300", "x")),
        ("rate_per_s=1&p99_ms=1&p95_ms=1", "p95_ms"),
        ("rate_per_s=1&p50_ms=1", "p50_ms"),
    ],
)
def test_a09_a_question_that_cannot_be_asked_is_named(query: str, field: str, viewer: Caller, digits: Model) -> None:
    answer = viewer("GET", f"/models/digits/capacity?{query}")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field]), answer.content


def test_the_largest_question_has_an_answer(viewer: Caller, digits: Model) -> None:
    measure(datetime.now(UTC), name="digits")
    for query in ("rate_per_s=1e9&p99_ms=1e9", "rate_per_s=0.001&p99_ms=0.000001", "rate_per_s=1e9&p95_ms=0"):
        answer = viewer("GET", f"/models/digits/capacity?{query}")
        assert (answer.status_code, answer.json()["instances"] is None or answer.json()["instances"] > 0) == (200, True)


# The cache.


def report_cache(age_s: float = 0, **changes: Any) -> None:
    said: dict[str, Any] = dict.fromkeys(
        ("bytes", "entries", "hits", "misses", "insertions", "evictions", "expirations"), 10
    )
    said |= {"state": "on", "eviction": "lru", "max_bytes": 64 * 2**20, **changes}
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    NodeStatus.objects.update_or_create(name="web", defaults={"at": at, "info": {"caches": {"digits": said}}})


def points(*pairs: tuple[int, float]) -> list[dict[str, float]]:
    return [{"size_bytes": mib * 2**20, "hit_ratio": 0.5, "saved_ms_per_s": ms} for mib, ms in pairs]


def test_the_cache_s_report_has_the_curve_and_what_more_would_save(viewer: Caller, digits: Model) -> None:
    assert viewer("GET", "/models/digits/cache").json() == {"report": None}
    curve = points((32, 100.0), (64, 150.0), (256, 450.0))
    report_cache(curve=curve, second_level={"hits": 3, "state": "open", "message": "It failed."})
    report = viewer("GET", "/models/digits/cache").json()["report"]
    assert (report["hit_ratio"], report["state"], report["eviction"]) == (0.5, "on", "lru")
    assert (report["next_mib"], report["next_saves_ms_per_s"]) == (64, 100.0)
    assert report["curve"] == curve
    assert (report["second_level"]["hits"], report["second_level"]["state"]) == (3, "open")


@pytest.mark.parametrize(
    ("curve", "saves"), [([], None), (points((32, 100.0)), 0.0), (points((32, 100.0), (96, 260.0)), 80.0)]
)
def test_beyond_what_the_curve_knows_nothing_more_is_promised(
    curve: list[Any], saves: float | None, viewer: Caller, digits: Model
) -> None:
    report_cache(curve=curve)
    report = viewer("GET", "/models/digits/cache").json()["report"]
    assert (report["next_saves_ms_per_s"], report["second_level"]) == (saves, None)


def test_a_report_that_is_old_is_none(viewer: Caller, digits: Model) -> None:
    report_cache(age_s=60)
    assert viewer("GET", "/models/digits/cache").json() == {"report": None}
    answer = viewer("GET", "/models/digits/cache?version=1")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["version"])
