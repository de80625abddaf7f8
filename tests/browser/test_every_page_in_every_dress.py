"""Every page at two widths, in both themes and both languages: axe, console, width, and nothing that jumps."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from bench.browser import Person, log_in, pages
from bench.harness import Site
from tests.browser import look
from tests.browser.test_journey import load

pytestmark = [pytest.mark.browser, pytest.mark.slow]
VALUES = {"name": ["digits", "bare"], "number": ["1"], "key_id": [], "request_id": []}
OPEN_PAGES = ("/login/",)


@pytest.fixture(scope="module")
def person(site: Site, browser: Browser) -> Person:
    """An admin; there is a model without a version, a file that failed, and some load behind."""
    key = site.admin_key()
    site.api("POST", "/api/v1/models", key, {"name": "bare", "description": "Nothing is uploaded yet."})
    site.api("PATCH", "/api/v1/models/digits/policy", key, {"cache_max_mib": 32})
    with load(site, "digits", 3):
        pass
    return log_in(browser, site)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("language", "width", "theme"),
    [("en", 1440, "light"), ("en", 390, "dark"), ("zh-hans", 1440, "dark"), ("zh-hans", 390, "light")],
)
def test_every_page_is_right_in_this_dress(
    site: Site, browser: Browser, person: Person, language: str, width: int, theme: str
) -> None:
    addresses = list(pages(site, person, VALUES))
    assert len(addresses) >= 15
    faults: list[str] = []
    context = look.seen_by(browser, site, person, language, width, theme)
    for address in addresses:
        page = context.new_page()
        faults += look.faults_of(page, address, theme)
        spoken = page.evaluate("document.documentElement.lang")
        faults += [] if spoken == language else [f"{address}: speaks {spoken}"]
        page.close()
    context.close()
    stranger = look.seen_by(browser, site, None, language, width, theme)
    for address in OPEN_PAGES:
        page = stranger.new_page()
        faults += look.faults_of(page, address, theme)
        page.close()
    stranger.close()
    assert not faults, "\n".join(faults)
