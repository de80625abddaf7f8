"""What each page is held to wherever it is shown: axe, the console, its width, and that nothing jumps."""

from __future__ import annotations

from playwright.sync_api import Browser, ConsoleMessage

from bench.browser import HEIGHTS, IS_SETTLED, SHIFT_OBSERVER, THEMES, Person, window
from bench.harness import ROOT, Site

AXE = (ROOT / "node_modules/axe-core/axe.min.js").read_text
MOST_SHIFT = 0.05
PATIENCE_MS = 60_000
SECOND_MS = 1_100
"""After the first live figures, so that a difference comes as well."""
RULES = """async (only) => {
  const options = only ? { runOnly: { type: "rule", values: only } } : {};
  const found = await axe.run(document, { resultTypes: ["violations"], ...options });
  const where = (one) => one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(" | ");
  return found.violations.map((one) => `${one.id}: ${where(one)}`);
}"""


BETWEEN = (1024, 768, 320)
"""Tablets on their side and upright (a desk's window at 200 % is like these), and the narrowest phone."""
LEAST_TARGET_PX = 40
# What a finger cannot well hit on a phone. A box of field and unit, or a tick and its words, answer as a whole.
SMALL_TARGETS = """(least) => {
  const asked = `button, .button, select, textarea, summary, .tabs a, .nav a, .segmented a,
    input:not([type=hidden], .visually-hidden)`;
  const ticks = "[type=checkbox], [type=radio]";
  const whole = (one) => [one, one.closest(".field__unit"), ...(one.matches(ticks) ? one.labels : [])];
  const height = (one) => Math.max(...whole(one).map((part) => part?.getBoundingClientRect().height ?? 0));
  return [...document.querySelectorAll(asked)]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && one.getBoundingClientRect().height > 1)
    .filter((one) => height(one) < least - 0.5)
    .map((one) => `${one.tagName.toLowerCase()}.${one.className} "${one.innerText.slice(0, 20)}" ${height(one)} px`);
}"""
# After a change of the window's width: charts draw themselves anew in the next frame.
TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
# Below 861 px a table of many columns is a list of cards, and scrolls no more than the page does.
SCROLLED_CARDS = """() => innerWidth > 860 ? [] : [...document.querySelectorAll(".table-wrap:has(> .cards)")]
  .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.innerText.slice(0, 40))"""

# Laid out as cards, a table's parts lose what a screen reader is told of them, unless it is said.
UNSAID_PARTS = """() => [...document.querySelectorAll(".cards, .cards :is(thead, tbody, tr, th, td)")]
  .filter((one) => !one.role).map((one) => `${one.tagName} "${one.innerText.slice(0, 20)}"`).slice(0, 3)"""


class Watched:
    """One page in a window of its own; keeps what its scripts and its console complain about."""

    def __init__(
        self, browser: Browser, site: Site, person: Person | None, *, language: str, width: int, theme: str
    ) -> None:
        self.width, self.theme = width, theme
        self.complaints: list[str] = []
        self._context = window(browser, site, person, language=language, width=width, theme=theme)
        self._context.add_init_script(SHIFT_OBSERVER)
        self.page = self._context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("console", self._note)

    def _note(self, line: ConsoleMessage) -> None:
        if line.type == "error":
            self.complaints.append(f"console: {line.text}")

    def look_at_movement(self) -> None:
        """What moved while the page loaded and lived, and what is wider than the window."""
        shift = self.page.evaluate("window.__shift")
        if shift > MOST_SHIFT:
            self.complaints.append(f"{self.width} px: moved by {shift:.3f}")
        self.look_at_width()

    def look_at_width(self) -> None:
        """Nothing is cut off or scrolls sideways."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            self.complaints.append(f"{self.width} px: {wide} pixels wider than the window")
        for table in self.page.evaluate(SCROLLED_CARDS):
            self.complaints.append(f"{self.width} px: the cards scroll sideways: {table}")
        for part in self.page.evaluate(UNSAID_PARTS):
            self.complaints.append(f"{self.width} px: a part of a table of cards has no role: {part}")

    def look_at_fingers(self) -> None:
        """Whatever answers a finger is high enough for one."""
        found = self.page.evaluate(SMALL_TARGETS, LEAST_TARGET_PX)
        self.complaints += [f"{self.width} px: too small for a finger: {words}" for words in found]

    def look_with_axe(self, only: list[str] | None = None) -> None:
        """Every rule of axe, or `only` those, in the present width and theme."""
        found = self.page.evaluate(RULES, only)
        self.complaints += [f"axe {self.theme} {self.width} px: {words}" for words in found]

    def wear(self, *, width: int | None = None, theme: str | None = None) -> None:
        """Another width or theme on the loaded page."""
        if width is not None:
            self.width = width
            self.page.set_viewport_size({"width": width, "height": HEIGHTS.get(width, HEIGHTS[1440])})
        if theme is not None:
            self.theme = theme
            self.page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)

    def close(self) -> None:
        """Close the window."""
        self._context.close()


def faults_of(first: Watched, other: Watched, address: str, *, in_all_themes: bool) -> list[str]:
    """Open the page at both widths and say everything that is wrong with it.

    Each width is loaded, for what jumps while it loads. axe reads one of the two pages, made as wide as the
    other after the first reading: the document is the same, and to load axe takes longer than to run it.
    """
    width, theme = first.width, first.theme
    for watched in (first, other):
        watched.complaints.clear()
        watched.page.goto(address)
    for watched in (first, other):
        watched.page.wait_for_function(IS_SETTLED, timeout=PATIENCE_MS)
    first.page.wait_for_timeout(SECOND_MS)
    for watched in (first, other):
        watched.look_at_movement()
    first.page.evaluate(AXE())
    for dress in ({}, {"theme": other.theme, "width": other.width}):
        first.wear(**dress)
        first.look_with_axe()
        if in_all_themes:
            first.wear(theme=THEMES[1 - THEMES.index(first.theme)])
            first.look_with_axe(["color-contrast"])
    first.look_at_width()
    if in_all_themes:
        other.look_at_fingers()
        for between in BETWEEN:
            first.wear(width=between)
            first.page.evaluate(TWO_FRAMES)
            first.look_at_width()
    first.wear(width=width, theme=theme)
    return [f"{address}: {words}" for words in (*first.complaints, *other.complaints)]
