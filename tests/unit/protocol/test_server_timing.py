"""Server-Timing: each part is its own time, and a hit has no execution."""

from __future__ import annotations

from v2_models import DIGITS, request

from proxy.core.batches import BatchOutputs, BatchResult
from proxy.core.requests import InferenceResult
from proxy.core.units import NS_PER_MS
from proxy.protocol.v2_answer import server_timing

OUTPUTS = BatchOutputs((), 1, batched=True)


def test_every_part_is_the_time_between_its_own_two_moments() -> None:
    asked = request(DIGITS)
    asked.arrival_ns, asked.queued_ns, asked.idle_ns, asked.dispatched_ns = (n * NS_PER_MS for n in (1, 4, 6, 9))
    execution = BatchResult(OUTPUTS, 8 * NS_PER_MS, 12 * NS_PER_MS, input_ns=2 * NS_PER_MS, output_ns=NS_PER_MS)
    result = InferenceResult(DIGITS, OUTPUTS, 0, 1, execution=execution)
    name, value = server_timing(result, asked, 2 * NS_PER_MS, 21 * NS_PER_MS, 25 * NS_PER_MS)
    assert name == b"server-timing"
    assert value == (
        b"body;dur=1.000, parse;dur=2.000, queue;dur=2.000, batch;dur=3.000, "
        b"input;dur=2.000, compute;dur=8.000, output;dur=1.000, write;dur=4.000, total;dur=24.000"
    )


def test_a_hit_was_neither_queued_nor_executed() -> None:
    hit = InferenceResult(DIGITS, OUTPUTS, 0, 1, cache_hit=True)
    _, value = server_timing(hit, request(DIGITS), NS_PER_MS, 2 * NS_PER_MS, 3 * NS_PER_MS)
    assert value == b"body;dur=1.000, write;dur=1.000, total;dur=3.000"
