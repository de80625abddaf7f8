"""Two versions side by side, over the API and on the page: from the rows, the files' headers and the measurements."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from api_cast import Caller, Maker
from django.test import Client
from django.utils import timezone

from models_admin.models import MetricSample, Model, ModelVersion
from models_admin.selectors.artifacts import artifact_path
from proxy.testing.weight_files import safetensors_file


def signature(width: int, *outputs: str) -> dict[str, object]:
    return {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, width]}],
        "outputs": [{"name": name, "datatype": "FP32", "shape": [-1, 1]} for name in outputs],
    }


@pytest.fixture
def pair(digits: Model) -> Model:
    """Versions 1 and 2 that differ in files, signatures and notes; both were measured, only one was served."""
    for number, content, given in (
        (1, safetensors_file({"first": [2, 2], "gone": [3], "kept": [1]}), signature(64, "scores")),
        (2, safetensors_file({"first": [2, 4], "kept": [1], "more": [5]}), signature(64, "scores", "extra")),
    ):
        version = digits.versions.get(number=number)
        artifact_path(version).write_bytes(content)
        ModelVersion.objects.filter(pk=version.pk).update(
            signature=given, notes=f"<i>{number}</i>", load_time_ms=number
        )
    now = timezone.now()
    for age_s, requests in ((10, 99), (20, 1), (7_000, 5)):
        MetricSample.objects.create(
            model_name="digits", version=2, at=now - timedelta(seconds=age_s), requests=requests, executions=requests,
            compute_mean_ms=2.0, histogram={"600": requests},
        )  # fmt: skip
    # A second in which nobody waited for what was executed any more has no mean: that is no time of 0 ms.
    MetricSample.objects.create(model_name="digits", version=2, at=now - timedelta(seconds=30), executions=100)
    return digits


def test_the_api_says_what_differs(viewer: Caller, pair: Model) -> None:
    answer = viewer("GET", "/models/digits/versions/compare?a=1&b=2")
    assert answer.status_code == 200
    found = answer.json()
    assert (found["model"], found["a"], found["b"]) == ("digits", 1, 2)
    sections = {one["name"]: one for one in found["sections"]}
    changes = {name: {row["name"]: row["change"] for row in one["rows"]} for name, one in sections.items()}
    assert changes["inputs"] == {"x": "same"}
    assert changes["outputs"] == {"scores": "same", "extra": "added"}
    assert changes["tensors"] == {"first": "changed", "gone": "removed", "more": "added"}
    assert sections["tensors"]["counts"] == {"changed": 1, "removed": 1, "same": 1, "added": 1}
    assert changes["artifact"]["digest"] == "changed" and changes["artifact"]["size_bytes"] == "same"
    measured = {row["name"]: row for row in sections["measured"]["rows"]}
    assert (measured["load_time_ms"]["a"], measured["load_time_ms"]["b"]) == (1.0, 2.0)
    assert (measured["served_requests"]["a"], measured["served_requests"]["b"]) == (None, 100)  # of the last hour
    assert measured["service_ms"]["b"] == 2.0 and measured["p99_ms"]["b"] > 0
    assert measured["p99_ms"]["change"] == "unknown"


def test_numbers_that_are_none_or_of_nothing_are_refused(viewer: Caller, digits: Model, maker: Maker) -> None:
    assert viewer("GET", "/models/digits/versions/compare?a=1").status_code == 400
    assert viewer("GET", "/models/digits/versions/compare?a=1&b=x").status_code == 400
    assert viewer("GET", "/models/digits/versions/compare?a=1&b=99").status_code == 404
    # A file that cannot be read is no failure of the whole.
    sections = viewer("GET", "/models/digits/versions/compare?a=1&b=2").json()["sections"]
    assert sections[-1] == {"name": "contents", "counts": {}, "rows": []}


def test_the_page_shows_the_same_and_keeps_the_choice_in_its_address(viewer: Caller, pair: Model) -> None:
    browser: Client = viewer.client
    html = browser.get("/models/digits/versions/compare/?a=1&b=2").content.decode()
    assert "Clients may need a change" in html
    assert "FP32 [any, 64]" in html and "F32 [2, 4]" in html
    assert "&lt;i&gt;1&lt;/i&gt;" in html and "<i>1</i>" not in html
    assert "1 changed, 1 removed, 1 same, 1 added" in re.sub(r"\s+", " ", html)
    assert browser.get("/models/digits/versions/compare/?a=1&b=99").status_code == 404
    chosen = browser.get("/models/digits/versions/compare/").content.decode()
    assert "<option selected>1</option>" in chosen and "<option selected>2</option>" in chosen
    assert 'action="/models/digits/versions/compare/"' in browser.get("/models/digits/versions/").content.decode()
    link = 'href="/models/digits/versions/compare/?a=1&amp;b=2"'
    assert link in browser.get("/models/digits/versions/2/").content.decode()
