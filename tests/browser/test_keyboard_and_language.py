"""What can be done without a mouse, and the switches of language and theme."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from bench.harness import Site
from tests.browser.test_journey import log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_shortcuts_are_listed_and_lead_to_their_pages(page: Page, site: Site) -> None:
    log_in(page, site)
    expect(page.locator("#live-status")).to_have_text("Live")  # the page's scripts run
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("Go to: System")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="System", exact=True)).to_be_visible()
    page.keyboard.press("/")
    expect(page.locator("#model-search")).to_be_focused()
    page.keyboard.type("digits")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?q=digits"))
    page.goto("/models/digits/")
    page.keyboard.press("2")
    expect(page).to_have_url(re.compile(r"/models/digits/requests/$"))


def test_the_first_tab_skips_to_the_content_and_focus_is_seen(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto("/keys/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    unseen = []
    for _ in range(25):
        page.keyboard.press("Tab")
        shown = page.evaluate("""() => {
          const node = document.activeElement, style = getComputedStyle(node);
          return node === document.body || style.outlineStyle !== "none" || style.boxShadow !== "none";
        }""")
        if not shown:
            unseen.append(page.evaluate("document.activeElement.outerHTML.slice(0, 80)"))
    assert not unseen


def test_a_moment_is_shown_in_the_viewers_zone_with_its_utc_behind(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto("/audit/")
    first = page.locator("time[data-local]").first
    expect(first).to_have_attribute("title", re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$"))
    local = page.evaluate("""() => {
      const moment = new Date(document.querySelector("time[data-local]").dateTime);
      const two = (value) => String(value).padStart(2, "0");
      return `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
    }""")
    expect(first).to_contain_text(local)


LIGHTNESS = """() => {
  const canvas = document.querySelector("[data-chart=rate] canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const drawn = [...Array(data.length / 4).keys()].filter((at) => data[4 * at + 3] === 255);
  return drawn.reduce((sum, at) => sum + data[4 * at] + data[4 * at + 1] + data[4 * at + 2], 0) / (3 * drawn.length);
}"""


def test_what_is_printed_of_a_dark_page_has_charts_for_white_paper(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto("/models/digits/")
    page.evaluate("document.documentElement.dataset.theme = 'dark'; document.dispatchEvent(new Event('themechange'))")
    page.wait_for_function(f"() => ({LIGHTNESS})() < 128")
    page.evaluate(f"addEventListener('beforeprint', async () => {{ await null; window.printed = ({LIGHTNESS})(); }})")
    page.pdf()
    assert page.evaluate("window.printed") > 128
    page.wait_for_function(f"() => ({LIGHTNESS})() < 128")
