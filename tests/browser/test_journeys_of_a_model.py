"""The main journey of each page of a model: by mouse and keys, wide and narrow, light and dark, in both languages."""

from __future__ import annotations

import csv
import json
import re
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import expect

from proxy.testing.weight_files import safetensors_file
from tests.browser.dresses import journey
from tests.browser.hands import Hand
from tests.browser.rig import Rig, fresh, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@journey("overview")
def test_the_list_is_searched_and_sorted_and_a_model_opened(hand: Hand, rig: Rig) -> None:
    words = hand.words
    hand.go("/")
    if hand.dress.means == "keys":
        hand.page.keyboard.press("/")
    hand.fill("searchbox", words("Search models"), "dig")
    hand.choose(words("Order"), words("Slowest first"))
    hand.press("button", words("Show"))
    expect(hand.page).to_have_url(re.compile("q=dig.*sort=p99_ms"))
    shown = hand.page.locator("tr[data-model]").evaluate_all("rows => rows.map((row) => row.dataset.model)")
    assert set(shown) == {row["name"] for row in rig.rows("models?page_size=100") if "dig" in row["name"]}
    hand.press("link", "digits")
    hand.arrives("digits")


@journey("model")
def test_a_range_is_chosen_held_still_read_and_exported(hand: Hand, rig: Rig, tmp_path: Path) -> None:
    words, page = hand.words, hand.page
    rig.ask("read-on-a-chart")
    until(lambda: sum(one or 0 for one in rig.lately()["requests"]) > 0)
    known = rig.lately()
    hand.go("/models/digits/")
    hand.press("button", words("15 min"))
    expect(page).to_have_url(re.compile("range=15m"))
    expect(page.locator("#range-words")).not_to_have_text("\xa0")
    hand.press("button", words("Pause"))
    expect(hand.named("button", words.of_script("Resume"))).to_be_visible()
    hand.point(page.locator("[data-chart=rate] [data-plot]"))
    moment = page.locator("[data-chart=rate] [data-at]")
    expect(moment).to_have_text(re.compile(r"^\d\d:\d\d:\d\d"))
    at, shown = (moment.text_content() or "")[:8], page.locator("[data-chart=rate] [data-value=rps]").text_content()
    with page.expect_download() as download:
        hand.press("button", "CSV")
    download.value.save_as(tmp_path / "numbers.csv")
    rows = list(csv.DictReader((tmp_path / "numbers.csv").read_text().splitlines()))
    read = [float(row["rps"] or 0) for row in rows if row["at"][14:19] == at[3:]]  # its hour is the viewer's
    assert read == [pytest.approx(float(shown or "nan"), abs=0.5)]
    asked = dict(zip(known["at"], known["requests"], strict=True))
    exported = {_unix(row["at"]): float(row["rps"] or 0) for row in rows}
    busy = [second for second, count in asked.items() if count]
    assert busy
    assert [exported[second] for second in busy] == [asked[second] for second in busy]


@journey("model-requests", "requests")
def test_a_request_is_found_by_its_id_and_its_time_is_split(hand: Hand, rig: Rig) -> None:
    words, page, name = hand.words, hand.page, fresh("asked")
    rig.ask(name)
    hand.go("/models/digits/requests/")
    hand.press("link", words("Slowest"))
    expect(page).to_have_url(re.compile("sort=slowest"))
    hand.go("/requests/")
    hand.fill("searchbox", words("Request id"), name)
    hand.press("button", words("Filter"))
    expect(page).to_have_url(re.compile(f"id={name}"))
    hand.press("link", name)
    opened = page.locator("tr.opened")
    expect(opened.get_by_role("rowheader", name=words("Compute"), exact=True)).to_be_visible()
    (known,) = rig.rows(f"requests?id={name}")
    expect(opened.locator("tr", has_text=words("Total"))).to_contain_text(f"{known['total_ms']:.3f} ms")
    expect(opened).to_contain_text(known["instance_id"])


@journey("version", "model-compare", "model-versions")
def test_a_version_is_compared_promoted_and_gone_back_from(hand: Hand, rig: Rig) -> None:
    words = hand.words
    before = rig.api("GET", "models/digits")["default_version"]
    other = next(row for row in rig.rows("models/digits/versions?state=ready") if row["number"] != before)
    default = lambda: rig.api("GET", "models/digits")["default_version"]  # noqa: E731
    hand.go(f"/models/digits/versions/{other['number']}/")
    hand.press("link", words("Compare with the default"))
    hand.sees(words("What differs"))
    hand.sees(other["digest"])
    hand.go(f"/models/digits/versions/{other['number']}/")
    hand.press("button", words("Promote"))
    hand.confirm(words("Promote"))
    until(lambda: default() == other["number"])
    hand.go("/models/digits/versions/")
    hand.press("button", words("Roll back"))
    hand.confirm(words("Roll back"))
    hand.sees(words("%(name)s is back at the version before. It was warm, so nothing had to be loaded.", name="digits"))
    assert default() == before


@journey("model-versions")
def test_a_candidate_gets_a_share_by_the_slider_and_loses_it(hand: Hand, rig: Rig) -> None:
    words, page = hand.words, hand.page
    hand.go("/models/digits/versions/")
    hand.choose(words("Mode"), words("Shadow"))
    hand.press("button", words("Start rollout"))
    slider = page.get_by_role("slider", name=words("Share, by slider"), exact=True)
    expect(slider).to_be_visible()
    hand.slide(slider)
    share = page.locator("#weight").input_value()
    assert share == slider.input_value()
    hand.press("button", words("Set share"))
    hand.sees(words("The candidate's share is %(given)s %%.", given=float(share)))
    newest = lambda: rig.rows("models/digits/rollouts")[0]  # noqa: E731
    assert newest()["weight_percent"] == float(share)
    hand.press("button", words("Cancel"))
    hand.sees(words("The rollout is cancelled; the default answers every call again."))
    assert newest()["state"] == "cancelled"


@journey("version")
def test_notes_are_kept_and_a_golden_sample_is_added_and_removed(hand: Hand, rig: Rig) -> None:
    words, page, notes = hand.words, hand.page, f"Walked {hand.dress}"
    hand.go("/models/digits/versions/1/")
    hand.fill("textbox", words("Notes"), notes)
    hand.press("button", words("Save notes"))
    hand.sees(words("Notes saved."))
    assert rig.api("GET", "models/digits/versions/1")["notes"] == notes
    kept = lambda: len(rig.api("GET", "models/digits/versions/1/golden")["samples"])  # noqa: E731
    before, pixels = kept(), [0.25] * 64
    golden = page.locator("#golden")
    hand.unfold(words("Add a sample"), golden)
    tensor = {"name": "image", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": pixels}
    hand.fill("textbox", words("Sample (JSON)"), json.dumps({"inputs": [tensor]}), golden)
    hand.press("button", words("Ask this version and keep its answer"), golden)
    hand.sees(words("The sample is kept; it is checked at the version's next load."))
    assert kept() == before + 1
    hand.settle()
    hand.use(golden.get_by_role("button", name=words("Remove"), exact=True).last)
    hand.sees(words("The sample is removed."))
    assert kept() == before


@journey("new-model", "model-versions")
def test_a_model_is_made_and_its_first_file_uploaded(hand: Hand, rig: Rig, tmp_path: Path) -> None:
    words, name = hand.words, fresh("made")
    path = tmp_path / "net.safetensors"
    path.write_bytes(safetensors_file({"layer.weight": [3, 2]}))
    hand.go("/")
    hand.press("link", words("New model"))
    hand.arrives(words("New model"))
    hand.fill("textbox", words("Name"), name)
    hand.fill("textbox", words("Description"), "Made on a walk.")
    hand.press("button", words("Create model"))
    hand.arrives(name)
    hand.give(hand.page.locator("#drop"), path)
    expect(hand.page.get_by_role("list", name=words("Files to upload"), exact=True)).to_contain_text(path.name)
    hand.press("button", words("Upload and validate"))
    hand.arrives(words("Version %(number)s", number=1))
    (version,) = rig.rows(f"models/{name}/versions")
    assert version["digest"] == sha256(path.read_bytes()).hexdigest()
    assert rig.api("GET", f"models/{name}")["description"] == "Made on a walk."


@journey("model-try")
def test_a_picture_is_drawn_sent_and_copied_as_code(hand: Hand, rig: Rig) -> None:
    words, page = hand.words, hand.page
    hand.go("/models/digits/try/")
    pad = page.locator(".pad")
    expect(pad).to_be_visible()
    body = page.locator("#body")
    hand.paint(pad)
    assert max(json.loads(body.input_value())["inputs"][0]["data"]) == 1
    hand.press("button", words.of_script("Sample {digit}", digit=7))
    hand.press("button", words("Send request"))
    expect(page.locator("[data-best-class]")).to_have_text("7")
    sent = json.loads(body.input_value())["inputs"][0]["data"]
    shown = json.loads(page.locator("#raw-answer").text_content() or "")["outputs"][0]["data"]
    assert shown == pytest.approx(rig.ask("as-on-the-page", sent)["outputs"][0]["data"], abs=1e-4)
    hand.press("button", "httpx")
    hand.press("button", words("Copy"))
    expect(page.get_by_role("button", name=words.of_script("Copied"), exact=True)).to_be_visible()
    assert hand.copied() == page.locator("#snippet").text_content()
    assert "httpx.post" in hand.copied()


@journey("model-policy")
def test_a_field_of_the_policy_is_previewed_saved_and_undone(hand: Hand, rig: Rig) -> None:
    words, page = hand.words, hand.page
    now = lambda: rig.api("GET", "models/silero-vad/policy")["cache_ttl_s"]  # noqa: E731
    before = now()
    hand.go("/models/silero-vad/policy/")
    hand.fill("spinbutton", words("Longest age"), str(before + 7))
    hand.press("button", words("Preview changes"))
    preview = page.locator("#preview")
    expect(preview.locator("ins")).to_have_count(1)
    expect(preview.locator("ins")).to_contain_text(str(before + 7))
    assert now() == before
    hand.press("button", words("Save policy"), preview)
    hand.sees(words("Policy saved"))
    assert now() == before + 7
    hand.press("button", words("Undo"))
    hand.sees(words("The change is undone."))
    assert now() == before


@journey("model-policy-history", "model-policy-revision")
def test_an_earlier_policy_is_gone_back_to(hand: Hand, rig: Rig) -> None:
    words, path = hand.words, "models/silero-vad/policy"
    before = rig.api("GET", path)
    rig.api("PATCH", path, {"cache_ttl_s": before["cache_ttl_s"] + 9})
    hand.go("/models/silero-vad/policy/history/")
    hand.press("link", f"{words('Go back to this')} : {before['revision']}")
    hand.sees(words("Back to revision %(number)s", number=before["revision"]))
    hand.press("button", words("Go back to this"))
    hand.sees(words("The policy is as it was at revision %(number)s.", number=before["revision"]))
    assert rig.api("GET", path)["cache_ttl_s"] == before["cache_ttl_s"]


@journey("model-cache")
def test_the_kept_answers_are_dropped(hand: Hand, rig: Rig) -> None:
    words = hand.words
    rig.api("PATCH", "models/digits/policy", {"cache_enabled": True})
    held = lambda: rig.api("GET", "models/digits/cache")["report"]["entries"]  # noqa: E731
    until(lambda: rig.ask("kept") and held() > 0)
    hand.go("/models/digits/cache/")
    hand.press("button", words("Drop all answers"))
    hand.confirm(words("Drop them"))
    hand.sees(words("The kept answers of %(model)s are dropped.", model="digits"))
    until(lambda: held() == 0)


@journey("model-tuning")
def test_advice_is_taken_and_undone_a_mode_is_set_and_a_load_asked_for(hand: Hand, rig: Rig) -> None:
    words, page = hand.words, hand.page
    number, rows = rig.card(), lambda: rig.api("GET", "models/digits/policy")["max_batch_rows"]
    before = rows()
    hand.go("/models/digits/tuning/?knob=max_batch_rows")
    card = page.locator(f"#decision-{number}")
    hand.press("button", words("Apply"), card)
    hand.sees(words("It is applied, and measured now."))
    assert rows() == before + 1
    hand.press("button", words("Undo"), card)
    hand.sees(words("It is undone."))
    assert rows() == before
    knob = words("Mode of %(knob)s", knob=words("Cache size"))
    mode = lambda: rig.api("GET", "models/digits/tuning")["modes"]["cache_max_mib"]  # noqa: E731
    was = mode()
    wanted, label = ("off", words("Off")) if was != "off" else ("advise", words("Advise"))
    hand.choose(knob, label)
    until(lambda: mode() == wanted)
    rig.api("PATCH", "models/digits/policy", {"tuning_modes": {"cache_max_mib": was}})
    hand.fill("spinbutton", words("Requests a second"), "50")
    hand.press("button", words("Answer"))
    expect(page).to_have_url(re.compile("rate=50"))


def _unix(moment: str) -> int:
    """Seconds of a moment in a table."""
    return int(datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp())
