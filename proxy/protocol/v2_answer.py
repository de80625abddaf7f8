"""An execution's result → the whole answer: body and headers, as the request asked for them.

Source: Open Inference Protocol, REST; Triton's binary tensor data extension; W3C Server Timing.
"""

from __future__ import annotations

from proxy.core.requests import Answer, InferenceRequest, InferenceResult
from proxy.core.units import ns_to_ms
from proxy.protocol import v2_binary_response, v2_response
from proxy.protocol.media import JSON_LENGTH

_JSON = ((b"content-type", b"application/json"),)
_CACHE_HIT = (b"x-dlproxy-cache", b"hit")
_JSON_HIT = (*_JSON, _CACHE_HIT)
_BINARY = (b"content-type", b"application/octet-stream")


def write(result: InferenceResult, request: InferenceRequest) -> Answer:
    """The answer. Raises ExecutionFailed for a JSON output that is not finite."""
    if not request.binary_outputs:
        return Answer(200, v2_response.encode(result, request), _JSON_HIT if result.cache_hit else _JSON)
    body, json_bytes = v2_binary_response.encode(result, request)
    headers = (_BINARY, (JSON_LENGTH, b"%d" % json_bytes))
    return Answer(200, body, (*headers, _CACHE_HIT) if result.cache_hit else headers)


def server_timing(result: InferenceResult, request: InferenceRequest, now_ns: int) -> tuple[bytes, bytes]:
    """The header that says where the time of this request went, in milliseconds.

    `read`: from the head's arrival until the request joined the queue (its body, parsing, the cache's look-up);
    `queue`: until it was dispatched, waiting for company included; `compute`: the model, as the instance measured it;
    `total`: until this answer was written. A cache hit has only `total`; one that shared another request's execution
    has no `read`.
    """
    parts = []
    if not result.cache_hit:
        parts = [("queue", result.queue_ns), ("compute", result.compute_ns)]
        if request.queued_ns:
            parts.insert(0, ("read", request.queued_ns - request.arrival_ns))
    parts.append(("total", now_ns - request.arrival_ns))
    return b"server-timing", ", ".join(f"{name};dur={ns_to_ms(ns):.3f}" for name, ns in parts).encode()
