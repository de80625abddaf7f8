"""A server as script/server starts it, and Debian's Chromium.

A journey's screenshots are kept only when SCREENSHOTS names a folder; `bench/pages --screens` pictures every page.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from bench.browser import CHROMIUM, FLAGS, Person, log_in
from bench.harness import ROOT, Site, running_site
from tests.browser.dresses import Dress
from tests.browser.hands import MEANS, Hand
from tests.browser.look import Watched
from tests.browser.rig import Rig

PATIENCE_MS = 60_000
HUNG_AFTER_S = 600
"""The first test waits for a server that trains and checks its demo models, beside other tests."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of the browser is given the time that the server's first start may take."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(HUNG_AFTER_S))


def collect_static() -> None:
    """Build the static files unless nothing changed since: to compress them all takes longer than most tests."""
    subprocess.run([ROOT / "script/assets"], check=True)
    built = ROOT / "static_built/staticfiles.json"
    sources = (path for folder in ("static", "static_vendor") for path in (ROOT / folder).rglob("*"))
    newest = max(path.stat().st_mtime for path in (*sources, ROOT / "requirements.txt"))
    if built.exists() and built.stat().st_mtime > newest:
        return
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "dlproxy_site.settings.default"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    collect_static()
    with running_site() as running:
        yield running


@pytest.fixture(scope="session")
def digits_file(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits model, trained anew as a person would before uploading it."""
    folder = tmp_path_factory.mktemp("digits")
    site.manage("train_digits", str(folder))
    return folder / "digits.pt"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MS)
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


def is_fault(message: ConsoleMessage) -> bool:
    """Whether a line of the console says that something is broken. Only a test takes a loopback server's net away."""
    expected = ("responded with a status of 4", "net::ERR_INTERNET_DISCONNECTED")
    return message.type == "error" and not any(words in message.text for words in expected)


@pytest.fixture
def page(site: Site, browser: Browser) -> Iterator[Page]:
    """A page of a fresh visitor. A fault of its scripts or of the server fails the test; a refusal (4xx) is none."""
    context = browser.new_context(base_url=f"http://127.0.0.1:{site.port}", viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text) if is_fault(message) else None)
    yield opened
    context.close()
    assert not complaints


@pytest.fixture
def picture(page: Page) -> Callable[[str], None]:
    """Keep a screenshot under this name, when asked for."""
    folder = os.environ.get("SCREENSHOTS")

    def take(name: str) -> None:
        if folder:
            path = ROOT / folder
            path.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=path / f"{name}.png", animations="disabled")

    return take


@pytest.fixture(scope="session")
def rig(site: Site) -> Rig:
    """The server as a program sees it: what a journey has done is looked up here, not on the page."""
    return Rig(site)


@pytest.fixture(scope="session")
def admin(site: Site, browser: Browser) -> Person:
    """The first admin, logged in once."""
    return log_in(browser, site)


@pytest.fixture
def hand(site: Site, browser: Browser, admin: Person, request: pytest.FixtureRequest) -> Iterator[Hand]:
    """An admin in a window of their own, in the dress of the parameter. What is wrong with the pages fails the test."""
    dress: Dress = request.param
    watched = Watched(browser, site, admin, language=dress.language, width=dress.width, theme=dress.theme)
    watched.page.set_default_timeout(PATIENCE_MS)
    one = MEANS[dress.means](watched, dress)
    yield one
    assert not one.end()
