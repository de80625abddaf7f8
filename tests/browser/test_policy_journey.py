"""A policy saved while others move it, in the browser; keys that made keys; the page of the system looks again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from bench.harness import Site
from tests.browser.test_journey import log_in
from tests.browser.test_tuning_journey import tab_to

pytestmark = [pytest.mark.browser, pytest.mark.slow]
POLICY = "/models/digits/policy/"
POLICY_API = f"/api/v1{POLICY.removesuffix('/')}"


@pytest.fixture(scope="module")
def key(site: Site) -> str:
    """An administrator's key, made once: each takes a start of Django."""
    return site.admin_key()


@pytest.fixture
def move(site: Site, key: str) -> Iterator[Callable[..., None]]:
    """Change the policy as somebody else, who alone does so here; afterwards it is as the other tests know it."""

    def change(**fields: Any) -> None:
        status, answer = site.api("PATCH", POLICY_API, key, fields)
        assert status == 200, answer

    before = site.api("GET", POLICY_API, key)[1]
    knobs = (
        "max_batch_rows",
        "cache_max_mib",
        "placement",
        "cache_eviction",
        "max_queue_delay_ms",
        "concurrency_limit",
    )
    change(tuning_modes=dict.fromkeys(knobs, "off"), max_batch_rows=32)
    yield change
    change(tuning_modes=before["tuning_modes"], max_batch_rows=before["max_batch_rows"])


@pytest.mark.parametrize("width", [1440, 390])
def test_a_save_beside_tuning_is_told_and_undone_alone_by_keyboard(
    page: Page, site: Site, move: Callable[..., None], width: int
) -> None:
    log_in(page, site)
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(POLICY)
    age = page.get_by_label("Longest age")
    before = age.input_value()
    save = page.get_by_role("button", name="Save policy")
    expect(save).to_be_in_viewport()  # though the form is far longer than the window
    age.fill("91" if before == "90" else "90")
    move(max_queue_requests=901)  # as tuning would, after the form was read
    page.keyboard.press("Enter")
    expect(page.get_by_text("Policy saved")).to_be_visible()
    expect(page.get_by_label("Queue length", exact=True)).to_have_value("901")
    move(max_queue_requests=1_000)
    page.reload()
    expect(page.get_by_text(re.compile("Since then, key:bench changed “Queue length”"))).to_be_visible()
    tab_to(page, page.get_by_role("button", name="Undo my change"))
    page.keyboard.press("Enter")
    expect(page.locator("#notices")).to_contain_text("The change is undone.")
    expect(age).to_have_value(before)
    expect(page.get_by_label("Queue length", exact=True)).to_have_value("1000")


def test_a_field_that_somebody_else_set_meanwhile_is_set_by_saving_again(
    page: Page, site: Site, move: Callable[..., None]
) -> None:
    log_in(page, site)
    page.goto(POLICY)
    rows = page.get_by_role("spinbutton", name="Largest batch", exact=True)
    rows.fill("16")
    move(max_batch_rows=24)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("key:bench set “Largest batch” to 24 rows meanwhile.")
    expect(rows).to_have_value("16")
    page.get_by_role("button", name="Save policy").click()
    expect(page.get_by_text("Policy saved")).to_be_visible()
    expect(rows).to_have_value("16")


def test_a_key_that_leaked_is_revoked_with_those_made_with_it(page: Page, site: Site, key: str) -> None:
    status, parent = site.api("POST", "/api/v1/keys", key, {"name": "leaked", "scope": "admin"})
    assert status == 201
    assert site.api("POST", "/api/v1/keys", parent["secret"], {"name": "left behind"})[0] == 201
    log_in(page, site)
    page.goto("/keys/?state=active")
    page.get_by_role("button", name="With the 1 made with it").click()
    expect(page.locator("#confirm-words")).to_contain_text("1 key that was made with it ends, too")
    page.locator("#confirm-go").click()
    expect(page.locator("#notices")).to_contain_text("leaked and the keys made with it are revoked")
    page.get_by_label("State").select_option("revoked")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile("state=revoked"))
    expect(page.get_by_role("row", name=re.compile("left behind"))).to_contain_text("Revoked")
    assert site.api("GET", "/api/v1/models", parent["secret"])[0] == 401


def test_single_models_are_chosen_only_where_not_every_model_is(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto("/keys/")
    one = page.get_by_role("checkbox", name="digits")
    expect(one).to_be_hidden()
    page.get_by_label("Only these").check()
    expect(one).to_be_visible()


def test_the_set_up_is_looked_at_again_by_itself(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto("/system/")
    looked = page.locator("#setup .panel__head time")
    expect(page.locator("#setup")).to_contain_text("Celery worker")
    first = looked.get_attribute("datetime")
    assert first is not None
    expect(looked).not_to_have_attribute("datetime", first)
