"""What the numbers of a measured second are called in sentences. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.core.words import Words, say

MEASURED: Mapping[str, Words] = {
    "requests": say("number of requests"),
    "errors": say("errors"),
    "rejections": say("rejections"),
    "cache_hits": say("cache hits"),
    "cache_misses": say("cache misses"),
    "coalesced": say("coalesced"),
    "inferences": say("inferences"),
    "executions": say("executions"),
    "queue_depth": say("queue depth"),
    "in_flight": say("in flight"),
    "instances": say("number of instances"),
    "busy_ratio": say("busy ratio"),
    "cache_bytes": say("cache bytes"),
    "mean_ms": say("mean ms"),
    "queue_mean_ms": say("queue mean ms"),
    "compute_mean_ms": say("compute mean ms"),
}
