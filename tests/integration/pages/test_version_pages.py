"""What the pages of versions say of a version's place among the others, and what they keep of what a person typed."""

from __future__ import annotations

import html
import json
import re

import pytest
from django.test import Client
from django.utils import translation

from models_admin.dashboard.problems import _failed_upload
from models_admin.models import Model
from models_admin.models.registry import VersionState
from models_admin.services import deletions, models
from models_admin.services.actors import Actor
from proxy import gateway
from proxy.core.requests import Answer
from proxy.core.words import say
from tests.integration.pages.conftest import add_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def fresh(actor: Actor) -> Model:
    """A model whose second version is ready while the first is being validated."""
    model = models.create_model(actor=actor, name="fresh")
    add_version(model, 1, VersionState.VALIDATING)
    add_version(model, 2, VersionState.READY)
    return model


def test_a_ready_version_says_for_which_lower_number_it_waits(staff: Client, fresh: Model) -> None:
    listed = staff.get("/models/fresh/versions/").content.decode()
    assert "waits for version 1" in listed
    assert "the one with the lowest number that passes its validation becomes the default" in listed
    assert "Version 1 is still being validated" in staff.get("/models/fresh/versions/2/").content.decode()


def test_why_a_version_failed_is_said_in_the_reader_s_language_and_a_program_reads_english(
    staff: Client, fresh: Model
) -> None:
    why = say("it was ended by %(name)s", name="<SIGSEGV>") + say(" (a library gave up)")
    failed = add_version(fresh, 3, VersionState.FAILED, state_reason=str(why), state_said=why.parts)
    failed.steps.filter(name="load").update(status="failed", message=str(why), said=why.parts)
    add_version(fresh, 4, VersionState.FAILED, state_reason="Said by older code: 100 % <b>.")
    chinese = {"Accept-Language": "zh-CN"}
    words = "被 &lt;SIGSEGV&gt; 结束（某个库放弃了）"
    page = staff.get("/models/fresh/versions/3/", headers=chinese).content.decode()
    assert page.count(words) == 2  # above it, and at its step
    assert words in staff.get("/models/fresh/versions/3/steps/", headers=chinese).content.decode()
    listed = staff.get("/models/fresh/versions/", headers=chinese).content.decode()
    assert words in listed and "Said by older code: 100 % &lt;b&gt;." in listed
    with translation.override("zh-hans"):
        assert words == html.escape(_failed_upload(failed).reason)
    assert html.escape(why) in staff.get("/models/fresh/versions/3/").content.decode()
    said = staff.get("/api/v1/models/fresh/versions/3", headers=chinese).json()
    assert (said["state_reason"], said["state_words"]) == (why, html.unescape(words))
    assert next(step for step in said["steps"] if step["name"] == "load")["message"] == why


def test_a_failed_version_leads_to_the_form_with_its_declarations(staff: Client, viewer: Client, fresh: Model) -> None:
    declared = {"inputs": [{"name": "in&put", "datatype": "FP32", "shape": [-1, 7]}], "outputs": []}
    options = {"reset_method": "restart", "sample": '{"in": {"fill": 2}}'}
    add_version(
        fresh, 3, VersionState.FAILED, declared_signature=declared, options=options, batchable=False, stateful=True
    )
    link = "/models/fresh/versions/?like=3"
    assert link in staff.get("/models/fresh/versions/3/").content.decode()
    assert link not in viewer.get("/models/fresh/versions/3/").content.decode()
    form = staff.get(link).content.decode()
    for given in (
        'id="stateful" checked',
        'id="batchable">',
        "&quot;name&quot;: &quot;in&amp;put&quot;, ",
        "&quot;outputs&quot;: []",
        'value="restart"',
        "{&quot;fill&quot;: 2}",
    ):
        assert given in form
    for nothing in ("99", "x", "9" * 300):
        assert 'id="batchable" checked' in staff.get("/models/fresh/versions/", {"like": nothing}).content.decode()


def test_where_a_default_serves_nothing_waits(staff: Client, digits: Model) -> None:
    assert "waits for version" not in staff.get("/models/digits/versions/").content.decode()


def test_a_model_of_many_versions_has_them_in_pages_that_stay_while_the_list_is_asked_for_anew(
    staff: Client, actor: Actor
) -> None:
    model = models.create_model(actor=actor, name="many")
    for number in range(1, 121):
        add_version(model, number, VersionState.ARCHIVED if number <= 10 else VersionState.READY)

    def listed(query: str) -> list[int]:
        text = staff.get(f"/models/many/versions/{query}").content.decode()
        return [int(number) for number in re.findall(r'id="version-(\d+)"', text)]

    assert listed("") == list(range(120, 70, -1))
    assert listed("?page=3") == list(range(20, 10, -1))
    assert listed("?page=3&archived=true") == list(range(20, 0, -1))
    page = staff.get("/models/many/versions/?page=2&archived=true").content.decode()
    again = re.search(r'id="version-list"[^>]* hx-get="([^"]*)"', page)
    assert again is not None
    part = staff.get(html.unescape(again[1])).content.decode()
    assert 'id="version-70"' in part
    assert 'id="version-120"' not in part
    assert 'href="?page=3&amp;archived=true"' in part


def test_samples_are_held_against_the_version_that_serves_and_a_wrong_new_one_is_said_at_once(
    staff: Client, viewer: Client, digits: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"name": "scores", "datatype": "FP32", "shape": [1, 10], "data": [0.5] * 10}
    image = {"name": "image", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": [0.0] * 64}
    answer = Answer(200, json.dumps({"outputs": [scores]}).encode())
    monkeypatch.setattr(gateway, "infer_from_thread", lambda *_: answer)
    where = "/models/digits/versions/1/golden/"

    def add(data: list[float]) -> str:
        given = json.dumps({"inputs": [image], "outputs": [{**scores, "data": data}]})
        return staff.post(f"{where}add/", {"json": given, "how": "add"}, follow=True).content.decode()

    assert "its next instances would not start" not in add([0.5] * 10)
    assert "is reproduced now" in staff.post(f"{where}check/", follow=True).content.decode()
    assert "its next instances would not start" in add([0.5] * 9 + [0.9])
    found = staff.post(f"{where}check/", follow=True).content.decode()
    assert "Sample 2: output scores differs in 1 of 10 elements: 0.5 where 0.9 is expected." in found
    assert viewer.post(f"{where}check/").status_code == 403


def test_the_page_of_a_deleted_version_says_where_it_can_be_restored(
    staff: Client, actor: Actor, digits: Model
) -> None:
    deletions.delete_version(actor=actor, version=digits.versions.get(number=2))
    gone = staff.get("/models/digits/versions/2/")
    assert gone.status_code == 404
    assert "can still be restored" in gone.content.decode()
    assert "has no version 9" in staff.get("/models/digits/versions/9/").content.decode()
