"""The main journey of each page of the server: by mouse and keys, wide and narrow, light and dark, in both languages.

And that no page is without one.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import resolve
from playwright.sync_api import expect

from bench.browser import Person, pages
from bench.harness import Site
from tests.browser import test_journeys_of_a_model  # noqa: F401  its journeys are counted
from tests.browser.dresses import journey, walked
from tests.browser.hands import Hand
from tests.browser.rig import Rig, fresh, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
VALUES = {"name": ["digits"], "number": ["1"]}
LOOKED_AT_ONLY = {"styleguide"}
MODEL = "silero-vad"


@journey("tuning")
def test_all_tuning_is_frozen_and_goes_on(hand: Hand, rig: Rig) -> None:
    words = hand.words
    hand.go("/tuning/")
    hand.press("button", words("Freeze all tuning"))
    hand.sees(words("All tuning stands still now."))
    assert rig.api("GET", "tuning")["frozen"] is True
    hand.press("button", words("Resume tuning"))
    hand.sees(words("Tuning goes on."))
    assert rig.api("GET", "tuning")["frozen"] is False
    hand.choose(words("Status"), words("Undone"))
    hand.press("button", words("Filter"))
    expect(hand.page).to_have_url(re.compile("status=undone"))


@journey("instances", "instance", "model-processes")
def test_a_log_is_read_and_instances_are_restarted_and_drained(hand: Hand, rig: Rig) -> None:
    words, page = hand.words, hand.page
    first = _alive(rig)
    hand.go(f"/models/{MODEL}/processes/")
    hand.press("link", words("Log of %(instance)s", instance=first["instance_id"]))
    expect(page.locator("tr.opened")).to_be_visible()
    hand.press("link", first["instance_id"])
    hand.arrives(first["instance_id"])
    hand.press("button", words("Restart"))
    hand.confirm(words("Restart"))
    until(lambda: _has_ended(rig, first))
    second = _alive(rig, after=first)
    hand.go("/instances/")
    hand.choose(words("Model"), MODEL)
    hand.press("button", words("Filter"))
    expect(page).to_have_url(re.compile(f"model={MODEL}"))
    hand.press("button", words("Drain"), page.locator("tr").filter(has=page.locator(f"#instance-{second['number']}")))
    hand.confirm(words("Drain"))
    until(lambda: _has_ended(rig, second))
    _alive(rig, after=second)


@journey("keys")
def test_a_key_is_shown_once_opens_what_it_says_and_is_revoked(hand: Hand, rig: Rig) -> None:
    words, page, name = hand.words, hand.page, fresh("program")
    hand.go("/keys/")
    form = page.locator("form", has=page.locator("#key-name"))
    hand.fill("textbox", words("Name"), name, form)
    hand.check("radio", words("Only these"), form)
    hand.check("checkbox", "digits", form)
    hand.press("button", words("Create key"), form)
    hand.sees(words("%(created)s is created", created=name))
    hand.press("button", words("Copy"))
    expect(page.get_by_role("button", name=words.of_script("Copied"), exact=True)).to_be_visible()
    secret = hand.copied()
    assert [rig.opens(secret, f"/v2/models/{one}") for one in ("digits", MODEL)] == [200, 404]
    hand.press("link", words("I have kept it"))
    expect(page.locator("#secret")).to_have_count(0)
    row = page.locator("tr", has=page.get_by_text(name, exact=True))
    hand.press("button", words("Revoke"), row)
    hand.confirm(words("Revoke"))
    hand.sees(words("%(name)s is revoked; calls with it are refused from now on.", name=name))
    until(lambda: rig.opens(secret) == 401)


@journey("login", "password", "users")
def test_an_account_is_made_given_a_role_and_used(hand: Hand) -> None:
    words, page, name = hand.words, hand.page, fresh("walker")
    hand.go("/users/")
    form = page.locator("form", has=page.locator("#user-name"))
    hand.fill("textbox", words("Name"), name, form)
    hand.press("button", words("Create the account"), form)
    hand.sees(words("The password of %(name)s", name=name))
    hand.press("button", words("Copy"))
    expect(page.get_by_role("button", name=words.of_script("Copied"), exact=True)).to_be_visible()
    password = hand.copied()
    role = page.locator("tr", has=page.get_by_text(name, exact=True))
    hand.choose(words("Role of %(name)s", name=name), words("Operator"), role)
    hand.press("button", words("Set"), role)
    hand.sees(words("{name} has another role from the next call on.").format(name=name))
    accounts = page.request.get("/api/v1/users?page_size=100", max_retries=1).json()["results"]
    assert [row["role"] for row in accounts if row["name"] == name] == ["operator"]

    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    hand.go("/")
    changed = "a longer password of their own 77"
    for secret in (password, changed):
        hand.fill("textbox", words("User name"), name)
        hand.write(page.get_by_label(words("Password"), exact=True), secret)
        hand.press("button", words("Log in"))
        hand.arrives(words("Overview"))
        if secret == password:
            hand.open_menu()
            hand.press("link", name)
            hand.arrives(words("Your password"))
            hand.write(page.get_by_label(words("Present password"), exact=True), password)
            hand.write(page.get_by_label(words("New password"), exact=True), changed)
            hand.write(page.get_by_label(words("New password again"), exact=True), changed)
            hand.press("button", words("Change the password"))
            hand.sees(words("Your password is changed; your other sessions have ended."))
        hand.open_menu()
        hand.press("button", words("Log out"))
        expect(page.get_by_role("button", name=words("Log in"), exact=True)).to_be_visible()
    assert page.request.get("/api/v1/models", max_retries=1).status == 401


@journey("audit")
def test_events_are_filtered_and_exported(hand: Hand, rig: Rig, tmp_path: Path) -> None:
    words, page = hand.words, hand.page
    hand.go("/audit/")
    hand.fill("searchbox", words("Who"), "system:bootstrap")
    made = page.locator("#action option[value='version.create']").text_content() or ""
    hand.choose(words("Action"), made)
    hand.press("button", words("Filter"))
    expect(page).to_have_url(re.compile("action=version.create"))
    with page.expect_download() as download:
        hand.press("link", "CSV")
    download.value.save_as(tmp_path / "events.csv")
    rows = list(csv.DictReader((tmp_path / "events.csv").read_text().splitlines()))
    known = rig.rows("audit?actor=system:bootstrap&action=version.create")
    assert {row["object_id"] for row in rows} == {row["object_id"] for row in known} >= {"digits/1"}
    shown = page.locator("tbody td").filter(has_text=re.compile(f"^{re.escape(made)}$"))
    expect(shown).to_have_count(len(known))


@journey("system")
def test_the_set_up_is_found_and_says_what_the_api_says(hand: Hand, rig: Rig) -> None:
    words, page = hand.words, hand.page
    hand.go("/")
    hand.open_menu()
    hand.press("link", words("System"))
    hand.arrives(words("System"))
    states = {"ok": words("OK"), "warning": words("Warning"), "error": words("Error")}
    checks = [check for check in rig.api("GET", "system")["checks"] if not check["key"].startswith("version.")]
    known = [states[check["condition"]] for check in checks]
    expect(page.locator("#setup tbody .state")).to_have_text(known)


@journey("deleted", "overview")
def test_a_model_is_deleted_and_brought_back(hand: Hand, rig: Rig) -> None:
    words, name = hand.words, fresh("lost")
    rig.api("POST", "models", {"name": name})
    rig.api("POST", f"models/{name}/unload")
    hand.go(f"/models/{name}/")
    hand.press("button", words("Delete model"))
    hand.confirm(words("Delete the model"), typed=name)
    hand.sees(words("%(undo)s is deleted", undo=name))
    assert name in [row["name"] for row in rig.rows("models?deleted=true")]
    hand.press("link", words("Recently deleted"))
    hand.arrives(words("Recently deleted"))
    hand.press("button", f"{words('Restore')} {name}")
    hand.sees(words("%(name)s is restored with its versions. It serves nothing until it is loaded.", name=name))
    assert rig.api("GET", f"models/{name}")["name"] == name
    rig.forget(name)


@journey("overview")
def test_language_and_theme_are_changed_and_kept(hand: Hand) -> None:
    page, root = hand.page, hand.page.locator("html")
    hand.go("/keys/")
    dark = hand.dress.theme == "dark"
    hand.open_menu()
    hand.press("button", hand.words("Light") if dark else hand.words("Dark"))
    expect(root).to_have_attribute("data-theme", "light" if dark else "dark")
    hand.press("button", "简体中文" if hand.dress.language == "en" else "English")
    expect(root).to_have_attribute("lang", "zh-hans" if hand.dress.language == "en" else "en")
    expect(root).to_have_attribute("data-theme", "light" if dark else "dark")
    kept = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    assert kept["dlproxy_theme"] == ("light" if dark else "dark")
    assert kept["dlproxy_language"] == ("zh-hans" if hand.dress.language == "en" else "en")


def test_every_page_has_a_main_journey(site: Site, admin: Person) -> None:
    there = {resolve(address).url_name for address in pages(site, admin, VALUES)}
    assert len(there) > 20
    assert there - LOOKED_AT_ONLY <= walked


def _alive(rig: Rig, after: dict[str, Any] | None = None) -> dict[str, Any]:
    """A ready instance of the model, once there is one that was started after another."""
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        ready = rig.rows(f"instances?model={MODEL}&state=ready")
        found[:] = [row for row in ready if after is None or row["number"] > after["number"]]
        return bool(found)

    until(is_there)
    return found[0]


def _has_ended(rig: Rig, one: dict[str, Any]) -> bool:
    return any(row["instance_id"] == one["instance_id"] for row in rig.rows("instances/exits"))
