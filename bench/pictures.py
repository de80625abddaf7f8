"""A picture of every page, with load on the server, so that each chart has something to show."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from playwright.sync_api import BrowserContext, Page

from bench import browser as browsers
from bench.browser import IS_SETTLED
from bench.digits import digits_work
from bench.harness import HOST, Site
from bench.load import Target, run_load
from bench.page_speed import PATIENCE_MS, VALUES

LOAD_AHEAD_S = 45
"""Before the first picture: charts of two minutes are then well begun."""
SETTLE_MS = 2_500
STEP_MS = 15_000
"""In a rollout's second step, so that both sides have been measured in it."""
CLIENTS = 6
_TURN_S = 2
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
    taken = 0
    with browsers.chromium() as browser, busy(site):
        person = browsers.log_in(browser, site)
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
    is_over = threading.Event()

    def run() -> None:
        while not is_over.is_set():
            asyncio.run(run_load(target, cases, connections=CLIENTS, seconds=_TURN_S))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
