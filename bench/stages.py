"""One request's way through the rooms of the data plane, each stage timed by itself with the real objects.

No socket and no worker process: an instance that answers in memory stands in for them, but lays out, frames and checks
as the real one does. What the kernel and the event loop add is the difference to the processor time of the running web
process, which `bench/profile` measures, too.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import mmap
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from bench.peers import models
from bench.peers.wire import V2_JSON
from proxy.cache.cache import ResultCache
from proxy.core.batches import Batch, BatchResult
from proxy.core.clock import Clock
from proxy.core.policies import CachePolicy, ModelPolicy
from proxy.core.requests import Answer, InferenceRequest, InferenceResult
from proxy.core.snapshot import KeySnapshot, ModelSnapshot, Snapshot, VersionSnapshot
from proxy.core.tensors import DATATYPES, Signature, TensorSpec
from proxy.endpoint import answers, heads
from proxy.endpoint.connection import Connection
from proxy.endpoint.listener import InferenceServer
from proxy.frames.codec import decode, encode
from proxy.frames.messages import Entry, Execute, Result
from proxy.instances import layout
from proxy.metrics.metrics import Metrics
from proxy.model_manager.routing import RoutingTable
from proxy.pipeline import Pipeline
from proxy.protocol import v2_answer, v2_json
from proxy.protocol.limits import DEFAULT_LIMITS
from proxy.scheduler.scheduler import Scheduler
from proxy.system import SystemClock, unix_time_s

BATCH = 32
KEY = "dlp_" + "k" * 43
_FAR_NS = 3_600 * 10**9


class MemoryInstance:
    """Runs a batch without a process: the parent's own work around an execution, its outputs made beforehand."""

    def __init__(self, version: VersionSnapshot) -> None:
        self.instance_id = f"{version.key}#1"
        self.version = version
        self.outstanding = 0
        self.idle = True
        self.failed = False
        self.waiting: list[tuple[Batch, Any, bytes]] = []
        self.requests_area = mmap.mmap(-1, 1 << 20)
        self.answers_area = mmap.mmap(-1, 1 << 20)

    def ready_instances(self) -> Sequence[MemoryInstance]:
        """This is its own group, too."""
        return (self,)

    def execute(self, batch: Batch, on_done: Any) -> None:
        """Lay out, copy and frame the batch."""
        self.idle, self.outstanding = False, 1
        entries, _ = layout.lay_out(batch)
        layout.fill(self.requests_area, batch, entries)
        encode(Execute(1, batch.rows, entries))
        self.waiting.append((batch, on_done, self.result_frame(batch)))

    def result_frame(self, batch: Batch) -> bytes:
        """What a worker would send."""
        spec = self.version.signature.outputs[0]
        entry = Entry(DATATYPES[spec.datatype].code, 0, 4 * batch.rows * spec.shape[1], (batch.rows, spec.shape[1]))
        return encode(Result(1, 20_000, (entry,)))

    def finish(self) -> None:
        """Read the frame, copy the outputs, answer."""
        waiting, self.waiting = self.waiting, []
        for batch, on_done, frame in waiting:
            message = decode(frame)
            outputs = layout.take_outputs(batch, self.answers_area, len(self.answers_area), message.entries)  # type: ignore[union-attr]
            self.idle, self.outstanding = True, 0
            on_done(batch, BatchResult(outputs, 20_000, 100_000))


class Sink(asyncio.Transport):
    """A client that takes every answer at once."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = 0

    def write(self, data: Any) -> None:
        """Count."""
        self.answers += 1

    def writelines(self, list_of_data: Any) -> None:
        """Count."""
        self.answers += 1

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def is_closing(self) -> bool:
        """Never."""
        return False


class Bench:
    """The rooms around one version of `tiny`, and a request for it."""

    def __init__(self, *, cached: bool = False, clock: Clock | None = None) -> None:
        signature = models.signature("tiny")
        sides = {
            side: tuple(TensorSpec(s["name"], s["datatype"], tuple(s["shape"])) for s in specs)  # type: ignore[arg-type]
            for side, specs in signature.items()
        }
        digest = hashlib.sha256(b"tiny").hexdigest()
        self.version = VersionSnapshot("tiny", 1, digest, "", "torchscript", Signature(**sides))
        policy = ModelPolicy(cache=CachePolicy(enabled=cached))
        key = KeySnapshot("1", "bench", hashlib.sha256(KEY.encode()).hexdigest())
        self.clock: Clock = clock or SystemClock()
        self.metrics = Metrics()
        self.turn: list[Callable[[], None]] = []
        self.cache = ResultCache(self.clock)
        self.cache.configure("tiny", CachePolicy())
        off = ResultCache(self.clock)
        off.configure("tiny", policy.cache)
        self.instance = MemoryInstance(self.version)
        self.scheduler = Scheduler(self.clock, _no_timer, meter=self.metrics, call_soon=self.turn.append)
        self.scheduler.attach(self.version.key, self.instance, policy)  # type: ignore[arg-type]
        routes = RoutingTable({"tiny": {1: self.version}}, {"tiny": 1})
        manager: Any = type("Manager", (), {"routes": routes, "waking": {}})
        self.line = Pipeline(self.clock, unix_time_s, manager, off, self.scheduler, self.metrics, DEFAULT_LIMITS)
        self.line.snapshot = Snapshot(
            1, {"tiny": ModelSnapshot("tiny", {1: self.version}, 1, 1, policy)}, {key.digest_hex: key}
        )
        self.server = InferenceServer(self.line, self.clock)
        row = models.sample("tiny")
        self.body = V2_JSON.write(row)
        self.authorization = f"Bearer {KEY}".encode()
        self.head = (
            f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n"
        ).encode()

    def request(self) -> InferenceRequest:
        """A parsed request."""
        now_ns = self.clock.now_ns()
        parsed = v2_json.parse(self.body, self.version)
        return InferenceRequest(self.version, parsed.inputs, parsed.rows, now_ns, now_ns + _FAR_NS)

    def end_turn(self) -> None:
        """What the event loop does at the end of its turn, and the worker's answer."""
        while self.turn or self.instance.waiting:
            due, self.turn[:] = list(self.turn), []
            for callback in due:
                callback()
            self.instance.finish()


def _no_timer(_delay_s: float, _callback: Callable[[], None]) -> Any:
    return type("Handle", (), {"cancel": lambda _: None})()


def stages(repeats: int) -> list[tuple[str, str, float]]:
    """(stage, what it is, µs a request), in the order of the line; medians of `repeats` batches of 32."""
    bench = Bench()
    wire = bench.server.read_head(bench.head)
    requests = [bench.request() for _ in range(BATCH)]
    batch = Batch(1, bench.version, requests, BATCH)
    entries, _ = layout.lay_out(batch)
    frame = bench.instance.result_frame(batch)
    message: Any = decode(frame)
    execute = Execute(1, BATCH, entries)
    area = bench.instance.answers_area
    key = bench.cache.key(requests[0])
    bench.cache.put("tiny", key, layout.take_outputs(batch, area, len(area), message.entries).share(0, 1), 0)
    answer = Answer(200, b"x" * 200, ((b"content-type", b"application/json"),))

    def each(function: Callable[[InferenceRequest], Any]) -> Callable[[], None]:
        def run() -> None:
            for request in requests:
                function(request)

        return run

    def respond() -> None:
        outputs = layout.take_outputs(batch, area, len(area), message.entries)
        for row, request in enumerate(requests):
            v2_answer.write(InferenceResult(bench.version, outputs, row, 1), request)

    def schedule() -> None:
        for request in requests:
            bench.scheduler.submit(request, _ignore)
        bench.end_turn()

    def frames() -> None:
        encode(execute)
        decode(frame)

    clock, line = bench.clock, bench.line
    table: list[tuple[str, str, Callable[[], Any]]] = [
        ("head, known", "look-up of a keep-alive client's head", each(lambda _: bench.server.read_head(bench.head))),
        ("open", "route, key, right, version", each(lambda _: bench.server.routes.open(wire.head))),
        ("parse", "V2 JSON to packed tensors", each(lambda _: v2_json.parse(bench.body, bench.version))),
        ("queue to answer", "admit, queue, batch, lay out, copy, frame, deliver", schedule),
        ("  of it: copy in", "lay out and fill the request area", lambda: _fill(bench, batch)),
        ("  of it: frames", "encode Execute, decode Result", frames),
        (
            "  of it: copy out",
            "check and copy outputs",
            lambda: layout.take_outputs(batch, area, len(area), message.entries),
        ),
        ("encode", "one JSON for the batch, split by row (copy out included)", respond),
        (
            "measure",
            "counters and histogram",
            each(lambda _: line._metrics.on_answer("tiny", 200, None, 9, 9, 9, None)),
        ),
        ("response head", "bytes for one write", each(lambda _: answers.encode(answer, b"", b"", with_body=True))),
        ("not in the sum: cache key", "digest of the inputs", each(bench.cache.key)),
        ("not in the sum: cache hit", "look-up", each(lambda _: bench.cache.get("tiny", key, clock.now_ns()))),
        (
            "not in the sum: head, new",
            "both readings of a head",
            each(lambda _: heads.parse(bench.head, bench.server.limits)),
        ),
    ]
    return [(name, what, _time_us(function, repeats)) for name, what, function in table]


class WholeLine:
    """From bytes in to bytes out, `connections` at once, everything but kernel and event loop.

    `cached`: every request is the same, and its answer a hit. `clock`: the system's, where none is given.
    """

    def __init__(self, *, cached: bool = False, connections: int = BATCH, clock: Clock | None = None) -> None:
        self._bench = Bench(cached=cached, clock=clock)
        self._sinks = [Sink() for _ in range(connections)]
        self._connections = [Connection(self._bench.server) for _ in self._sinks]
        for connection, sink in zip(self._connections, self._sinks, strict=True):
            connection.connection_made(sink)
        self._packet = self._bench.head + self._bench.body

    def turn(self) -> None:
        """One request from each connection."""
        for connection in self._connections:
            connection.data_received(self._packet)
        self._bench.end_turn()

    def check(self, turns: int) -> None:
        """Raise RuntimeError unless every request of so many turns was answered."""
        answered = {sink.answers for sink in self._sinks}
        if answered != {turns}:
            raise RuntimeError(f"not every request was answered: {answered}")


def whole_line_us(repeats: int, *, cached: bool = False) -> float:
    """µs a request of the whole line, 32 connections at once."""
    line = WholeLine(cached=cached)
    spent_us = _time_us(line.turn, repeats)
    line.check(repeats + 1)
    return spent_us


def _fill(bench: Bench, batch: Batch) -> None:
    entries, _ = layout.lay_out(batch)
    layout.fill(bench.instance.requests_area, batch, entries)


def _ignore(_request: InferenceRequest, _outcome: object) -> None:
    """An answer that nobody waits for."""


def _time_us(function: Callable[[], Any], repeats: int) -> float:
    """Median time of one of the 32 in µs."""
    function()
    times_ns = []
    gc.disable()
    try:
        for _ in range(repeats):
            began_ns = time.perf_counter_ns()
            function()
            times_ns.append(time.perf_counter_ns() - began_ns)
    finally:
        gc.enable()
    return statistics.median(times_ns) / BATCH / 1_000
