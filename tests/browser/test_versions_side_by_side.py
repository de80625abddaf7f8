"""Two versions under one load: their page sets them side by side; what is done elsewhere shows in every open page."""

from __future__ import annotations

import asyncio
import csv
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from bench.digits import digits_work
from bench.harness import HOST, Site
from bench.load import Tally, Target, run_load
from bench.turns import in_turns
from tests.browser.conftest import PATIENCE_MS
from tests.browser.test_journey import log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NAME = "twice"
TURN_S = 1.0
CLIENTS = {1: 6, 2: 3}
"""Connections on each version."""


@pytest.fixture(scope="module")
def key(site: Site, digits_file: Path) -> Iterator[str]:
    """An administration key, with a model of two ready versions of one file, both loaded, the first the default."""
    key = site.admin_key()
    assert site.api("POST", "/api/v1/models", key, {"name": NAME})[0] == 201
    for number in (1, 2):
        answer = httpx.post(
            f"http://{HOST}:{site.port}/api/v1/models/{NAME}/versions",
            files={"file": (f"{number}.pt", digits_file.read_bytes())},
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
        )
        assert answer.status_code == 201
        until(partial(is_valid, site, key, number))
    assert site.api("PATCH", f"/api/v1/models/{NAME}/versions/2", key, {"keep_loaded": True})[0] == 200
    assert site.api("PATCH", f"/api/v1/models/{NAME}/policy", key, {"cache_enabled": False})[0] == 200
    for number in CLIENTS:
        until(partial(answers, site, key, number))
    yield key
    assert site.api("POST", f"/api/v1/models/{NAME}/unload", key)[0] == 200


def is_valid(site: Site, key: str, number: int) -> bool:
    """Whether the version has passed its validation."""
    status, answer = site.api("GET", f"/api/v1/models/{NAME}/versions/{number}", key)
    assert status == 200
    return bool(answer["state"] == "ready")


def answers(site: Site, key: str, number: int) -> bool:
    """Whether calls of the version are answered."""
    url = f"http://{HOST}:{site.inference_port}/v2/models/{NAME}/versions/{number}/ready"
    return httpx.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=10).status_code == 200


def until(holds: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + 3 * PATIENCE_MS / 1_000
    while not holds():
        assert time.monotonic() < give_up_s
        time.sleep(0.2)


def test_two_versions_are_compared_on_what_they_answered(page: Page, site: Site, key: str, tmp_path: Path) -> None:
    log_in(page, site)
    cases = digits_work(site).cases
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {site.first_run['api_key']}"}

    async def turn() -> list[Tally]:
        paths = {number: f"/v2/models/{NAME}/versions/{number}/infer" for number in CLIENTS}
        targets = {number: Target(HOST, site.inference_port, path, headers) for number, path in paths.items()}
        loads = [
            run_load(targets[number], cases, connections=count, seconds=TURN_S) for number, count in CLIENTS.items()
        ]
        return [*await asyncio.gather(*loads)]

    page.goto(f"/models/{NAME}/")
    page.get_by_label("Compare with").select_option("2,1")
    expect(page).to_have_url(re.compile("compare=2%2C1$"))
    expect(page.locator("#compared-before")).to_have_text("Version 1")
    requests = page.locator("#compared-requests td")
    with in_turns(turn) as tallies:
        for side in (0, 1):  # read anew by itself while the load runs
            expect(requests.nth(side)).to_have_text(re.compile(r"\d{2}"), timeout=PATIENCE_MS)
    sent = [sum(tally.right for tally in tallies[side::2]) for side in (0, 1)]
    for side in (0, 1):
        expect(requests.nth(side)).to_have_text(f"{sent[side]:,}", timeout=PATIENCE_MS)
    expect(page.locator("#compared-p99 td").nth(2)).to_have_text(re.compile(r"[+−±×]"))
    for chart, is_there in (("rate", True), ("sizes", False), ("memory", False)):
        expect(page.locator(f"[data-chart={chart}]")).to_be_visible(visible=is_there)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    path = tmp_path / "both.csv"
    download.value.save_as(path)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert any(float(row["rps"] or 0) > 0 and float(row["compared_rps"] or 0) > 0 for row in rows)

    page.get_by_label("Compare with").select_option("week")
    expect(page.locator("#compared-words")).to_contain_text("Nothing was measured")
    page.get_by_label("Compare with").select_option("@")
    begins = page.get_by_label("Beginning of the other range")
    expect(begins).to_be_visible()
    expect(page).to_have_url(re.compile(r"compare=%40\d+$"))
    page.reload()
    expect(begins).to_be_visible()
    page.get_by_label("Compare with").select_option("")
    expect(page.locator("#comparison")).to_be_hidden()
    expect(page.locator("[data-chart=sizes]")).to_be_visible()


def test_a_promotion_made_elsewhere_shows_in_every_open_page(page: Page, site: Site, key: str) -> None:
    log_in(page, site)
    pages = {name: page.context.new_page() for name in ("", "versions/", "versions/2/", "try/")}
    for name, opened in pages.items():
        opened.goto(f"/models/{NAME}/{name}")
        expect(opened.locator("#live-status")).to_have_attribute("data-status", "live")
    expect(pages["versions/2/"].get_by_role("button", name="Promote")).to_be_visible()
    candidate = pages["versions/"].locator("#candidate option")
    expect(candidate).to_have_text(["Version 2"])
    assert site.api("POST", f"/api/v1/models/{NAME}/versions/2/promote", key, {})[0] == 200
    for name in ("", "versions/", "try/"):
        expect(pages[name].locator("#model-head")).to_contain_text("default: version 2")
    expect(pages["versions/"].locator("#version-list tr", has_text="Version 2")).to_contain_text("default")
    expect(pages["versions/"].get_by_text("Version 1 is still warm")).to_be_visible()
    expect(candidate).to_have_text(["Version 1"])
    expect(pages["versions/2/"].locator("#version-head")).to_contain_text("default")
    expect(pages["versions/2/"].get_by_role("button", name="Promote")).to_have_count(0)


def test_what_changed_while_a_dialog_was_open_shows_after_it(page: Page, site: Site, key: str) -> None:
    log_in(page, site)
    page.goto(f"/models/{NAME}/versions/")
    listed, foot = page.locator("#version-list"), page.locator("#versions-foot")
    expect(page.locator("#live-status")).to_have_attribute("data-status", "live")
    before = listed.get_attribute("data-standing") or ""
    page.keyboard.press("?")
    expect(page.locator("#shortcuts-dialog")).to_be_visible()
    words = {"description": f"described at {time.monotonic_ns()}"}
    assert site.api("PATCH", f"/api/v1/models/{NAME}", key, words)[0] == 200
    expect(listed).not_to_have_attribute("data-standing", before)
    expect(foot).to_have_attribute("data-standing", before)
    page.keyboard.press("Escape")
    expect(foot).to_have_attribute("data-standing", listed.get_attribute("data-standing") or "")


def test_a_field_that_somebody_types_in_is_not_written_when_a_comparison_is_read_anew(
    page: Page, site: Site, key: str
) -> None:
    log_in(page, site)
    page.goto(f"/models/{NAME}/?compare=@{int(time.time()) - 900}")
    begins = page.get_by_label("Beginning of the other range")
    expect(begins).to_be_visible()
    begins.focus()
    begins.evaluate("(field) => { field.value = '2001-01-01T00:00:00'; }")
    for _ in range(2):
        with page.expect_response(lambda answer: "points=100&whole=true" in answer.url):
            pass
    expect(begins).to_have_value(re.compile("^2001-01-01T00:00"))
