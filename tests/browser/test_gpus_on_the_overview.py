"""The overview says which instances sit on a GPU: with one put into the socket's messages, whatever the machine has."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from bench.harness import Site
from tests.browser.test_journey import log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_gpu_names_its_instances_and_a_link_keeps_its_focus_from_second_to_second(page: Page, site: Site) -> None:
    holds: list[dict[str, Any]] = []
    gpu = {"index": 0, "name": "A GPU", "utilisation_percent": 7, "memory_used_bytes": 1, "memory_total_bytes": 2}

    def with_gpu(text: str | bytes) -> str:
        said = json.loads(text)
        if "machine" in said:
            changing = {"power_w": said["sequence"], "holds": holds, "held_versions": len(holds)}
            said["machine"]["gpus"] = [{**gpu, "temperature_c": None, **changing}]
        return json.dumps(said)

    def through(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        server.on_message(lambda text: route.send(with_gpu(text)))

    page.route_web_socket(re.compile("/ws/live/"), through)
    log_in(page, site)
    panel = page.locator("[data-machine=gpus]")
    expect(panel).to_contain_text("No instance sits on it.")
    holds.append({"model": "net", "version": 3, "instances": 2})
    link = panel.get_by_role("link", name="net/3")
    expect(link).to_have_attribute("href", "/models/net/processes/?version=3")
    link.focus()
    power = panel.locator("dd").last
    shown = power.inner_text()
    expect(power).not_to_have_text(shown)
    expect(link).to_be_focused()
    holds.insert(0, {"model": "other", "version": 1, "instances": 4})
    expect(panel).to_contain_text("On it: other/1: 4, net/3: 2")
    expect(link).to_be_focused()
