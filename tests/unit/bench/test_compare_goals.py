"""What `bench/compare` says of its goals."""

from __future__ import annotations

from typing import Any

import pytest

from bench.compare_goals import table, verdicts


def cell(kind: str, workload: str, concurrency: int, server: str, **measures: float) -> dict[str, Any]:
    where = {"kind": kind, "workload": workload, "concurrency": concurrency, "server": server}
    return {**where, "requests_per_s": 1.0, "p50_ms": 1.0, "p99_ms": 1.0, **measures}


def test_our_figure_stands_beside_the_best_of_the_peers_that_the_goal_names():
    rows = [
        cell("json", "tiny", 64, "ours", requests_per_s=150.0, p99_ms=2.0),
        cell("json", "tiny", 64, "triton", requests_per_s=90.0, p99_ms=1.6),
        cell("json", "tiny", 64, "mosec", requests_per_s=100.0, p99_ms=1.0),
        cell("json", "tiny", 64, "ray", requests_per_s=1_000.0),
    ]
    assert verdicts({"medians": rows}) == [
        ("requests/s, `tiny`, 64 in flight, to mosec", "1.50 x", ">= 1.50 x", "held"),
        ("p99, `tiny`, 64 in flight, to triton", "1.25 x", "<= 1.00 x", "missed"),
    ]


def test_where_no_peer_is_named_the_best_of_all_counts():
    rows = [
        cell("json", "medium", 64, server, requests_per_s=speed)
        for server, speed in (("ours", 96.0), ("triton", 90.0), ("ray", 100.0))
    ]
    assert verdicts({"medians": rows}) == [
        ("requests/s, `medium`, 64 in flight, to ray", "0.96 x", ">= 1.00 x", "missed")
    ]


@pytest.mark.parametrize(("p50_ms", "word"), [(5.7, "held"), (5.8, "missed")])
def test_the_model_called_in_process_is_the_median_over_the_whole_run(p50_ms: float, word: str):
    floor = [{"model": "medium", "batch": 1, "median_ms": value} for value in (4.0, 5.0, 9.0)]
    content = {
        "medians": [cell("json", "medium", 1, "ours", p50_ms=p50_ms)],
        "floor": {"before": floor[:1], "rounds": [floor[1:2]], "after": floor[2:]},
    }
    assert [row[-1] for row in verdicts(content)] == [word]


def test_of_many_models_throughput_and_memory_are_judged():
    content = {"fleet": {"ratio": 0.949, "web_idle_1000": {"resident_mib": 250.0}}}
    assert [row[-1] for row in verdicts(content)] == ["held", "missed"]


def test_what_was_not_measured_is_not_judged():
    alone = [cell("json", "tiny", 64, "ours")]
    assert verdicts({"medians": alone}) == []
    assert table({"medians": alone}) == ""
