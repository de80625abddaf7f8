"""A picture of every page, with load on the server, so that each chart has something to show."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect
from playwright.sync_api import TimeoutError as NotInTime

from bench import browser as browsers
from bench.browser import IS_SETTLED, Person
from bench.digits import digits_work
from bench.harness import HOST, Site
from bench.load import Tally, Target, run_load
from bench.page_speed import PATIENCE_MS, VALUES
from bench.turns import in_turns, skewed_load

LOAD_AHEAD_S = 45
"""Before the first picture: charts of two minutes are then well begun."""
SETTLE_MS = 2_500
STEP_MS = 15_000
"""In a rollout's second step, so that both sides have been measured in it."""
CLIENTS = 6
_TURN_S = 2
CURVE_MS = 60_000
"""Of skewed load, so that the curve rests on many look-ups."""
VERDICT_MS = 240_000
"""A look of the tuner, both windows of its trial, and the verdict."""
# Language, width, theme. Every page wears the first; those that are looked at most, or (`every`) all, the others, too.
LOOKS = (
    ("en", 1440, "light"),
    ("en", 1440, "dark"),
    ("en", 390, "light"),
    ("en", 390, "dark"),
    ("zh-hans", 1440, "light"),
)
MAIN_PAGES = {"/", "/models/digits/", "/models/digits/policy/", "/models/digits/versions/", "/tuning/"}
# Pictures that the documentation shows have names of their own.
NAMES = {
    "/": "overview",
    "/models/digits/": "live",
    "/models/digits/try/": "try-it",
    "/models/digits/versions/1/": "validation",
}
STEPS = [{"weight_percent": 20, "hold_s": 20}, {"weight_percent": 50, "hold_s": 600}]


def require_chinese_font() -> None:
    """Without one Chinese is a row of boxes. Raises SystemExit that says what to install."""
    found = subprocess.run(["fc-list", ":lang=zh"], capture_output=True, text=True, check=True)
    if not found.stdout.strip():
        raise SystemExit("pictures of the Chinese pages need a Chinese font: apt-get install fonts-noto-cjk")


def take(site: Site, folder: Path, *, every: bool = False) -> int:
    """Write the pictures; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    with browsers.chromium() as browser:
        person = browsers.log_in(browser, site)
        context = browsers.window(browser, site, person, language="en", width=1440, theme="light")
        missing = _tuning(context, site, folder)
        context.close()
        with busy(site):
            taken = _pages(browser, site, person, folder, every=every)
    if missing:
        raise RuntimeError(f"{taken} pictures are taken, but not {missing}")
    return taken + 2  # the curve, the card


def _pages(browser: Browser, site: Site, person: Person, folder: Path, *, every: bool) -> int:
    """Every page, the way in, and a rollout; returns how many."""
    taken = 0
    addresses = list(browsers.pages(site, person, VALUES))
    (site.home / "first-run.json").unlink()  # as the overview asks for; else its request is in every picture
    threading.Event().wait(LOAD_AHEAD_S)
    for look in LOOKS:
        language, width, theme = look
        context = browsers.window(browser, site, person, language=language, width=width, theme=theme)
        for address in addresses:
            if every or look == LOOKS[0] or address in MAIN_PAGES:
                _picture(context, address, folder / f"{_name(address, look)}.png")
                taken += 1
        context.close()
    context = browsers.window(browser, site, None, language="en", width=1440, theme="light")
    _picture(context, "/login/", folder / "login.png")
    context.close()
    context = browsers.window(browser, site, person, language="en", width=1440, theme="light")
    _rollout(context, site, folder / "rollout.png")
    context.close()
    return taken + 2


def _rollout(context: BrowserContext, site: Site, path: Path) -> None:
    """A canary in its second step, to which it went by itself; it is ended afterwards."""
    key, rollouts = site.admin_key(), "/api/v1/models/digits/rollouts"
    status, made = site.api("POST", rollouts, key, {"candidate": 2, "mode": "canary", "steps": STEPS})
    if status != HTTPStatus.CREATED:
        raise RuntimeError(f"no rollout: {status} {made}")
    page = context.new_page()
    page.goto("/models/digits/versions/")
    page.locator(".stages [aria-current=step]", has_text="50 %").wait_for(timeout=2 * PATIENCE_MS)
    page.wait_for_timeout(STEP_MS)
    page.screenshot(path=path, animations="disabled")
    page.close()
    site.api("POST", f"{rollouts}/{made['id']}/abort", key, {"reason": "The picture is taken."})


def _tuning(context: BrowserContext, site: Site, folder: Path) -> str:
    """The curve of a small cache under skewed load, and the card of the larger one that the tuner tried and kept.

    Returns what is missing and why, in words: on a busy machine a trial may not be kept in time.
    """
    missing = ""
    key, policy = site.admin_key(), "/api/v1/models/digits/policy"
    fields = {"cache_enabled": True, "cache_max_mib": 1, "tuning_modes": {"cache_max_mib": "automatic"}}
    page = context.new_page()
    page.goto("/models/digits/cache/")
    site.api("PATCH", policy, key, fields)
    with skewed_load(site):
        words = page.locator("#curve-words")
        expect(words).to_have_text(re.compile("The next 64 MiB would save"), timeout=PATIENCE_MS)
        page.wait_for_timeout(CURVE_MS)
        curve = page.get_by_role("region", name="What size is worth")
        curve.screenshot(path=folder / "curve.png", animations="disabled")
        page.goto("/models/digits/tuning/?status=kept")
        kept = page.locator(".decision", has_text="Cache size").first
        try:
            kept.wait_for(timeout=VERDICT_MS)
            kept.screenshot(path=folder / "decision.png", animations="disabled")
        except NotInTime:
            missing = f"decision.png: the tuner kept no cache size within {VERDICT_MS / 1000:.0f} s"
    page.close()
    site.api("PATCH", policy, key, {"tuning_modes": {}})
    return missing


def _send_a_digit(page: Page) -> None:
    page.get_by_role("button", name="Sample 3").click()
    page.get_by_role("button", name="Send request").click()
    page.locator("[data-best-class]").wait_for(timeout=PATIENCE_MS)


def _picture(context: BrowserContext, address: str, path: Path) -> None:
    page = context.new_page()
    page.goto(address)
    page.wait_for_function(IS_SETTLED, timeout=PATIENCE_MS)
    if path.name == "try-it.png":
        _send_a_digit(page)
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path, animations="disabled")
    page.close()


def _name(address: str, look: tuple[str, int, str]) -> str:
    name = NAMES.get(address) or address.strip("/").replace("/", "-")
    return name if look == LOOKS[0] else "-".join([name, *(str(word) for word in look)])


@contextlib.contextmanager
def busy(site: Site) -> Iterator[None]:
    """A few clients on `digits` while the block runs, with the cache off: every request reaches the model."""
    site.api("PATCH", "/api/v1/models/digits/policy", site.admin_key(), {"cache_enabled": False})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {site.first_run['api_key']}"}
    target = Target(HOST, site.inference_port, "/v2/models/digits/infer", headers)
    cases = digits_work(site).cases

    async def turn() -> list[Tally]:
        return [await run_load(target, cases, connections=CLIENTS, seconds=_TURN_S)]

    with in_turns(turn):
        yield
