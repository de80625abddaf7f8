"""History over the API: columns on an even grid, gaps kept, points bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api_cast import Caller
from django.utils import timezone

from models_admin.api.series import MAX_POINTS, METRIC_COLUMNS
from models_admin.models import MachineSample, MetricSample, Model

pytestmark = pytest.mark.django_db
NOW = timezone.now().replace(microsecond=0)


def at(seconds_ago: int) -> datetime:
    return NOW - timedelta(seconds=seconds_ago)


def history(caller: Caller, path: str = "metrics", **query: Any) -> Any:
    parts = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in query.items()}
    return caller.client.get(f"/api/v1/{path}/history", parts, headers=caller.headers)


def test_gaps_are_null_and_columns_are_of_one_length(viewer: Caller) -> None:
    for ago, requests in ((5, 10), (3, 30)):
        MetricSample.objects.create(at=at(ago), requests=requests, p50_ms=1.5)
    body = history(viewer, start=at(6), end=at(1)).json()
    assert body["at"] == [int(at(ago).timestamp()) for ago in (6, 5, 4, 3, 2)]
    assert body["requests"] == [None, 10, None, 30, None]
    assert body["p50_ms"] == [None, 1.5, None, 1.5, None]
    assert body["p99_ms"] == [None] * 5
    assert (body["resolution_s"], body["model"]) == (1, "")
    assert {len(body[name]) for name in ("at", *METRIC_COLUMNS)} == {5}


def test_a_second_in_which_only_others_had_something_to_say_is_zero_not_a_gap(viewer: Caller, digits: Model) -> None:
    for ago in (9, 8, 7, 5, 4, 3, 2):
        MetricSample.objects.create(at=at(ago))
    held = {"instances": 2, "cache_bytes": 64}
    MetricSample.objects.create(at=at(9), requests=4, p50_ms=1.0, model_name="digits", **held)
    body = history(viewer, model="digits", start=at(10), end=at(1)).json()
    assert body["requests"] == [None, 4, 0, 0, None, 0, 0, 0, 0]
    assert body["p50_ms"] == [None, 1.0] + [None] * 7
    assert body["instances"] == [None, 2, 2, 2, None, 2, 2, 0, 0]
    assert body["cache_bytes"] == [None, 64, 64, 64, None, 64, 64, None, None]
    later = history(viewer, model="digits", start=at(8), end=at(6)).json()
    assert (later["instances"], later["cache_bytes"]) == ([2, 2], [64, 64])


def test_a_model_has_its_own_history(viewer: Caller, digits: Model) -> None:
    MetricSample.objects.create(at=at(2), requests=1)
    MetricSample.objects.create(at=at(2), requests=7, model_name="digits")
    assert history(viewer, model="digits", start=at(3), end=at(1)).json()["requests"] == [None, 7]
    missing = history(viewer, model="nothing")
    assert (missing.status_code, list(missing.json()["errors"])) == (404, ["model"])


def test_the_default_is_the_last_ten_minutes(viewer: Caller) -> None:
    body = history(viewer).json()
    assert len(body["at"]) in (600, 601)
    assert body["requests"] == [None] * len(body["at"])


def test_several_samples_share_a_point(viewer: Caller) -> None:
    first = NOW.replace(minute=0, second=0)
    for offset, requests, depth in ((0, 10, 1), (1, 30, 9)):
        MetricSample.objects.create(
            at=first + timedelta(seconds=offset),
            requests=requests,
            cache_hits=requests - 2 * offset - 1,
            mean_ms=requests / 10,
            queue_mean_ms=4.0 + 4 * offset,
            queue_depth=depth,
            busy_ratio=offset,
            histogram={"5": 1},
        )
    body = history(viewer, start=first, end=first + timedelta(seconds=5), resolution_s=5).json()
    assert len(body["at"]) == 1
    assert (body["requests"], body["queue_depth"], body["busy_ratio"]) == ([40], [9], [0.5])
    assert body["mean_ms"] == [2.5]
    assert body["queue_mean_ms"] == [7.0]  # one waited 4 ms and three 8 ms; hits do not wait
    assert body["p50_ms"][0] is not None


def test_a_stretch_as_a_whole_has_the_percentiles_of_all_its_requests(viewer: Caller, digits: Model) -> None:
    for ago, requests, histogram in ((4, 10, {"5": 10}), (2, 90, {"90": 90})):
        counts = {"requests": requests, "executions": 2, "inferences": requests, "histogram": histogram}
        for name in ("", "digits"):
            MetricSample.objects.create(at=at(ago), p50_ms=1.0, model_name=name, **counts)
    body = history(viewer, model="digits", start=at(5), end=at(1), whole="true").json()
    assert (body["whole"]["requests"], body["whole"]["executions"]) == (100, 4)
    assert body["whole"]["p50_ms"] == body["whole"]["p99_ms"] != 1.0  # not a mean of the seconds' own
    assert body["requests"] == [None, 10, None, 90]
    assert history(viewer, model="digits", start=at(5), end=at(1)).json()["whole"] is None
    assert history(viewer, model="digits", start=at(9), end=at(6), whole="true").json()["whole"] is None


@pytest.mark.parametrize("first", [0, 30, 59])
@pytest.mark.parametrize("length_s", [300, 301, 90, 45, 5])
def test_the_same_traffic_is_the_same_whole_by_the_minute_as_by_the_second(
    viewer: Caller, first: int, length_s: int
) -> None:
    """A stretch is compared with one whose seconds are gone: as much is counted, wherever in a minute it begins."""
    now, past = (NOW - timedelta(hours=1)).replace(second=0), (NOW - timedelta(days=3)).replace(second=0)
    MetricSample.objects.bulk_create(
        [MetricSample(at=now + timedelta(seconds=at), requests=2) for at in range(420)]
        + [MetricSample(at=past + timedelta(minutes=at), resolution_s=60, requests=120) for at in range(7)]
    )
    wholes = []
    for begin in (now + timedelta(seconds=first), past + timedelta(seconds=first)):
        body = history(viewer, start=begin, end=begin + timedelta(seconds=length_s), whole="true", points=100).json()
        wholes.append(body["whole"]["requests"])
    assert wholes == [2 * length_s, 2 * length_s]


def test_a_page_may_ask_for_fewer_points(viewer: Caller) -> None:
    body = history(viewer, start=at(300), end=at(0), points=100).json()
    assert (body["resolution_s"], len(body["at"]) <= 100) == (5, True)
    assert history(viewer, start=at(300), end=at(0), points=0).status_code == 400


def test_minutes_are_read_where_seconds_are_no_longer_kept(viewer: Caller) -> None:
    minute = (NOW - timedelta(days=2)).replace(second=0)
    MetricSample.objects.create(at=minute, resolution_s=60, requests=600)
    MetricSample.objects.create(at=minute, resolution_s=1, requests=1)
    body = history(viewer, start=minute, end=minute + timedelta(minutes=2)).json()
    assert (body["resolution_s"], body["requests"]) == (60, [600, None])


@pytest.mark.parametrize("days", [1, 14, 400])
def test_points_are_bounded_whatever_the_range(days: int, viewer: Caller) -> None:
    body = history(viewer, start=NOW - timedelta(days=days), end=NOW).json()
    assert len(body["at"]) <= MAX_POINTS
    assert body["at"][0] <= (NOW - timedelta(days=days)).timestamp() < body["at"][1]
    assert body["at"][-1] + body["resolution_s"] >= NOW.timestamp()


def test_a_resolution_that_is_too_fine_is_refused(viewer: Caller) -> None:
    start = NOW - timedelta(seconds=2_000)
    assert len(history(viewer, start=start, end=NOW, resolution_s=1).json()["at"]) == MAX_POINTS
    answer = history(viewer, start=start - timedelta(seconds=1), end=NOW, resolution_s=1)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["resolution_s"])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"start": "yesterday"}, "start"),
        ({"start": "NaN"}, "start"),
        ({"start": "1e400"}, "start"),
        ({"start": "1e15"}, "start"),
        ({"start": "-1", "end": "5"}, "start"),
        ({"start": "0001-01-01T00:00:00Z", "end": "0001-01-02T00:00:00Z"}, "start"),
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "start"),
        ({"start": "2020-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "start"),
        ({"resolution_s": "0"}, "resolution_s"),
        ({"resolution_s": "7"}, "resolution_s"),
        ({"resolution_s": "1.5"}, "resolution_s"),
        ({"step": "1"}, "step"),
        ({"model": "x" * 129}, "model"),
        ({"model": "a\x00"}, "model"),
    ],
)
def test_a08_a_bad_range_is_refused_with_its_field(query: dict[str, str], field: str, viewer: Caller) -> None:
    answer = history(viewer, **query)
    assert answer.status_code == 400, answer.content
    assert list(answer.json()["errors"]) == [field]


def test_moments_may_be_unix_seconds(viewer: Caller) -> None:
    MetricSample.objects.create(at=at(2), requests=4)
    start = int(at(3).timestamp())
    assert history(viewer, start=start, end=start + 2).json()["requests"] == [None, 4]


def test_the_machine_has_a_history_with_its_gpus(viewer: Caller) -> None:
    gpu = {
        "index": 0,
        "name": "H100",
        "utilisation_percent": 40,
        "memory_used_bytes": 5,
        "memory_total_bytes": 10,
        "temperature_c": None,
        "power_w": 70.5,
    }
    MachineSample.objects.create(at=at(3), cpu_percent=10, memory_used_bytes=1, memory_total_bytes=4, gpus=[gpu])
    MachineSample.objects.create(at=at(2), cpu_percent=30, memory_used_bytes=3, memory_total_bytes=4)
    body = history(viewer, "machine", start=at(3), end=at(1)).json()
    assert (body["cpu_percent"], body["memory_used_bytes"]) == ([10, 30], [1, 3])
    (shown,) = body["gpus"]
    assert (shown["name"], shown["utilisation_percent"], shown["power_w"]) == ("H100", [40, None], [70.5, None])
    assert shown["temperature_c"] == [None, None]
    start = datetime.fromtimestamp(int(at(3).timestamp()) // 10 * 10, UTC)
    coarse = history(viewer, "machine", start=start, end=start + timedelta(seconds=20), resolution_s=10).json()
    assert coarse["cpu_percent"][0] is not None
    assert len(coarse["at"]) == 2
