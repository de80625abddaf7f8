"""Two versions are compared; a version and a model are deleted, brought back, and removed for good."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page, expect

from bench.harness import HOST, Site
from proxy.testing.weight_files import safetensors_file
from tests.browser.conftest import PATIENCE_MS
from tests.browser.test_journey import log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NAME = "short-lived"
VERSIONS = f"/models/{NAME}/versions/"


def weights(rows: int) -> bytes:
    """A safetensors file, without the architecture that would let it run: its validation fails at once."""
    return safetensors_file({"layer.weight": [rows, 2]})


@pytest.fixture
def key(site: Site) -> str:
    """An administration key, with a model that has two versions whose validation is over."""
    key = site.admin_key()
    assert site.api("POST", "/api/v1/models", key, {"name": NAME})[0] == 201
    for rows in (1, 3):
        answer = httpx.post(
            f"http://{HOST}:{site.port}/api/v1{VERSIONS.removesuffix('/')}",
            files={"file": ("net.safetensors", weights(rows))},
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.status_code == 201
    give_up_s = time.monotonic() + PATIENCE_MS / 1_000
    while len(site.api("GET", f"/api/v1/models/{NAME}/versions?state=failed", key)[1]["results"]) < 2:
        assert time.monotonic() < give_up_s, "the validations did not end"
        time.sleep(0.2)
    return key


def test_versions_are_compared_and_deleted_things_come_back(
    page: Page, site: Site, key: str, picture: Callable[[str], None]
) -> None:
    log_in(page, site)
    page.goto(VERSIONS)
    page.get_by_label("Compare version", exact=True).select_option("1")
    page.get_by_label("with version", exact=True).select_option("2")
    page.get_by_role("button", name="Compare").click()
    expect(page).to_have_url(re.compile(r"/compare/\?a=1&b=2$"))
    expect(page.locator("tbody", has_text="Tensors in the file")).to_contain_text("layer.weight")
    expect(page.get_by_text("F32 [3, 2]")).to_be_visible()
    picture("compare")

    # Notes that somebody else changed meanwhile: nothing typed is lost, and what is saved now is said beside it.
    page.goto(f"{VERSIONS}2/")
    notes = page.get_by_role("textbox", name="Notes")
    notes.fill("ours, <b>long</b>")
    status, _ = site.api("PATCH", f"/api/v1{VERSIONS}2", key, {"notes": "theirs"})
    assert status == 200
    page.get_by_role("button", name="Save notes").click()
    expect(page.get_by_text("Someone changed this model version")).to_be_visible()
    expect(notes).to_have_value("ours, <b>long</b>")
    expect(page.get_by_text("Saved meanwhile: theirs")).to_be_visible()
    page.get_by_role("button", name="Save notes").click()
    expect(page.get_by_text("Notes saved.")).to_be_visible()
    expect(notes).to_have_value("ours, <b>long</b>")

    page.get_by_role("button", name="Delete version").click()
    go = page.get_by_role("button", name="Delete the version")
    expect(go).to_be_disabled()
    page.get_by_label(f"Type {NAME}/2 to confirm").fill(f"{NAME}/2")
    go.click()
    expect(page.get_by_text(f"{NAME}/2 is deleted")).to_be_visible()
    expect(page.get_by_role("link", name="Version 2")).to_have_count(0)
    picture("deleted-version")
    page.get_by_role("button", name="Undo").press("Enter")
    expect(page.get_by_text("is restored as it was")).to_be_visible()
    expect(page.get_by_role("link", name="Version 2")).to_be_visible()

    for is_last in (False, True):
        page.goto(f"/models/{NAME}/")
        page.get_by_role("button", name="Delete model").click()
        page.get_by_label(f"Type {NAME} to confirm").fill(NAME)
        page.get_by_label(f"Type {NAME} to confirm").press("Enter")
        expect(page.get_by_text(f"{NAME} is deleted")).to_be_visible()
        if not is_last:
            page.get_by_role("button", name="Undo").click()
            expect(page.get_by_role("link", name=NAME, exact=True)).to_be_visible()
    page.get_by_role("link", name="Recently deleted", exact=True).click()
    picture("recently-deleted")
    page.get_by_role("button", name=f"Remove for good {NAME}").click()
    page.get_by_label(f"Type {NAME} to confirm").fill(NAME)
    page.locator("#confirm-go").click()
    expect(page.get_by_text(f"{NAME} is removed for good")).to_be_visible()
    assert site.api("GET", "/api/v1/models?deleted=true", key)[1]["results"] == []
