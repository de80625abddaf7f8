"""A known load on a model, and the values that its page shows of it; range, zoom, pause and export by hand."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from bench.harness import Site
from tests.browser.conftest import PATIENCE_MS
from tests.browser.test_journey import load, log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]
LOAD_MS = 3_000
"""After the first figure: a few whole seconds to add up."""


def exported(page: Page, folder: Path) -> list[dict[str, str]]:
    """The numbers behind the charts, as the page gives them away."""
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    path = folder / "numbers.csv"
    download.value.save_as(path)
    return list(csv.DictReader(path.read_text().splitlines()))


def test_the_charts_add_up_to_what_was_sent(page: Page, site: Site, tmp_path: Path) -> None:
    log_in(page, site)
    status, _ = site.api("PATCH", "/api/v1/models/digits/policy", site.admin_key(), {"cache_enabled": False})
    assert status == 200
    page.goto("/models/digits/")
    expect(page.locator("#live-status")).to_have_attribute("data-status", "live", timeout=PATIENCE_MS)
    expect(page.locator("[data-now=requests]")).to_have_text("0")  # nothing of an earlier test is still counted
    began = max((row["at"] for row in exported(page, tmp_path)), default="")
    with load(site, "digits") as tallies:
        expect(page.locator("[data-chart=rate] [data-value=rps]")).to_have_text(
            re.compile(r"[1-9]"), timeout=PATIENCE_MS
        )
        page.wait_for_timeout(LOAD_MS)
    sent = sum(tally.right for tally in tallies)
    assert sent > 0
    for _ in range(PATIENCE_MS // 1_000):  # the last seconds come in
        rows = [row for row in exported(page, tmp_path) if row["at"] > began]
        shown = sum(float(row["rps"] or 0) for row in rows)
        if shown == pytest.approx(sent, rel=0.02, abs=2):
            break
        page.wait_for_timeout(1_000)
    assert shown == pytest.approx(sent, rel=0.02, abs=2)
    busy = [row for row in rows if float(row["rps"] or 0) > 0]
    for row in busy:
        assert float(row["p50_ms"]) <= float(row["p95_ms"]) <= float(row["p99_ms"])
    # An execution may end in the second before its answers do, so sizes are held to the load as a whole.
    executions = sum(float(row[name] or 0) for row in rows for name in row if name.startswith("size_"))
    assert executions > 0
    with page.expect_download() as download:
        page.get_by_role("button", name="PNG").click()
    assert download.value.suggested_filename == "digits.png"


def test_a_dragged_stretch_is_in_the_address_and_all_charts_follow(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto("/models/digits/?range=15m&compare=earlier")
    expect(page.locator("[data-range='15m']")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#compare")).to_have_value("earlier")
    expect(page.locator("#range-words")).to_contain_text("One point each")  # then both sides have come
    plot = page.locator("[data-chart=rate] .u-over")
    plot.scroll_into_view_if_needed()  # the table of both sides stands above the charts
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60, steps=5)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"\?from=\d+&to=\d+&compare=earlier$"))
    page.reload()
    expect(page.get_by_role("button", name="Back to the whole range")).to_be_visible()
    page.get_by_role("button", name="Back to the whole range").click()
    expect(page).not_to_have_url(re.compile("from="))


def test_pause_stops_the_charts_and_resume_goes_on(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto("/models/digits/")
    expect(page.locator("#live-status")).to_have_attribute("data-status", "live", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Pause").click()
    picture = "document.querySelector('[data-chart=rate] canvas').toDataURL()"
    page.wait_for_timeout(300)
    before = page.evaluate(picture)
    page.wait_for_timeout(2_500)
    assert page.evaluate(picture) == before
    page.get_by_role("button", name="Resume").click()
    page.wait_for_function(f"before => {picture} !== before", arg=before)


def test_a_chart_is_read_and_zoomed_by_keys(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto("/models/digits/?range=15m")
    expect(page.locator("#range-words")).to_contain_text("One point")
    page.locator("[data-chart=latency] [data-plot]").focus()
    moments = [page.locator(f"[data-chart={name}] [data-at]") for name in ("latency", "rate")]
    page.keyboard.press("ArrowLeft")
    last = moments[0].text_content() or ""
    assert re.fullmatch(r"\d\d:\d\d:\d\d.*", last)
    expect(moments[1]).to_have_text(last)  # one cursor for all charts
    page.keyboard.press("ArrowLeft")
    expect(moments[0]).not_to_have_text(last)
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile(r"\?from=\d+&to=\d+$"))
    page.keyboard.press("Escape")
    expect(moments[0]).to_have_text("")
