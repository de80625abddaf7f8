"""Triton's shape of the totals."""

from __future__ import annotations

import json

from proxy.core.totals import MAX_BATCH_SIZES, VersionTotals
from proxy.protocol.v2_statistics import VersionStatistics, encode


def test_every_number_stands_where_tritons_clients_look_for_it() -> None:
    totals = VersionTotals()
    totals.last_inference_unix_s = 7
    totals.success, totals.success_ns, totals.queue_ns = 2, 300, 10
    totals.failed(50)
    totals.looked_up(5, is_hit=True)
    totals.looked_up(6, is_hit=False)
    totals.executed_batch(rows=3, requests=2, service_ns=40, input_ns=3, output_ns=2)
    (found,) = json.loads(encode([VersionStatistics("m", 2, totals, 4_096)]))["model_stats"]
    compute = {
        "compute_input": {"count": 2, "ns": 6},
        "compute_infer": {"count": 2, "ns": 70},
        "compute_output": {"count": 2, "ns": 4},
    }
    assert found == {
        "name": "m",
        "version": "2",
        "last_inference": 7_000,
        "inference_count": 3,
        "execution_count": 1,
        "inference_stats": {
            "success": {"count": 2, "ns": 300},
            "fail": {"count": 1, "ns": 50},
            "queue": {"count": 2, "ns": 10},
            **compute,
            "cache_hit": {"count": 1, "ns": 5},
            "cache_miss": {"count": 1, "ns": 6},
        },
        "response_stats": {},
        "batch_stats": [
            {
                "batch_size": 3,
                "compute_input": {"count": 1, "ns": 3},
                "compute_infer": {"count": 1, "ns": 35},
                "compute_output": {"count": 1, "ns": 2},
            }
        ],
        "memory_usage": [{"type": "CPU", "id": 0, "byte_size": 4_096}],
    }


def test_the_list_of_batch_sizes_is_bounded_and_the_sums_stay_whole() -> None:
    totals = VersionTotals()
    for rows in range(1, MAX_BATCH_SIZES + 50):
        totals.executed_batch(rows, 1, 1)
    assert len(totals.by_rows) == MAX_BATCH_SIZES
    assert totals.executions == MAX_BATCH_SIZES + 49
