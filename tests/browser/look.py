"""What each page is held to wherever it is shown: axe, the console, its width, and that nothing jumps."""

from __future__ import annotations

from playwright.sync_api import Browser, BrowserContext, Page

from bench.browser import THEMES, Person, window
from bench.harness import ROOT, Site

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


def seen_by(
    browser: Browser, site: Site, person: Person | None, language: str, width: int, theme: str
) -> BrowserContext:
    """A window that watches for what moves in it."""
    context = window(browser, site, person, language=language, width=width, theme=theme)
    context.add_init_script(OBSERVER)
    return context


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
