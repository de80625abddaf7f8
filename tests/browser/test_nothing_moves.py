"""What arrives while somebody looks moves nothing: longer figures, a problem, a long uptime."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from bench.harness import Site
from tests.browser.conftest import PATIENCE_MS
from tests.browser.test_journey import log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PLACES = """() => [...document.querySelectorAll(".main :is(th, td, .panel, .chart, .chart__legend li)")].map((node) => {
  const { left, top, width } = node.getBoundingClientRect();
  return [node.tagName, node.dataset.label ?? "", left, top + scrollY, width].join(" ");
})"""
LONG = {"requests": 99_999, "p50_ms": 9_876.5, "p95_ms": 9_876.5, "p99_ms": 9_876.5, "queue_depth": 99_999}
PROBLEM = '<li class="notice" data-tone="bad"><div><strong>It fails</strong><p>{}</p></div></li>'


def pass_on(page: Page, change: Callable[[dict[str, Any]], None]) -> None:
    """The live socket's messages come through, as `change` leaves them."""

    def through(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def on_message(text: str | bytes) -> None:
            said = json.loads(text)
            change(said)
            route.send(json.dumps(said))

        server.on_message(on_message)

    page.route_web_socket(re.compile("/ws/live/"), through)


@pytest.mark.parametrize(
    ("address", "width"), [("/", 1440), ("/models/digits/", 1440), ("/", 1024), ("/models/digits/", 1024)]
)
def test_longer_figures_and_problems_move_nothing(page: Page, site: Site, address: str, width: int) -> None:
    longer: dict[str, Any] = {}

    def change(said: dict[str, Any]) -> None:
        for second in said.get("models", {}).values():
            second.update(longer)
        if longer and "digits" not in said.get("models", {}):
            said.setdefault("models", {})["digits"] = {"errors": 9, "rejections": 9, "instances": 9, **longer}
        for one in said.get("instances", []):
            one.update({"uptime_s": 86_000, "executions": 99_999, "service_ewma_ms": 9_876.5} if longer else {})

    pass_on(page, change)
    page.route("**/problems/", lambda route: route.fulfill(body="".join(PROBLEM.format("why " * 60) for _ in range(3))))
    log_in(page, site)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address)
    expect(page.locator("#live-status")).to_have_attribute("data-status", "live", timeout=PATIENCE_MS)
    if address != "/":
        expect(page.locator("#instances tr[data-id]")).to_have_count(1)
        expect(page.locator("#range-words")).to_contain_text("One point")
    page.wait_for_timeout(1_000)
    before = page.evaluate(PLACES)
    longer |= LONG
    expect(page.get_by_text("99,999").first).to_be_visible()
    if address == "/":
        expect(page.locator("#problems")).to_contain_text("It fails")
    assert page.evaluate(PLACES) == before


def test_the_columns_of_the_instances_stay_when_an_uptime_passes_a_minute(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto("/instances/")
    before = page.evaluate(PLACES)

    def older(route: Route) -> None:
        answer = route.fetch()
        cell = re.compile(r'(data-label="(?:Up|Executions)">)[^<]*')
        route.fulfill(response=answer, body=cell.sub(r"\g<1>59 min 59 s", answer.text()))

    page.route("**/instances/", older)
    expect(page.get_by_text("59 min 59 s").first).to_be_visible()
    assert page.evaluate(PLACES) == before
