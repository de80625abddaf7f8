"""A person at a page: by mouse or by keys alone, each control known by its accessible name in the page's language.

By keys nothing is used but Tab, Shift+Tab, arrows, Enter, Space, Escape, typing and the listed shortcuts. Each stop on
the way is held to this: its focus is seen. And the control that is used is not hidden by something that lies over it.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal

from playwright.sync_api import Locator, Page, expect

from bench.browser import IS_SETTLED
from tests.browser.dresses import Dress, Words
from tests.browser.look import MOST_SHIFT, Watched

Role = Literal["button", "link", "textbox", "searchbox", "spinbutton", "combobox", "checkbox", "radio", "slider"]
MOST_STOPS = 150
NARROW_PX = 860
"""As in static/app.css: up to this width the menu stands behind a button."""
# Where the focus is, whether that is the target (or, of a radio button, one of its group), and what is wrong with it.
STOP = """(target) => {
  const node = document.activeElement;
  const said = (node.getAttribute("aria-label") ?? node.textContent).trim().replaceAll(/\\s+/gu, " ").slice(0, 40);
  const words = `${node.tagName.toLowerCase()}${node.id && `#${node.id}`} ${said}`;
  if (node === document.body) return { words: "body", isReached: false, isBehind: false, isSkip: false, fault: "" };
  const isOfGroup = target.type === "radio" && node.type === "radio" && node.name === target.name;
  const place = node.compareDocumentPosition(target);
  const stop = {
    words,
    isReached: node === target || isOfGroup,
    isBehind: Boolean(place & Node.DOCUMENT_POSITION_PRECEDING),
    isSkip: node.getAttribute("href") === "#main" && document.getElementById("main").contains(target),
    fault: "",
  };
  const isLarge = (one) => one.getBoundingClientRect().width > 4 && one.getBoundingClientRect().height > 4;
  const marked = [node, node.parentElement, ...(node.labels ?? [])].filter(isLarge).find((one) => {
    const style = getComputedStyle(one);
    return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
  });
  if (!marked) return { ...stop, fault: node.id === "main" ? "" : "its focus is not seen" };
  if (!stop.isReached) return stop;
  const box = marked.getBoundingClientRect();
  const left = Math.max(0, box.left), right = Math.min(innerWidth, box.right);
  const top = Math.max(0, box.top), bottom = Math.min(innerHeight, box.bottom);
  const isOnTop = [0.5, 0.1, 0.9].some((part) => {
    const found = document.elementFromPoint(left + (right - left) * part, top + (bottom - top) * part);
    return found && (marked.contains(found) || found.contains(marked));
  });
  return { ...stop, fault: right > left && bottom > top && isOnTop ? "" : "something lies over it" };
}"""
OPTIONS = "(select) => [select.selectedIndex, [...select.options].map((one) => one.label)]"
DROP = """(zone, { name, bytes }) => {
  const dropped = new DataTransfer();
  dropped.items.add(new File([Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0))], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    zone.dispatchEvent(new DragEvent(kind, { dataTransfer: dropped, bubbles: true, cancelable: true }));
  }
}"""


class Hand(ABC):
    """What a person does on a page; the two kinds below say by which means."""

    def __init__(self, watched: Watched, dress: Dress) -> None:
        self.page: Page = watched.page
        self.dress, self.words = dress, Words(dress.language)
        self._watched = watched
        self._shift = 0.0
        self.page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    @abstractmethod
    def use(self, control: Locator) -> None:
        """Press a button, follow a link, open what stands behind a line of words."""

    @abstractmethod
    def write(self, field: Locator, text: str) -> None:
        """Put `text` in place of what stands in a field."""

    @abstractmethod
    def take(self, select: Locator, label: str) -> None:
        """Choose the option `label` of a list."""

    @abstractmethod
    def tick(self, box: Locator) -> None:
        """Tick a box or take one of several."""

    @abstractmethod
    def give(self, zone: Locator, path: Path) -> None:
        """Hand a file over to a field that takes files."""

    @abstractmethod
    def point(self, chart: Locator) -> None:
        """Ask a chart for its values at a moment."""

    @abstractmethod
    def slide(self, slider: Locator) -> None:
        """Move a slider to some other value."""

    @abstractmethod
    def paint(self, pad: Locator) -> None:
        """Put ink on the drawing pad."""

    @property
    def is_narrow(self) -> bool:
        """Whether the window is a phone's."""
        return self.dress.width <= NARROW_PX

    def press(self, role: Role, name: str, within: Locator | None = None) -> None:
        """Use the control of this name."""
        self.use(self.named(role, name, within))

    def fill(self, role: Role, name: str, text: str, within: Locator | None = None) -> None:
        """Write into the field of this name."""
        self.write(self.named(role, name, within), text)

    def choose(self, name: str, label: str, within: Locator | None = None) -> None:
        """Choose from the list of this name."""
        self.take(self.named("combobox", name, within), label)

    def check(self, role: Role, name: str, within: Locator | None = None) -> None:
        """Tick the box of this name."""
        self.tick(self.named(role, name, within))

    def unfold(self, words: str, within: Locator | None = None) -> None:
        """Open what stands behind these words."""
        self.settle()
        self.use((within or self.page).locator("summary").filter(has_text=words))

    def go(self, address: str) -> None:
        """Open a page, as from a bookmark."""
        self.page.goto(address)
        self.settle()

    def settle(self) -> None:
        """Return when the page's scripts run and its figures are live; remember how far anything moved."""
        if not self.page.evaluate(IS_SETTLED):
            self.page.wait_for_function(IS_SETTLED)
        self._shift = max(self._shift, self.page.evaluate("window.__shift ?? 0"))

    def sees(self, words: str, within: Locator | None = None) -> None:
        """Return when the words stand on the page."""
        expect((within or self.page.locator("body")).get_by_text(words).first).to_be_visible()

    def arrives(self, heading: str) -> None:
        """Return when the page of this title is there and lives."""
        expect(self.page.get_by_role("heading", name=heading, exact=True, level=1)).to_be_visible()
        self.settle()

    def confirm(self, words: str, typed: str | None = None) -> None:
        """Answer the question that was asked: `words` are those of its button, `typed` what has to be typed."""
        dialog = self.page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        if typed is not None:
            self.write(dialog.get_by_role("textbox"), typed)
        self.press("button", words, dialog)
        expect(dialog).to_be_hidden()

    def open_menu(self) -> None:
        """Have the menu at hand: in a narrow window it stands behind a button."""
        if self.is_narrow and self.page.locator("#menu-button").get_attribute("aria-expanded") == "false":
            self.press("button", self.words("Menu"))

    def copied(self) -> str:
        """What the clipboard holds."""
        return str(self.page.evaluate("navigator.clipboard.readText()"))

    def named(self, role: Role, name: str, within: Locator | None = None) -> Locator:
        """The control of this name."""
        self.settle()
        return (within or self.page).get_by_role(role, name=name, exact=True)

    def end(self) -> list[str]:
        """Leave the page; everything that was wrong with it."""
        try:
            self.settle()
            self._watched.look_at_width()
        finally:
            self._watched.close()
        moved = [f"moved by {self._shift:.3f}"] if self._shift > MOST_SHIFT else []
        return [*self._watched.complaints, *moved]


class Mouse(Hand):
    """Points and clicks; types into what was clicked."""

    def use(self, control: Locator) -> None:
        control.click()

    def write(self, field: Locator, text: str) -> None:
        field.click()
        _type_anew(self.page, text)

    def take(self, select: Locator, label: str) -> None:
        select.select_option(label=label)  # its list is drawn by the system, not by the page

    def tick(self, box: Locator) -> None:
        box.click()

    def give(self, zone: Locator, path: Path) -> None:
        """At a desk it is dropped, on a phone chosen."""
        self.settle()
        if not self.is_narrow:
            zone.evaluate(DROP, {"name": path.name, "bytes": base64.b64encode(path.read_bytes()).decode()})
            return
        with self.page.expect_file_chooser() as chooser:
            zone.click()
        chooser.value.set_files(path)

    def point(self, chart: Locator) -> None:
        chart.hover()

    def slide(self, slider: Locator) -> None:
        box = slider.bounding_box()
        assert box is not None
        slider.click(position={"x": box["width"] * 0.6, "y": box["height"] / 2})

    def paint(self, pad: Locator) -> None:
        pad.click()


class Keys(Hand):
    """Goes from control to control with Tab."""

    def use(self, control: Locator) -> None:
        self.reach(control)
        self.page.keyboard.press("Enter")

    def write(self, field: Locator, text: str) -> None:
        self.reach(field)
        _type_anew(self.page, text)

    def take(self, select: Locator, label: str) -> None:
        self.reach(select)
        now, labels = select.evaluate(OPTIONS)
        wanted = labels.index(label)
        for _ in range(abs(wanted - now)):
            self.page.keyboard.press("ArrowDown" if wanted > now else "ArrowUp")
        expect(select).to_have_js_property("selectedIndex", wanted)

    def tick(self, box: Locator) -> None:
        self.reach(box)
        if box.get_attribute("type") == "checkbox":
            self.page.keyboard.press("Space")
            return
        for _ in range(box.evaluate("node => node.form.elements[node.name].length")):
            if box.is_checked():
                return
            self.page.keyboard.press("ArrowDown")
        raise AssertionError("the arrows do not take it")

    def give(self, zone: Locator, path: Path) -> None:
        self.settle()
        with self.page.expect_file_chooser() as chooser:  # asked for before the way there: a key is quicker
            self.reach(zone.locator("input[type=file]"))
            self.page.keyboard.press("Enter")
        chooser.value.set_files(path)

    def point(self, chart: Locator) -> None:
        self.reach(chart)
        self.page.keyboard.press("ArrowLeft")

    def slide(self, slider: Locator) -> None:
        self.reach(slider)
        self.page.keyboard.press("ArrowRight")

    def paint(self, pad: Locator) -> None:
        self.reach(pad)
        self.page.keyboard.press("Space")

    def reach(self, target: Locator) -> None:
        """Tab, forth or back, until the target has the focus. AssertionError with every stop if it never has."""
        stops: list[str] = []
        faults: list[str] = []
        key = ""
        for _ in range(MOST_STOPS):
            stop = target.evaluate(STOP)
            stops.append(stop["words"])
            if stop["fault"]:
                faults.append(f"{stop['words']}: {stop['fault']}")
            if stop["isReached"]:
                assert not faults, "\n".join(faults)
                return
            if stop["isSkip"] and not key.startswith("Shift"):
                self.page.keyboard.press("Enter")  # past the menu, to the content
                continue
            key = key or ("Shift+Tab" if stop["isBehind"] else "Tab")
            self.page.keyboard.press(key)
        raise AssertionError("the keyboard does not reach it; the focus stood on:\n" + "\n".join(stops))


def _type_anew(page: Page, text: str) -> None:
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(text)


MEANS: dict[str, type[Hand]] = {"mouse": Mouse, "keys": Keys}
