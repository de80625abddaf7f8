"""An execution's result → the whole answer: body and headers, as the request asked for them.

Source: Open Inference Protocol, REST; Triton's binary tensor data extension; W3C Server Timing.
"""

from __future__ import annotations

import msgspec

from proxy.core.requests import Answer, InferenceRequest, InferenceResult
from proxy.core.units import ns_to_ms
from proxy.protocol import classification, v2_binary_response, v2_response
from proxy.protocol.media import JSON_LENGTH

# Above this an answer is not read for its id: 16 KiB take about 20 µs.
READ_FOR_ID_BYTES = 16_384

_JSON = ((b"content-type", b"application/json"),)
_CACHE_HIT = (b"x-dlproxy-cache", b"hit")
_JSON_HIT = (*_JSON, _CACHE_HIT)
_BINARY = (b"content-type", b"application/octet-stream")


class _WithId(msgspec.Struct):
    """The one field of an answer that is read again."""

    id: str | None = None


_ID = msgspec.json.Decoder(_WithId)


def write(result: InferenceResult, request: InferenceRequest) -> Answer:
    """The answer. Raises ExecutionFailed for a JSON output that is not finite."""
    if request.top_classes:
        result = classification.apply(result, request)
    if not request.binary_outputs:
        return Answer(200, v2_response.encode(result, request), _JSON_HIT if result.cache_hit else _JSON)
    body, json_bytes = v2_binary_response.encode(result, request)
    headers = (_BINARY, (JSON_LENGTH, b"%d" % json_bytes))
    return Answer(200, body, (*headers, _CACHE_HIT) if result.cache_hit else headers)


def is_encoded(request: InferenceRequest) -> bool:
    """True if writing the answer takes longer the more values there are; raw outputs are only joined."""
    return not request.binary_outputs or bool(request.top_classes)


def texts(request: InferenceRequest) -> int:
    """The most strings that its classified outputs come to: each takes as long to write as some twenty numbers."""
    return request.rows * sum(request.top_classes.values()) if request.top_classes else 0


def id_of(answer: Answer) -> str | None:
    """The request's id that a JSON answer repeats; None if there is none, or it would take long to find."""
    if len(answer.body) > READ_FOR_ID_BYTES:
        return None
    try:
        return _ID.decode(answer.body).id
    except msgspec.DecodeError:
        return None  # a binary answer


def server_timing(
    result: InferenceResult, request: InferenceRequest, received_ns: int, executed_ns: int, now_ns: int
) -> tuple[bytes, bytes]:
    """The header that says where the time of this request went, in milliseconds. `*_ns` are points in time.

    `body` ended at `received_ns`; `parse` (and the cache's look-up) when it joined the queue; `queue` when an instance
    was idle; `batch`, the wait for company, when its batch was sent; `input`, `compute` and `output` are the
    execution's own times; `write` began at `executed_ns` and ended now. What the sum lacks of `total` is messages
    between processes. A cache hit has no execution; one that shared another request's execution has no wait of its own.
    """
    parts = [("body", received_ns - request.arrival_ns)]
    if request.queued_ns:
        ready_ns = max(request.queued_ns, request.idle_ns or request.dispatched_ns)
        parts.append(("parse", request.queued_ns - received_ns))
        parts.append(("queue", ready_ns - request.queued_ns))
        parts.append(("batch", request.dispatched_ns - ready_ns))
    execution = result.execution
    if execution is not None:
        parts.append(("input", execution.input_ns))
        parts.append(("compute", execution.compute_ns))
        parts.append(("output", execution.output_ns))
    parts += [("write", now_ns - executed_ns), ("total", now_ns - request.arrival_ns)]
    return b"server-timing", ", ".join(f"{name};dur={ns_to_ms(ns):.3f}" for name, ns in parts).encode()
