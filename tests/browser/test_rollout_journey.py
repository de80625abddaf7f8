"""The second version of `digits` in the browser: a canary that advances by itself, a promotion, and the way back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from bench.harness import Site, wait_ready
from tests.browser.conftest import PATIENCE_MS
from tests.browser.test_journey import load, log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]
VERSIONS = "/models/digits/versions/"
WIDTHS = {"wide": (1440, 900), "narrow": (390, 844)}
# The pages that this journey looks at, and the schemes of colour.
LOOKED_AT = {"rollout": VERSIONS, "policy": "/models/digits/policy/", "scaling": "/models/digits/", "keys": "/keys/"}
SCHEMES = ("light", "dark")


def look_at_each(page: Page, names: tuple[str, ...]) -> None:
    """Nothing is wider than the window, in any width and scheme."""
    for name in names:
        page.goto(LOOKED_AT[name])
        for width, (across, down) in WIDTHS.items():
            page.set_viewport_size({"width": across, "height": down})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert wide <= 0, (name, width)
    page.set_viewport_size({"width": 1440, "height": 900})


def default_of(site: Site) -> int:
    """The number of the default version."""
    status, model = site.api("GET", "/api/v1/models/digits", site.admin_key())
    assert status == 200
    return int(model["default_version"])


def test_a_canary_advances_is_promoted_and_rolled_back(page: Page, site: Site) -> None:
    log_in(page, site)
    before = default_of(site)
    page.goto(VERSIONS)
    page.get_by_text("Steps and limits").click()
    for row, (share, hold_s) in enumerate([("20", "4"), ("50", "600")], 1):
        page.get_by_label(f"Share in step {row}").fill(share)
        page.get_by_label(f"Hold time of step {row}").fill(hold_s)
    for row in (3, 4):
        page.get_by_label(f"Share in step {row}").fill("")
        page.get_by_label(f"Hold time of step {row}").fill("")
    page.get_by_label("Latency p99").fill("100")  # the candidate is slower, and a busy host makes it surely worse
    status, _ = site.api("PATCH", "/api/v1/models/digits/policy", site.admin_key(), {"cache_enabled": False})
    assert status == 200
    with load(site, "digits") as tallies:
        page.get_by_role("button", name="Start rollout").click()
        now = page.locator(".stages [aria-current=step] strong")
        expect(now).to_have_text("20 %")
        expect(now).to_have_text("50 %", timeout=PATIENCE_MS)  # by itself, on what was measured
        requests = page.locator("#rollout-live tbody tr").first.locator("td")
        for side in (0, 1):
            expect(requests.nth(side)).to_have_text(re.compile(r"\d{3}"), timeout=PATIENCE_MS)
        expect(page.locator("#rollout-words")).to_have_text(re.compile("^50 % for"))
        expect(page.get_by_label("Candidate’s share", exact=True)).to_have_value("50")  # follows by itself, too
        expect(page.get_by_role("button", name="Next step")).to_be_hidden()
        look_at_each(page, ("rollout",))
        page.goto(VERSIONS)
        page.get_by_role("button", name="Promote now").click()
        page.get_by_role("button", name="Promote", exact=True).click()
        expect(page.get_by_text(f"Version {before} is still warm")).to_be_visible()
        page.get_by_role("button", name="Roll back").click()
        page.locator("#confirm-go").click()
        expect(page.get_by_text("is back at the version before")).to_be_visible()
    assert sum(tally.right for tally in tallies) > 0
    assert sum(tally.wrong for tally in tallies) == 0
    assert default_of(site) == before
    look_at_each(page, ("policy", "scaling", "keys"))


def test_a_model_without_an_instance_says_why(page: Page, site: Site) -> None:
    log_in(page, site)
    status, _ = site.api("POST", "/api/v1/models/silero-vad/unload", site.admin_key())
    assert status == 200
    try:
        page.goto("/models/silero-vad/")
        expect(page.locator("#instances")).to_contain_text("No instance runs", timeout=PATIENCE_MS)
    finally:  # other tests ask it, in any order
        assert site.api("POST", "/api/v1/models/silero-vad/load", site.admin_key())[0] == 200
        wait_ready(site, ("silero-vad",))
