"""Every page at two widths, in both themes and both languages: axe, console, width, and nothing that jumps."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Browser

from bench.browser import Person, log_in, pages
from bench.harness import Site
from tests.browser import look
from tests.browser.test_journey import load

pytestmark = [pytest.mark.browser, pytest.mark.slow]
VALUES = {"name": ["digits", "bare"], "number": ["1"], "key_id": [], "request_id": []}
OPEN_PAGES = ("/login/",)
LOAD_S = 3


# By language: the theme in which each width is loaded and read by axe. Colours do not differ by language, so the other
# theme's contrast is read in the first one only.
DRESSES = {"en": {1440: "light", 390: "dark"}, "zh-hans": {1440: "dark", 390: "light"}}


@pytest.fixture(scope="module")
def person(site: Site, browser: Browser) -> Person:
    """An admin; there is a model without a version, a file that failed, and some load behind."""
    key = site.admin_key()
    site.api("POST", "/api/v1/models", key, {"name": "bare", "description": "Nothing is uploaded yet."})
    site.api("PATCH", "/api/v1/models/digits/policy", key, {"cache_max_mib": 32})
    with load(site, "digits"):
        time.sleep(LOAD_S)
    return log_in(browser, site)


@pytest.fixture(scope="module")
def addresses(site: Site, person: Person) -> list[str]:
    """Every page that there is."""
    return list(pages(site, person, VALUES))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("language", DRESSES)
def test_every_page_is_right_in_every_dress(
    site: Site, browser: Browser, person: Person, addresses: list[str], language: str
) -> None:
    assert len(addresses) >= 15
    faults: list[str] = []
    for who, shown in ((person, addresses), (None, OPEN_PAGES)):
        first, other = (
            look.Watched(browser, site, who, language=language, width=width, theme=theme)
            for width, theme in DRESSES[language].items()
        )
        for address in shown:
            faults += look.faults_of(first, other, address, in_all_themes=language == "en")
            spoken = first.page.evaluate("document.documentElement.lang")
            faults += [] if spoken == language else [f"{address}: speaks {spoken}"]
        first.close()
        other.close()
    assert not faults, "\n".join(faults)
