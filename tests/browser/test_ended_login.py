"""A login that ends, or another person’s in another tab: nothing typed is lost, nothing done in a wrong name."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from bench.harness import Site
from tests.browser.test_journey import log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WORDS = "Typed while the login ended."


def test_what_was_typed_when_the_login_had_ended_stands_in_the_form_again(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto("/models/digits/")
    page.get_by_label("Description", exact=True).fill(WORDS)
    page.context.clear_cookies(name="dlproxy_session")
    page.get_by_role("button", name="Save description").click()
    page.get_by_label("User name").fill(site.first_run["admin_user"])
    page.get_by_label("Password").fill(site.first_run["admin_password"])
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#notices")).to_contain_text("Repeat it now.")
    expect(page.get_by_label("Description", exact=True)).to_have_value(WORDS)

    # As if the page had been made for somebody else, who logged out in another tab.
    page.evaluate("document.body.dataset.user = '0'")
    page.get_by_role("button", name="Save description").click()
    expect(page.get_by_role("heading", name="Another account is logged in")).to_be_visible()
    page.get_by_role("link", name="Back to the page").click()
    expect(page.get_by_label("Description", exact=True)).not_to_have_value(WORDS)
