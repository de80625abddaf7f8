"""The main job in the browser: log in, create a model, upload it, see it pass, try it on a digit, watch it live."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from bench.digits import digits_work
from bench.harness import HOST, Site
from bench.load import Tally, Target, run_load
from bench.turns import in_turns
from tests.browser.conftest import PATIENCE_MS

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NAME = "my-digits"
TURN_S = 1.0
"""The load goes on in turns of this length until its block ends. Larger: the block may wait longer at its end."""


@contextmanager
def load(site: Site, model: str) -> Iterator[list[Tally]]:
    """Sixteen clients on `model` while the block runs; a tally for each turn is there when it has ended."""
    work = digits_work(site)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {site.first_run['api_key']}"}
    target = Target(HOST, site.inference_port, f"/v2/models/{model}/infer", headers)

    async def turn() -> list[Tally]:
        return [await run_load(target, work.cases, connections=16, seconds=TURN_S)]

    with in_turns(turn) as tallies:
        yield tallies


_sessions: dict[int, list[Any]] = {}
"""Cookies of the first admin, by the server's port."""


def log_in(page: Page, site: Site) -> None:
    """To the overview: by the form the first time, from then on with the session that this gave."""
    known = _sessions.get(site.port)
    if known is None:
        fill_log_in(page, site)
        _sessions[site.port] = list(page.context.cookies())
    else:
        page.context.add_cookies(known)
        page.goto("/")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def fill_log_in(page: Page, site: Site) -> None:
    """Log in by the form."""
    page.goto("/")
    page.get_by_label("User name").fill(site.first_run["admin_user"])
    page.get_by_label("Password").fill(site.first_run["admin_password"])
    page.get_by_role("button", name="Log in").click()


def plotted(page: Page, chart: str) -> str:
    """What a chart's canvas shows now."""
    return page.locator(f"[data-chart={chart}] canvas").first.evaluate("canvas => canvas.toDataURL()")


def test_a_person_uploads_a_model_tries_it_and_watches_it_live(page: Page, site: Site, digits_file: Path) -> None:
    fill_log_in(page, site)
    expect(page.get_by_role("link", name="digits", exact=True)).to_be_visible()

    page.get_by_role("link", name="New model").first.click()
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Description").fill("Reads a handwritten digit of 8 × 8 pixels.")
    page.get_by_role("button", name="Create model").click()
    expect(page.get_by_role("heading", name=NAME)).to_be_visible()

    # Other pages of the new model, open all the time, follow by themselves.
    others = [page.context.new_page() for _ in range(2)]
    for other, name in zip(others, ("", "policy/"), strict=True):
        other.goto(f"/models/{NAME}/{name}")
        expect(other.locator("#model-state")).to_have_text("No version")

    page.goto(f"/models/{NAME}/versions/")
    page.locator("#file").set_input_files(digits_file)
    expect(page.get_by_role("list", name="Files to upload")).to_contain_text("digits.pt")
    page.get_by_role("button", name="Upload and validate").click()

    expect(page.get_by_role("heading", name="Version 1")).to_be_visible()
    steps = page.get_by_role("list", name="Validation steps").get_by_role("listitem")
    expect(steps.last).to_have_attribute("data-status", "passed", timeout=PATIENCE_MS)
    expect(page.locator("[data-status=failed]")).to_have_count(0)
    page.reload()
    expect(page.locator(".page-head").get_by_text("Ready", exact=True)).to_be_visible()
    expect(page.locator("#serving .panel__head .state")).to_have_text("Ready", timeout=PATIENCE_MS)  # follows by itself

    for other in others:
        expect(other.locator("#model-state")).to_have_text("Ready")
        expect(other.locator("#model-head")).to_contain_text("default: version 1")
        expect(other.get_by_role("button", name="Unload")).to_be_visible()
    expect(others[0].locator("[data-chart=rate] canvas").first).to_be_visible()
    for other in others:
        other.close()

    # Version 1 became the default and is loaded by the data plane; its page says so by itself.
    page.goto(f"/models/{NAME}/")
    expect(page.locator("#model-state")).to_have_attribute("data-tone", "ok", timeout=PATIENCE_MS)

    page.get_by_role("link", name="Try it").click()
    for digit in (3, 7):
        page.get_by_role("button", name=f"Sample {digit}").click()
        page.get_by_role("button", name="Send request").click()
        expect(page.locator("[data-best-class]")).to_have_text(str(digit))
    page.get_by_role("button", name="Keep as golden sample").click()
    page.get_by_role("link", name="Golden samples of version 1").click()
    expect(page.locator("#golden tbody tr")).to_have_count(1)
    page.goto(f"/models/{NAME}/")

    page.get_by_role("link", name="Live", exact=True).click()
    expect(page.locator("#live-status")).to_have_attribute("data-status", "live")
    rate = page.locator("[data-chart=rate] canvas").first
    expect(rate).to_be_visible()
    before = plotted(page, "rate")
    # Without the cache every request reaches the model, so that each chart has something to show.
    status, _ = site.api("PATCH", f"/api/v1/models/{NAME}/policy", site.admin_key(), {"cache_enabled": False})
    assert status == 200
    with load(site, NAME) as tallies:
        busy = page.locator("[data-now=requests]")
        expect(busy).to_have_text(re.compile(r"[1-9]"), timeout=PATIENCE_MS)
        page.wait_for_function(
            "before => document.querySelector('[data-chart=rate] canvas').toDataURL() !== before", arg=before
        )
        during = plotted(page, "rate")
        page.wait_for_function(
            "before => document.querySelector('[data-chart=rate] canvas').toDataURL() !== before", arg=during
        )
        expect(page.locator("[data-now=p99_ms]")).to_have_text(re.compile(r"\d"))
    assert sum(tally.right for tally in tallies) > 0
    assert sum(tally.wrong for tally in tallies) == 0
    page.goto("/")
    expect(page.locator(f"tr[data-model={NAME}]")).to_be_visible()


def test_a_file_that_is_no_model_fails_with_words_and_changes_nothing(page: Page, site: Site, tmp_path: Path) -> None:
    log_in(page, site)
    file = tmp_path / "weights.pt"
    file.write_text("these are no weights")
    page.goto("/models/digits/versions/")
    before = page.locator("#version-list tbody tr").count()
    page.locator("#file").set_input_files(file)
    page.get_by_role("button", name="Upload and validate").click()
    expect(page.get_by_role("alert").filter(has_text=re.compile("TorchScript|format", re.IGNORECASE))).to_be_visible()
    page.reload()
    expect(page.locator("#version-list tbody tr")).to_have_count(before)
    status, answer = site.api("GET", "/api/v1/models/digits", site.admin_key())
    assert status == 200, json.dumps(answer)
