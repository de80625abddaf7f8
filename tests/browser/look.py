"""What each page is held to wherever it is shown: axe, the console, its width, and that nothing jumps."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from bench.harness import HOST, ROOT, Site
from models_admin.dashboard.urls import urlpatterns

AXE = (ROOT / "node_modules/axe-core/axe.min.js").read_text
# Two live seconds, so that the figures which come by the socket have come.
SETTLE_MS = 2_200
MOST_SHIFT = 0.05
# Runs before the page's own scripts: adds up what moved without anybody's doing.
OBSERVER = """
window.__shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.__shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
RULES = """async (only) => {
  const options = only ? { runOnly: { type: "rule", values: only } } : {};
  const found = await axe.run(document, { resultTypes: ["violations"], ...options });
  const where = (one) => one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(" | ");
  return found.violations.map((one) => `${one.id}: ${where(one)}`);
}"""
WIDTHS = {1440: 900, 390: 844}
THEMES = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Person:
    """A logged-in browser session, to be put into any context."""

    cookies: list[Any]


def log_in(browser: Browser, site: Site) -> Person:
    """Log in once, by the form."""
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


def seen_by(
    browser: Browser, site: Site, person: Person | None, language: str, width: int, theme: str
) -> BrowserContext:
    """A browser window of `width` pixels in a language and a theme; None: a visitor who has not logged in."""
    window = {"width": width, "height": WIDTHS[width]}
    context = browser.new_context(base_url=f"http://{HOST}:{site.port}", viewport=window)
    chosen = {"dlproxy_language": language, "dlproxy_theme": theme}
    url = f"http://{HOST}:{site.port}"
    context.add_cookies(
        [*(person.cookies if person else []), *({"name": n, "value": v, "url": url} for n, v in chosen.items())]
    )
    context.add_init_script(OBSERVER)
    return context


def pages(site: Site, person: Person, values: dict[str, list[str]]) -> Iterator[str]:
    """Every address of the dashboard that answers a GET with a whole page, filled in with `values`."""
    cookie = "; ".join(f"{one['name']}={one['value']}" for one in person.cookies)
    for address in sorted(set(filled(values))):
        connection = http.client.HTTPConnection(HOST, site.port, timeout=30)
        connection.request("GET", address, headers={"Cookie": cookie})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status == 200 and b"<html" in body and b"</html>" in body:
            yield address


def filled(values: dict[str, list[str]]) -> Iterator[str]:
    """The patterns of the dashboard's URLs with each of the known values in their places."""
    for pattern in urlpatterns:
        addresses = [f"/{pattern.pattern}"]
        for name in re.findall(r"<[a-z]+:[a-z_]+>", str(pattern.pattern)):
            known = values.get(name.partition(":")[2].rstrip(">"), [])
            addresses = [address.replace(name, value) for address in addresses for value in known]
        yield from addresses


def faults_of(page: Page, address: str, theme: str) -> list[str]:
    """Open the page and say everything that is wrong with it, in this window's theme and in the other."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
    page.on("console", lambda line: complaints.append(f"console: {line.text}") if line.type == "error" else None)
    page.goto(address)
    page.wait_for_timeout(SETTLE_MS)
    shift = page.evaluate("window.__shift")
    if shift > MOST_SHIFT:
        complaints.append(f"moved by {shift:.3f}")
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        complaints.append(f"{wide} pixels wider than the window")
    page.evaluate(AXE())
    complaints += [f"axe {theme}: {words}" for words in page.evaluate(RULES, None)]
    other = THEMES[1 - THEMES.index(theme)]
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", other)
    complaints += [f"axe {other}: {words}" for words in page.evaluate(RULES, ["color-contrast"])]
    return [f"{address}: {words}" for words in complaints]
