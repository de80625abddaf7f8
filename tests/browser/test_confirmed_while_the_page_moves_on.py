"""A head that follows by itself does not take away what a person is about to confirm."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from bench.harness import Site
from tests.browser.test_journey import log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# As if the model's version had just changed its state: the head is asked for anew, if nothing keeps it. Resolved when
# the next two seconds have come, each of which says what is true.
ANOTHER_STATE = """async () => {
  const names = performance.getEntriesByType("resource").map((entry) => entry.name);
  const { live } = await import(names.find((name) => /\\/lib\\/live[^/]*\\.js/u.test(name)));
  const { versions } = live.state;
  live.state = { ...live.state, versions: [{ model: "digits", version: 1, state: "draining" }] };
  live.dispatchEvent(new Event("second"));
  live.state = { ...live.state, versions };
  for (const _ of [1, 2]) await new Promise((done) => live.addEventListener("second", done, { once: true }));
}"""


def test_what_is_confirmed_is_done_though_the_model_has_changed_its_state_meanwhile(site: Site, page: Page) -> None:
    log_in(page, site)
    page.goto("/models/digits/")
    expect(page.locator("#live-status")).to_have_text("Live")
    expect(page.locator("#model-state")).to_have_text("Ready")
    page.get_by_role("button", name="Unload").click()
    page.evaluate(ANOTHER_STATE)
    page.locator("#confirm-go").click()
    expect(page.locator("#model-state")).to_have_text("Unloaded")
    page.get_by_role("button", name="Load", exact=True).click()
    expect(page.locator("#model-state")).to_have_text("Ready")
