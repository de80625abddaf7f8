"""Two files on their way: the connection is lost, the page is reloaded, and both become versions in their order."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from bench.browser import SHIFT_OBSERVER
from bench.harness import Site
from proxy.testing.weight_files import safetensors_file
from tests.browser.conftest import PATIENCE_MS
from tests.browser.look import AXE, MOST_SHIFT, RULES
from tests.browser.test_journey import log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MIB = 1_048_576
# More than two of the page's requests of 8 MiB.
FILE_MIB = 18


def weights(path: Path, value: int) -> Path:
    """A safetensors file of one large layer."""
    size_bytes = FILE_MIB * MIB
    path.write_bytes(safetensors_file({"w": [size_bytes]}, bytes([value]) * size_bytes, datatype="U8"))
    return path


class Line:
    """The browser's connection: lets so many pieces of uploads through, then breaks off until it may let more."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces

    def __call__(self, route: Route) -> None:
        if route.request.method == "PATCH":
            if self.pieces == 0:
                route.abort("internetdisconnected")
                return
            self.pieces -= 1
        route.continue_()


def test_two_files_outlive_a_lost_connection_and_a_reload(
    page: Page, site: Site, tmp_path: Path, picture: Callable[[str], None]
) -> None:
    page.add_init_script(SHIFT_OBSERVER)
    page.on("filechooser", lambda _chooser: None)  # from the beginning, or a key may open one that nobody sees
    log_in(page, site)
    assert site.api("POST", "/api/v1/models", site.admin_key(), {"name": "large"})[0] == 201
    first, second = weights(tmp_path / "first.safetensors", 1), weights(tmp_path / "second.safetensors", 2)
    line = Line(pieces=1)
    page.route("**/api/v1/uploads/*", line)
    page.goto("/models/large/versions/")
    page.locator("#file").set_input_files([first, second])
    page.get_by_role("button", name="Upload and validate").click()
    files = page.get_by_role("list", name="Files to upload").locator("> li")
    expect(files).to_have_count(2)
    expect(files.nth(0)).to_have_attribute("data-state", "lost", timeout=PATIENCE_MS)
    expect(files.nth(1)).to_have_attribute("data-state", "waiting", timeout=PATIENCE_MS)
    line.pieces = 3  # the rest of the first file, and the beginning of the second
    expect(files.nth(0).get_by_role("link", name="Version 1")).to_be_visible(timeout=PATIENCE_MS)
    expect(files.nth(0).locator("[data-part=digest]")).to_contain_text("SHA-256")
    expect(files.nth(0).locator("[data-part=steps] > li")).to_have_count(7, timeout=PATIENCE_MS)
    expect(files.nth(1)).to_have_attribute("data-state", "lost", timeout=PATIENCE_MS)
    picture("upload")
    page.evaluate(AXE())
    assert page.evaluate(RULES, None) == []
    files.nth(1).get_by_role("button", name="Pause").click()
    expect(files.nth(1).get_by_role("button", name="Resume")).to_be_visible()
    assert page.evaluate("window.__shift") < MOST_SHIFT

    page.reload()
    page.unroute("**/api/v1/uploads/*")
    expect(files).to_have_count(1)
    expect(files).to_contain_text("second.safetensors")
    expect(files).to_contain_text("8.0 MiB of 18.0 MiB are on the server.")
    choose = files.get_by_role("button", name="Choose the same file to go on")
    for path in (first, second):
        choose.focus()
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files(path)
        if path == first:
            expect(files).to_contain_text("This is not the file that was begun.")
    # The only one left, so its page opens as after a single upload.
    expect(page.get_by_role("heading", name="Version 2")).to_be_visible(timeout=PATIENCE_MS)
    page.goto("/models/large/versions/")
    expect(page.locator("#version-list")).to_contain_text("first.safetensors")
    expect(page.locator("#version-list")).to_contain_text("second.safetensors")
    expect(files).to_have_count(0)
    status, answer = site.api("GET", "/api/v1/models/large/versions?ordering=number", site.admin_key())
    assert status == 200
    assert [version["original_filename"] for version in answer["results"]] == [first.name, second.name]


def test_a_wrong_declaration_keeps_the_files_and_one_too_large_to_be_digested_here_gets_the_servers_digest(
    page: Page, site: Site, tmp_path: Path
) -> None:
    page.add_init_script("Object.defineProperty(crypto, 'subtle', { value: undefined })")  # as if each were too large
    log_in(page, site)
    assert site.api("POST", "/api/v1/models", site.admin_key(), {"name": "undigested"})[0] == 201
    paths = [tmp_path / f"{name}.safetensors" for name in ("one", "two")]
    for value, path in enumerate(paths):
        path.write_bytes(safetensors_file({"w": [64]}, bytes([value]) * 64, datatype="U8"))
    page.goto("/models/undigested/versions/")
    page.locator("#file").set_input_files(paths)
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Declared signature (JSON)").fill("no JSON")
    send = page.get_by_role("button", name="Upload and validate")
    send.click()
    files = page.get_by_role("list", name="Files to upload").locator("> li")
    for row in (files.nth(0), files.nth(1)):
        expect(row.get_by_role("alert")).to_contain_text("This is not valid JSON")
        expect(row).to_have_attribute("data-state", "chosen")
    page.get_by_label("Declared signature (JSON)").fill("")
    send.click()
    for row, path in zip((files.nth(0), files.nth(1)), paths, strict=True):
        digest = sha256(path.read_bytes()).hexdigest()
        expect(row.locator("[data-part=digest]")).to_have_text(f"SHA-256 {digest}")


def test_whoever_is_quicker_than_the_pages_script_loses_nothing(page: Page, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "early.pt"
    file.write_text("these are no weights")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/pages/upload*.js", hold)
    log_in(page, site)
    page.goto("/models/digits/versions/", wait_until="commit")
    page.locator("#file").set_input_files(file)
    expect(page.get_by_role("button", name="Upload and validate")).to_be_disabled()
    while not held:
        page.wait_for_timeout(50)
    held[0].continue_()
    expect(page.locator("#upload-rows")).to_contain_text("early.pt")
    expect(page.get_by_role("button", name="Upload and validate")).to_be_enabled()
