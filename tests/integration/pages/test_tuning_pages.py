"""The tuning pages: decisions as cards with evidence, modes, freezing, a running trial, and what a load would need."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from models_admin.models import Decision, MetricSample, Model, Policy, TuningState, TuningSwitch
from models_admin.models.control import DecisionStatus
from models_admin.services import policies, tuning
from models_admin.services.actors import Actor

PAGE = "/models/digits/tuning/"
PREDICTED = {
    "metric": "p99_ms",
    "before": 31.0,
    "after": 22.0,
    "better": "lower",
    "proposal": {"settle_s": 5.0},
    "load": 7,
    "aim": "better",
    "gain_ratio": 0.3,
}


def words(response: HttpResponse) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())).replace(" .", ".")


def decision(model: Model, **fields: Any) -> Decision:
    """A proposal of tuning to double the largest batch."""
    values = {
        "knob": "max_batch_rows",
        "from_value": "32",
        "to_value": "64",
        "reason": "batches_full",
        "explanation": "61% of the batches are <b>full</b>.",
        "expected": "p99 31 → 22 ms",
        "predicted": PREDICTED,
        "actor": "system:tuner",
        "status": DecisionStatus.ADVISED,
    }
    return Decision.objects.create(model=model, **{**values, **fields})


def measure(model: Model, around: Any, *, before_ms: float, after_ms: float) -> None:
    """A second of measurements for each second from 30 s before to 35 s after."""
    MetricSample.objects.bulk_create(
        MetricSample(
            model_name=model.name,
            at=around + timedelta(seconds=offset),
            requests=100,
            p99_ms=before_ms if offset < 0 else after_ms,
        )
        for offset in range(-30, 36)
        if offset not in (10, 11, 12, 13)
    )


def windows(applied_unix_s: float) -> dict[str, Any]:
    return {
        "before": {"p99_ms": 30.0, "start_unix_s": applied_unix_s - 30, "length_s": 30},
        "after": {"p99_ms": 24.0, "start_unix_s": applied_unix_s + 5, "length_s": 30},
    }


@pytest.fixture
def kept(digits: Model) -> Decision:
    """A change that was tried and kept, with its measurements; in force."""
    Policy.objects.filter(model=digits).update(max_batch_rows=64)
    applied = timezone.now() - timedelta(minutes=5)
    measure(digits, applied, before_ms=30.0, after_ms=24.0)
    measured = windows(applied.timestamp())
    return decision(
        digits, status=DecisionStatus.KEPT, applied_at=applied, measured=measured, outcome="p99 30 → 24 ms: kept."
    )


def test_without_a_decision_the_feed_teaches(staff: Client, digits: Model) -> None:
    Decision.objects.all().delete()
    for url in ("/tuning/", PAGE):
        page = words(staff.get(url))
        assert "No decision yet" in page
        assert "By default it only advises" in page
    assert "Tuning has not looked at this model yet" in words(staff.get(PAGE))


def test_a_proposal_is_a_card_with_its_reason_and_expectation_and_is_escaped(staff: Client, digits: Model) -> None:
    decision(digits)
    response = staff.get(PAGE)
    page = words(response)
    assert "Largest batch 32 rows → 64 rows" in page
    assert "Expected 31 ms 22 ms" in page
    assert "<b>full</b>" not in response.content.decode()
    assert "Proposed" in page
    assert "evidence__line" not in response.content.decode()  # nothing was measured yet


def test_a_proposal_is_applied_measured_and_undone_from_the_page(staff: Client, digits: Model) -> None:
    card = decision(digits)
    applied = staff.post(f"/tuning/decisions/{card.pk}/apply/", {"on_model": "1", "query": "knob=max_batch_rows"})
    assert applied.headers["Location"] == f"{PAGE}?knob=max_batch_rows"
    assert Policy.objects.get(model=digits).max_batch_rows == 64
    page = words(staff.get(PAGE))
    assert "Being measured" in page
    assert "until it is measured" in page
    undone = staff.post(f"/tuning/decisions/{card.pk}/undo/", {"on_model": "1"}, follow=True)
    assert "It is undone." in words(undone)
    assert Policy.objects.get(model=digits).max_batch_rows == 32
    assert "undoes an earlier decision" in words(staff.get(PAGE))


def test_a_proposal_is_dismissed(staff: Client, digits: Model) -> None:
    card = decision(digits)
    response = staff.post(f"/tuning/decisions/{card.pk}/dismiss/", follow=True)
    assert response.redirect_chain == [("/tuning/", 302)]
    card.refresh_from_db()
    assert card.status == DecisionStatus.DISMISSED


def test_what_cannot_be_applied_now_says_why_and_is_refused_in_words(
    staff: Client, digits: Model, actor: Actor
) -> None:
    card = decision(digits)
    policies.update_policy(actor=actor, model=digits, max_batch_rows=16)
    response = staff.post(f"/tuning/decisions/{card.pk}/apply/", follow=True)
    assert "Largest batch is 16 rows now" in words(response)
    tuning.set_frozen(actor=actor, frozen=True)
    page = staff.get(PAGE)
    assert "All tuning is frozen; resume it first." in words(page)
    assert re.search(rf'id="apply-{card.pk}" disabled', page.content.decode())
    assert staff.post("/tuning/decisions/99999/apply/").status_code == 404


def test_a_trial_blocks_the_next_proposal_of_the_same_model(staff: Client, digits: Model) -> None:
    running = decision(
        digits,
        knob="cache_max_mib",
        from_value="64",
        to_value="128",
        status=DecisionStatus.MEASURING,
        applied_at=timezone.now(),
    )
    TuningState.objects.create(model=digits, trial=running)
    decision(digits)
    assert "Cache size is being measured; one knob at a time." in words(staff.get(PAGE))


def test_evidence_is_drawn_from_what_was_measured_and_gaps_stay_gaps(staff: Client, kept: Decision) -> None:
    html = staff.get(PAGE).content.decode()
    path = re.search(r'evidence__line" d="([^"]+)"', html)
    assert path is not None
    assert path.group(1).count("M") == 2  # the four seconds without a measurement are no line
    assert path.group(1).count("L") == 60
    page = words(staff.get(PAGE))
    assert "Measured 30 ms 24 ms" in page
    assert "Kept" in page
    assert 'id="undo-' in html


def test_without_measurements_only_the_windows_are_drawn(staff: Client, kept: Decision) -> None:
    MetricSample.objects.all().delete()
    html = staff.get(PAGE).content.decode()
    assert "evidence__line" not in html
    assert html.count('class="evidence__level ') == 3


def test_a_decision_that_was_overtaken_offers_no_undo(staff: Client, kept: Decision, actor: Actor) -> None:
    policies.update_policy(actor=actor, model=kept.model, max_batch_rows=8)
    assert f'id="undo-{kept.pk}"' not in staff.get(PAGE).content.decode()


def test_what_people_and_scaling_did_stands_in_the_same_feed(staff: Client, digits: Model, actor: Actor) -> None:
    policies.update_policy(actor=actor, model=digits, placement="random")
    page = words(staff.get("/tuning/"))
    assert "Placement Least outstanding → Random" in page
    assert "Instances 1 → 2" in page
    assert "by user:alice" in page


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("status=kept", True),
        ("status=advised", False),
        ("knob=max_batch_rows", True),
        ("knob=cache_max_mib", False),
        ("model=digits", True),
        ("model=empty", False),
        ("knob=%00&status=%3Cscript%3E", False),
    ],
)
def test_filters_are_in_the_url(staff: Client, kept: Decision, query: str, shown: bool) -> None:
    response = staff.get(f"/tuning/?{query}")
    assert (f'id="decision-{kept.pk}"' in response.content.decode()) is shown
    assert "<script>" not in response.content.decode().replace("<script src", "")
    if not shown:
        assert "Clear filters" in words(response)


def test_the_feed_is_sent_again_only_when_it_has_changed(staff: Client, kept: Decision) -> None:
    for url, part in (("/tuning/", "/tuning/feed/"), (PAGE, f"{PAGE}feed/")):
        seen = staff.get(url).context["seen"]
        assert staff.get(part, {"seen": seen}).status_code == 204
        Decision.objects.filter(pk=kept.pk).update(outcome=f"other words {url}")
        again = staff.get(part, {"seen": seen})
        assert again.status_code == 200
        assert f"other words {url}" in words(again)


@pytest.mark.parametrize(
    ("settle_s", "age_s", "phase"),
    [(600, 1, "seconds until it is measured."), (0, 1, "left to measure."), (0, 90, "the verdict comes")],
)
def test_a_running_trial_shows_how_far_it_has_come(
    staff: Client, digits: Model, settle_s: float, age_s: float, phase: str
) -> None:
    running = decision(
        digits,
        status=DecisionStatus.MEASURING,
        applied_at=timezone.now() - timedelta(seconds=age_s),
        predicted={**PREDICTED, "proposal": {"settle_s": settle_s}},
    )
    TuningState.objects.create(model=digits, trial=running)
    for url in (PAGE, f"{PAGE}now/", "/tuning/", "/tuning/running/"):
        assert phase in words(staff.get(url))


def test_the_last_look_says_why_nothing_was_done(staff: Client, digits: Model) -> None:
    look = {
        "words": "Too little load.",
        "at": "2026-01-01T00:00:00+00:00",
        "by_knob": {"placement": "One <i>instance."},
    }
    until = timezone.now() + timedelta(minutes=1)
    TuningState.objects.create(model=digits, look=look, cooldown_until=until)
    page = staff.get(PAGE)
    assert "Too little load. Rests until" in words(page)
    assert "One &lt;i&gt;instance." in page.content.decode()
    TuningState.objects.update(look={"words": 3, "at": "soon", "by_knob": []}, cooldown_until=None)
    assert staff.get(PAGE).status_code == 200


def test_a_mode_is_saved_and_the_selector_comes_back_with_it(staff: Client, digits: Model) -> None:
    sent = {"knob": "cache_max_mib", "mode": "automatic"}
    response = staff.post(f"{PAGE}mode/", sent)
    assert "Saved" in words(response)
    assert '<option value="automatic" selected>' in response.content.decode()
    assert Policy.objects.get(model=digits).tuning_modes == {"cache_max_mib": "automatic"}
    staff.post(f"{PAGE}mode/", {"knob": "instances", "mode": "off"})
    assert not Policy.objects.get(model=digits).autoscale
    refused = staff.post(f"{PAGE}mode/", {"knob": "cache_max_mib", "mode": "<b>"})
    assert "form-error" in refused.content.decode()
    assert "<b>" not in refused.content.decode()
    assert staff.post(f"{PAGE}mode/", {"knob": "none", "mode": "off"}).status_code == 404


def test_all_tuning_is_frozen_and_resumed_with_one_click(staff: Client, viewer: Client, digits: Model) -> None:
    response = staff.post("/tuning/freeze/", {"model": "digits", "query": "status=kept"}, follow=True)
    assert response.redirect_chain == [(f"{PAGE}?status=kept", 302)]
    assert TuningSwitch.objects.get().frozen
    assert "user:alice froze it" in words(viewer.get("/tuning/"))
    assert "Resume tuning" not in words(viewer.get("/tuning/"))
    staff.post("/tuning/resume/", {"model": "no\0ne"})
    assert not TuningSwitch.objects.get().frozen


def test_a_way_back_leads_nowhere_else(staff: Client, digits: Model) -> None:
    response = staff.post("/tuning/freeze/", {"model": "//evil.example", "query": "next=//evil.example&page=2"})
    assert response.headers["Location"] == "/tuning/?page=2"


def test_the_objective_is_said_with_its_target(staff: Client, digits: Model) -> None:
    assert "Lowest latency" in words(staff.get(PAGE))
    Policy.objects.filter(model=digits).update(objective="lowest_cost", latency_target_ms=25, latency_quantile=95)
    assert "Lowest cost that holds p95 at 25 ms" in words(staff.get(PAGE))


@pytest.mark.parametrize("url", ["/decisions/", "/models/digits/decisions/"])
def test_addresses_of_earlier_releases_lead_to_the_tuning_pages(staff: Client, digits: Model, url: str) -> None:
    assert staff.get(f"{url}?page=2").headers["Location"] == url.replace("decisions", "tuning") + "?page=2"
    assert staff.get(url).headers["Location"] == url.replace("decisions", "tuning")


def served(model: Model, seconds: int = 30) -> None:
    """Half a minute of 40 requests a second in executions of two sizes."""
    now = timezone.now().replace(microsecond=0)
    rows = []
    for age in range(seconds):
        inferences, executions = (40, 40) if age % 2 else (60, 20)
        busy_s = executions * 0.002 + inferences * 0.0005
        shared = {"at": now - timedelta(seconds=age), "requests": inferences, "instances": 1, "busy_ratio": busy_s}
        rows.append(MetricSample(model_name="", **shared))
        figures = {
            "p95_ms": 5.0,
            "p99_ms": 6.0,
            "mean_ms": 4.0,
            "compute_mean_ms": 3.0,
            "histogram": {"150": inferences},
        }
        rows.append(
            MetricSample(model_name=model.name, inferences=inferences, executions=executions, **shared, **figures)
        )
    MetricSample.objects.bulk_create(rows)


def test_the_capacity_panel_says_what_is_missing_without_load(staff: Client, digits: Model) -> None:
    assert "Nothing was executed lately" in words(staff.get(f"{PAGE}?rate=100&latency=20"))


def test_the_capacity_panel_answers_and_stands_beside_what_is_measured(staff: Client, digits: Model) -> None:
    served(digits)
    opened = words(staff.get(PAGE))
    assert "Ask for a rate to see how many instances" in opened
    response = staff.get("/models/digits/capacity/?rate=500&latency=0&quantile=99")
    page = words(response)
    assert response.headers["HX-Push-Url"] == f"{PAGE}?rate=500&latency=0&quantile=99"
    assert int(re.search(r'id="capacity-instances">(\d+)<', response.content.decode()).group(1)) >= 1  # type: ignore[union-attr]
    assert "for 500 requests/s" in page
    assert "What this assumes" in page
    assert re.search(r"p99 \S+ ms \S+ ms [+-]\d+%", page)
    assert words(staff.get(f"{PAGE}?rate=500&latency=0&quantile=99")).count("for 500 requests/s") == 1


@pytest.mark.parametrize("query", ["rate=0", "rate=-1", "rate=x", "rate=nan", "rate=1e99", "rate=5&latency=inf"])
def test_a_question_that_cannot_be_answered_says_what_to_ask(staff: Client, digits: Model, query: str) -> None:
    served(digits)
    for url in (PAGE, "/models/digits/capacity/"):
        response = staff.get(f"{url}?{query}")
        assert response.status_code == 200
        assert re.search(r"Ask for a (rate|latency).*billion", words(response))
        assert "form-error" in response.content.decode()


def test_lists_and_modes_are_shown_in_words_and_undone_whatever_their_length(
    staff: Client, digits: Model, actor: Actor
) -> None:
    modes = {"max_batch_rows": "automatic", "cache_max_mib": "automatic", "placement": "off"}
    policies.update_policy(actor=actor, model=digits, tuning_modes=modes, preferred_batch_rows=[1, 4])
    page = staff.get(PAGE)
    assert "Modes of tuning advise on each → Cache size: automatic; Largest batch: automatic; Placement: off" in words(
        page
    )
    assert "Preferred sizes none → 1, 4" in words(page)
    row = Decision.objects.get(knob="tuning_modes")
    assert f"/tuning/decisions/{row.pk}/undo/" in page.content.decode()
    staff.post(f"/tuning/decisions/{row.pk}/undo/")
    assert Policy.objects.get(model=digits).tuning_modes == {}
    assert f"/tuning/decisions/{row.pk}/undo/" not in staff.get(PAGE).content.decode()
