"""The page of a comparison: cache hits beside what each server answers without a cache."""

from __future__ import annotations

from bench.report import _hits_beside


def cell(kind, server, per_s, *, workload="tiny", concurrency=64):
    return {
        "kind": kind,
        "server": server,
        "workload": workload,
        "concurrency": concurrency,
        "requests_per_s": per_s,
        "p99_ms": 2.5,
    }


def test_our_hits_stand_beside_each_server_without_a_cache_of_the_same_cell():
    rows = [
        cell("json", "triton", 10_000.0),
        cell("json", "ours", 20_000.0),
        cell("json", "ours", 500.0, concurrency=1),
        cell("hits", "ours", 60_000.0),
        cell("hits", "triton", 12_000.0),
    ]
    title, _, table = _hits_beside(rows)
    assert title == "## tiny: ours with cache hits, 60,000 requests/s, beside each without a cache"
    assert table.splitlines()[2:] == [
        "| ours | 20,000 | 3.00x | 2.50 | 2.50 |",
        "| triton | 10,000 | 6.00x | 2.50 | 2.50 |",
    ]


def test_without_hits_or_without_the_cell_there_is_no_such_table():
    assert _hits_beside([cell("json", "ours", 20_000.0)]) == []
    assert _hits_beside([cell("hits", "ours", 60_000.0), cell("json", "ours", 1.0, workload="medium")]) == []
