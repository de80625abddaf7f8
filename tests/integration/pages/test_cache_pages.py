"""The cache page: figures, state with its reason, the curve, the second level, emptying it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest import MonkeyPatch

from models_admin.models import AuditEvent, MetricSample, Model, NodeStatus
from proxy import gateway
from proxy.core.reports import CacheReport, CurvePoint, OrderEstimate, SecondLevelReport
from proxy.core.units import BYTES_PER_MIB

PAGE = "/models/digits/cache/"
CURVE = tuple(CurvePoint(mib * BYTES_PER_MIB, mib / 256, float(mib)) for mib in (16, 64, 128, 256))


class Emptied:
    """A data plane that remembers what it was told to forget."""

    latest_report = None

    def __init__(self) -> None:
        self.purged: list[tuple[str | None, str | None]] = []

    def purge_cache(self, model: str | None = None, digest: str | None = None) -> None:
        self.purged.append((model, digest))


def words(response: HttpResponse) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def reported(**fields: Any) -> None:
    """The data plane's last word on the cache of `digits`."""
    report = CacheReport(
        **{
            "state": "on",
            "bytes": 32 * BYTES_PER_MIB,
            "max_bytes": 64 * BYTES_PER_MIB,
            "entries": 1_234,
            "eviction": "lru",
            "hits": 25,
            "misses": 75,
            "insertions": 75,
            "evictions": 3,
            "expirations": 2,
            "saved_ms_per_s": 340.4,
            "lookup_us": 12.34,
            "insert_us": 20.0,
            "service_ms": 5.0,
            **fields,
        }
    )
    info = {"caches": {"digits": json.loads(json.dumps(asdict(report)))}}
    NodeStatus.objects.update_or_create(name="web", defaults={"at": timezone.now(), "info": info})


def test_without_a_report_the_page_says_what_to_do(staff: Client, digits: Model) -> None:
    assert "No data plane has reported lately" in words(staff.get(PAGE))
    assert "no ready version yet" in words(staff.get("/models/empty/cache/"))
    Model.objects.filter(name="digits").update(loaded=False)
    assert "The model is unloaded" in words(staff.get(PAGE))


def test_the_figures_are_those_of_the_report(staff: Client, digits: Model) -> None:
    reported()
    MetricSample.objects.create(
        model_name="digits", at=timezone.now() - timedelta(seconds=3), cache_hits=9, cache_misses=1
    )
    page = words(staff.get(PAGE))
    for figure in ("90%", "25%", "340", "32.0 MiB", "of 64.0 MiB", "1,234", "12.3 µs", "20.0 µs", "5.00 ms"):
        assert figure in page, figure
    assert "Repeated inputs are answered from memory." in page
    assert "Longest age no limit" in page


@pytest.mark.parametrize("state", ["on", "off", "bypassed", "probing", "<b>new"])
def test_the_state_has_its_reason_and_markup_in_it_is_text(staff: Client, digits: Model, state: str) -> None:
    reported(state=state, message="Hits save <script>1 ms</script>.")
    html = staff.get(f"{PAGE}now/").content.decode()
    assert "<script>1" not in html
    assert "<b>new" not in html
    assert "Hits save &lt;script&gt;" in html


def test_the_curve_comes_with_the_present_size_and_what_the_next_step_is_worth(staff: Client, digits: Model) -> None:
    reported(curve=CURVE, sample_ratio=0.1)
    response = staff.get(PAGE)
    html = response.content.decode()
    data = re.search(r'<script id="curve-data" type="application/json">(.*?)</script>', html)
    assert data is not None
    curve = json.loads(data.group(1))
    assert curve["now"] == {"size": 64 * BYTES_PER_MIB, "miss": 0.75}
    assert "The next 64 MiB would save about 64 ms of model time a second." in html


def test_every_order_of_eviction_is_compared_and_who_shared_an_execution_is_told(staff: Client, digits: Model) -> None:
    reported(
        coalesced=4_321,
        orders=(OrderEstimate("lru", 0.37, 370.0), OrderEstimate("s3_fifo", 0.46, 461.0)),
    )
    page = words(staff.get(PAGE))
    assert "Coalesced 4,321" in page
    assert "S3-FIFO Saves most 46% 461" in page
    assert "Least recently used In force 37% 370" in page
    assert page.index("S3-FIFO Saves most") < page.index("Least recently used In force")
    told = staff.get("/api/v1/models/digits/cache").json()["report"]
    assert [one["eviction"] for one in told["orders"]] == ["lru", "s3_fifo"]
    assert told["coalesced"] == 4_321


def test_without_a_curve_the_chart_says_why(staff: Client, digits: Model) -> None:
    reported()
    html = staff.get(PAGE).content.decode()
    assert "curve-data" not in html
    assert "Too few repeated look-ups" in html


@pytest.mark.parametrize(("state", "shown"), [("on", True), ("bypassed", True), ("off", False)])
def test_the_curve_has_its_place_whatever_the_cache_was_when_the_page_was_opened(
    staff: Client, digits: Model, state: str, shown: bool
) -> None:
    reported(state=state)
    html = staff.get(PAGE).content.decode()
    assert ('aria-labelledby="curve-title" hidden>' in html) is not shown
    assert ("curve-wanted" in staff.get(f"{PAGE}now/").content.decode()) is shown


def test_the_second_level_says_how_it_stands(staff: Client, digits: Model) -> None:
    reported(second_level=SecondLevelReport(hits=3, state="open", message="It did not answer within 20 ms."))
    page = words(staff.get(PAGE))
    assert "Left alone" in page
    assert "It did not answer within 20 ms." in page
    reported()
    assert "Not used: the policy keeps" in words(staff.get(PAGE))


def test_answers_are_dropped_of_the_model_or_of_one_version(
    staff: Client, viewer: Client, digits: Model, monkeypatch: MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    plane = Emptied()
    monkeypatch.setattr(gateway, "_runtime", plane)
    with django_capture_on_commit_callbacks(execute=True):
        staff.post(f"{PAGE}purge/")
        staff.post(f"{PAGE}purge/", {"version": "5"})
        assert "Choose a version" in words(staff.post(f"{PAGE}purge/", {"version": "77"}, follow=True))
    assert plane.purged == [("digits", None), ("digits", "ab" * 32)]
    assert AuditEvent.objects.filter(action="model.purge_cache").count() == 2
    assert "Drop all answers" not in words(viewer.get(PAGE))


def test_without_a_data_plane_emptying_says_so(staff: Client, digits: Model) -> None:
    assert "No data plane runs in this process" in words(staff.post(f"{PAGE}purge/", follow=True))
