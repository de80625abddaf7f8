"""Tuning and the cache in the browser: advice applied by mouse, measured under load, undone by keyboard; the curve.

(`bench/pages --screens` waits for a trial that was kept and pictures its card, and the curve.)
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from bench.harness import Site
from bench.turns import skewed_load
from tests.browser.conftest import PATIENCE_MS
from tests.browser.test_journey import log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]
TUNING = "/models/digits/tuning/"
CACHE = "/models/digits/cache/"
# A proposal as the tuner makes one, so that the journey does not depend on what this machine's load makes worth trying.
# The tuner rests meanwhile, so that none of its own takes its place; its time to settle is long enough for an undo on
# the slowest machine.
ADVISE = """
from datetime import timedelta
from django.utils import timezone
from models_admin.models import Model
from models_admin.models.control import DecisionStatus
from models_admin.services import tuning_trials
from proxy.core.policies import Knob
from proxy.tuner.tuning_view import Expectation, Proposal, Why
model = Model.objects.get(name="digits")
expectation = Expectation("p99_ms", 12.0, 9.0, True, "more rows an execution, so fewer executions to wait for")
words = "Batches of 2 rows are full, and requests wait for the next one."
proposal = Proposal(Knob.BATCH_ROWS, 2, 32, Why.BATCHES_FULL, words, expectation, settle_s=300.0)
state = tuning_trials.state_of(model)
state.cooldown_until = timezone.now() + timedelta(seconds=590)
state.save(update_fields=["cooldown_until"])
card = tuning_trials.row_of(model, proposal, load=8, fence=0)
card.status = DecisionStatus.ADVISED
card.save()
print("CARD", card.pk)
"""


def policy(site: Site, **fields: Any) -> None:
    """Change the policy of `digits` over the API."""
    status, answer = site.api("PATCH", "/api/v1/models/digits/policy", site.admin_key(), fields)
    assert status == 200, answer


def advised(site: Site) -> int:
    """A card that waits for a person; its number."""
    said = re.search(r"CARD (\d+)", site.manage("shell", "--command", ADVISE))
    assert said is not None
    return int(said.group(1))


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until `target` has the focus: it can be reached by keyboard."""
    for _ in range(200):
        if target.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("the keyboard does not reach it")


def test_advice_is_applied_by_mouse_measured_under_load_and_undone_by_keyboard(page: Page, site: Site) -> None:
    policy(site, cache_enabled=False, max_batch_rows=2)
    number = advised(site)
    log_in(page, site)
    with skewed_load(site) as tallies:
        page.wait_for_timeout(3_000)
        page.get_by_role("link", name="digits", exact=True).click()
        page.get_by_role("link", name="Tuning").last.click()
        card = page.locator(f"#decision-{number}")
        expect(card).to_contain_text("Largest batch 2 rows → 32 rows")
        expect(card).to_contain_text("Batches of 2 rows are full")
        card.get_by_role("button", name="Apply").click()
        expect(page.locator("#notices")).to_contain_text("It is applied, and measured now.")
        expect(page.locator("#tuning-now")).to_contain_text("Largest batch: 2 rows → 32 rows")
        expect(page.locator("#value-max_batch_rows")).to_contain_text("32 rows")
        page.reload()  # what is being measured survives it, and goes on by itself
        expect(page.locator("#tuning-now [aria-current=step]")).to_have_text(re.compile("settling|Measuring after"))
        drawn = page.locator(f"#decision-{number} .evidence__line")
        expect(drawn).to_have_attribute("d", re.compile(r"L"), timeout=PATIENCE_MS)
        undo = page.locator(f"#undo-{number}")
        tab_to(page, undo)
        page.keyboard.press("Enter")
        expect(page.locator("#notices")).to_contain_text("It is undone.")
        expect(page.locator("#value-max_batch_rows")).to_contain_text("2 rows")
        expect(page.locator(f"#decision-{number} .state")).to_have_text("Undone")
    assert not sum(tally.connection_errors + tally.timeouts for tally in tallies)
    assert not sum((tally.refused for tally in tallies), Counter())


def test_a_knobs_mode_and_freezing_work_by_keyboard_and_last(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto(TUNING)
    mode = page.get_by_label("Mode of Cache size")
    tab_to(page, mode)
    page.keyboard.press("End")  # the last one: automatic
    expect(page.locator(".mode", has=mode)).to_contain_text("Saved")
    expect(mode).to_be_focused()
    page.reload()
    expect(mode).to_have_value("automatic")
    page.get_by_role("button", name="Freeze all tuning").click()
    expect(page.get_by_text("All tuning stands still", exact=True)).to_be_visible()
    page.goto("/tuning/")
    page.get_by_role("button", name="Resume tuning").click()
    expect(page.get_by_text("Tuning runs")).to_be_visible()
    page.get_by_label("Status").select_option("applied")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile("status=applied"))
    expect(page.locator(".decision").first).to_contain_text("Applied")
    policy(site, tuning_modes={})  # no other test's policy is moved by itself


def test_the_curve_is_drawn_from_load_and_the_next_size_is_told(page: Page, site: Site) -> None:
    # Nothing but this test moves the cache's size, and the page is open already when the cache is switched on.
    policy(site, cache_enabled=False, cache_max_mib=1, tuning_modes={"cache_max_mib": "off"})
    log_in(page, site)
    page.goto(CACHE)
    panel = page.get_by_role("region", name="What size is worth")
    expect(page.locator("#cache-live .state")).to_have_text("Off")
    expect(panel).to_be_hidden()
    policy(site, cache_enabled=True)
    expect(panel).to_be_visible()
    with skewed_load(site):
        expect(page.locator("#curve-words")).to_have_text(re.compile("The next 64 MiB would save"), timeout=PATIENCE_MS)
        expect(page.locator("#curve-plot canvas")).to_be_visible()
        expect(page.locator("#cache-ratio")).to_have_text(re.compile(r"^\d+%$"))
    rows = page.locator("#curve-rows tr")
    assert rows.count() >= 5
    assert "now" in " ".join(page.locator("#curve-rows").all_text_contents())
    page.get_by_text("The curve in numbers").click()
    misses = [float(text.rstrip("%")) for text in page.locator("#curve-rows td:nth-child(2)").all_inner_texts()]
    assert misses == sorted(misses, reverse=True)  # a larger cache never misses more
    page.get_by_role("button", name="Drop all answers").click()
    page.locator("#confirm-go").click()
    expect(page.locator("#notices")).to_contain_text("are dropped")


def test_a_question_on_capacity_is_answered_in_place_and_stands_in_the_url(page: Page, site: Site) -> None:
    policy(site, cache_enabled=False)
    log_in(page, site)
    with skewed_load(site):
        page.wait_for_timeout(10_000)
        page.goto(TUNING)
        page.get_by_label("Requests a second").fill("50")
        page.keyboard.press("Enter")
        expect(page.locator("#capacity-answer")).to_contain_text("for 50 requests/s")
        expect(page.locator("#capacity-instances")).to_have_text(re.compile(r"^\d+$"))
        expect(page).to_have_url(re.compile("rate=50"))
        page.reload()
        expect(page.locator("#capacity-answer")).to_contain_text("for 50 requests/s")
