"""Debian's Chromium for measurements and pictures of the pages: logged in, at a width, in a language and a theme."""

from __future__ import annotations

import http.client
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ViewportSize, sync_playwright

from bench.harness import HOST, Site
from models_admin.dashboard.urls import urlpatterns

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
# Window's height by its width: a desk and a phone.
HEIGHTS = {1440: 900, 390: 844}
THEMES = ("light", "dark")
# Runs before a page's own scripts: adds up what moved without anybody's doing.
SHIFT_OBSERVER = """
window.__shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.__shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
# All is loaded, and the figures that the live socket brings are there.
IS_SETTLED = """() => {
  const live = document.getElementById("live-status");
  return document.readyState === "complete" && (!live || live.dataset.status === "live");
}"""


@dataclass(frozen=True, slots=True)
class Person:
    """A logged-in browser session, to be put into any window."""

    cookies: list[Any]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; RuntimeError where none is installed."""
    if CHROMIUM is None:
        raise RuntimeError("chromium is not installed")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


def log_in(browser: Browser, site: Site) -> Person:
    """The first admin, through the form."""
    context = browser.new_context(base_url=f"http://{HOST}:{site.port}", locale="en-GB")
    page = context.new_page()
    page.goto("/login/")
    page.get_by_label("User name").fill(site.first_run["admin_user"])
    page.get_by_label("Password").fill(site.first_run["admin_password"])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")
    cookies = context.cookies()
    context.close()
    return Person(cookies)


def window(
    browser: Browser, site: Site, person: Person | None, *, language: str, width: int, theme: str, csp: bool = True
) -> BrowserContext:
    """A window with a cold cache; `person` None: a visitor who has not logged in; `csp` False: it may reach others."""
    url = f"http://{HOST}:{site.port}"
    size: ViewportSize = {"width": width, "height": HEIGHTS[width]}
    context = browser.new_context(base_url=url, viewport=size, bypass_csp=not csp)
    chosen = {"dlproxy_language": language, "dlproxy_theme": theme}
    own = [{"name": name, "value": value, "url": url} for name, value in chosen.items()]
    context.add_cookies([*(person.cookies if person else []), *own])  # type: ignore[list-item]
    return context


def pages(site: Site, person: Person, values: dict[str, list[str]]) -> Iterator[str]:
    """Every address of the dashboard that answers a GET with a whole page, filled in with `values`."""
    cookie = "; ".join(f"{one['name']}={one['value']}" for one in person.cookies)
    for address in sorted(set(_filled(values))):
        connection = http.client.HTTPConnection(HOST, site.port, timeout=60)
        connection.request("GET", address, headers={"Cookie": cookie})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status == 200 and b"<html" in body and b"</html>" in body:
            yield address


def _filled(values: dict[str, list[str]]) -> Iterator[str]:
    """The patterns of the dashboard's URLs with each of the known values in their places."""
    for pattern in urlpatterns:
        addresses = [f"/{pattern.pattern}"]
        for name in re.findall(r"<[a-z]+:[a-z_]+>", str(pattern.pattern)):
            known = values.get(name.partition(":")[2].rstrip(">"), [])
            addresses = [address.replace(name, value) for address in addresses for value in known]
        yield from addresses
