"""Running totals of versions → the body of the statistics extension.

Times: `success` and `queue` include cache hits, the compute ones do not. `compute_input` is the inputs' way into the
backend's hands, `compute_output` the outputs' way out of them, `compute_infer` all between: the model and the message
to its process and back. The three add up to the execution.
Source: Triton's statistics extension.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from proxy.core.totals import VersionTotals
from proxy.core.units import NS_PER_MS, NS_PER_S

_MS_PER_S = NS_PER_S // NS_PER_MS


@dataclass(frozen=True, slots=True)
class VersionStatistics:
    """One version's totals, and what its instances hold of the host's memory (as last measured)."""

    model: str
    number: int
    totals: VersionTotals
    memory_bytes: int


def encode(versions: Iterable[VersionStatistics]) -> bytes:
    """The answer to `GET /v2/models…/stats`."""
    return orjson.dumps({"model_stats": [_one(version) for version in versions]})


def _one(version: VersionStatistics) -> dict[str, Any]:
    totals = version.totals
    memory = [{"type": "CPU", "id": 0, "byte_size": version.memory_bytes}] if version.memory_bytes else []
    return {
        "name": version.model,
        "version": str(version.number),
        "last_inference": totals.last_inference_unix_s * _MS_PER_S,
        "inference_count": totals.inferences,
        "execution_count": totals.executions,
        "inference_stats": {
            "success": _duration(totals.success, totals.success_ns),
            "fail": _duration(totals.fail, totals.fail_ns),
            "queue": _duration(totals.success, totals.queue_ns),
            **_compute(totals.executed, totals.input_ns, totals.infer_ns, totals.output_ns),
            "cache_hit": _duration(totals.hits, totals.hits_ns),
            "cache_miss": _duration(totals.misses, totals.misses_ns),
        },
        "response_stats": {},
        "batch_stats": [{"batch_size": rows, **_compute(*totals.by_rows[rows])} for rows in sorted(totals.by_rows)],
        "memory_usage": memory,
    }


def _compute(count: int, input_ns: int, infer_ns: int, output_ns: int) -> dict[str, Any]:
    return {
        "compute_input": _duration(count, input_ns),
        "compute_infer": _duration(count, infer_ns),
        "compute_output": _duration(count, output_ns),
    }


def _duration(count: int, ns: int) -> dict[str, int]:
    return {"count": count, "ns": ns}
