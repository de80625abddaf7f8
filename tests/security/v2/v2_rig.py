"""A real runtime in a thread, reached over real sockets on both ports.

Everything is the product's own but the instances: they run in this process and give back what came in (output `y` is
input `x`), or wait until they are told to. `TEST_INSTANCES=process` puts real instance processes behind the
same tests (those that need to hold an execution are skipped then), `TEST_LOOP=asyncio` runs them without uvloop.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import uvicorn
import uvloop

from proxy.authorization.keys import digest_hex
from proxy.core.policies import BatchingPolicy, CachePolicy, ModelPolicy, QueuePolicy, ScalingPolicy
from proxy.core.principals import Principal
from proxy.core.snapshot import KeySnapshot, ModelSnapshot, Snapshot, VersionSnapshot
from proxy.core.tensors import Signature, TensorSpec
from proxy.endpoint.asgi import InferenceApp
from proxy.endpoint.limits import ListenerLimits
from proxy.endpoint.listener import InferenceServer
from proxy.runtime import Runtime, RuntimeConfig
from proxy.testing.instances import FakeGroup

KEY = "dlp_" + "A" * 43
RESTRICTED_KEY = "dlp_" + "B" * 43
EXPIRED_KEY = "dlp_" + "C" * 43
ADMIN_KEY = "dlp_" + "D" * 43
LIMITED_KEY = "dlp_" + "E" * 43
IN_PROCESS = os.environ.get("TEST_INSTANCES", "memory") == "memory"
COLUMNS = 4
NO_SECOND = 60.0  # seconds within which every answer must be there; a hang fails the test


def version(model: str, number: int, artifact: Path, **more: Any) -> VersionSnapshot:
    shape = (-1, COLUMNS)
    signature = Signature((TensorSpec("x", "FP32", shape),), (TensorSpec("y", "FP32", shape),))
    digest = hashlib.sha256(artifact.read_bytes()).hexdigest()
    return VersionSnapshot(model, number, digest, str(artifact), "torchscript", signature, **more)


def snapshot(artifact: Path) -> Snapshot:
    policy = ModelPolicy(
        batching=BatchingPolicy(max_rows=128),
        queue=QueuePolicy(max_requests=64),
        cache=CachePolicy(enabled=False),
        scaling=ScalingPolicy(enabled=False),
    )
    models = {}
    for name in ("echo", "secret"):
        versions = {number: version(name, number, artifact) for number in (1, 2)}
        models[name] = ModelSnapshot(name, MappingProxyType(versions), 2, 1, policy)
    keys = [
        KeySnapshot("1", "all", digest_hex(KEY)),
        KeySnapshot("2", "echo only", digest_hex(RESTRICTED_KEY), frozenset({"echo"})),
        KeySnapshot("3", "expired", digest_hex(EXPIRED_KEY), expires_at_unix_s=1.0),
        KeySnapshot("4", "admin", digest_hex(ADMIN_KEY), is_admin=True),
        KeySnapshot("5", "one a second", digest_hex(LIMITED_KEY), requests_per_s=1),
    ]
    return Snapshot(1, MappingProxyType(models), MappingProxyType({k.digest_hex: k for k in keys}))


class LoopClock:
    """The event loop as the clock of fake instances."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.call_later = loop.call_later


class RigGroup(FakeGroup):
    """A fake group with the rest of the real one's face. While `gate` is closed, executions wait."""

    def __init__(self, of: VersionSnapshot, loop: asyncio.AbstractEventLoop, on_change: Callable[[Any], None]) -> None:
        super().__init__(of, LoopClock(loop), 0, service_ns=0, on_change=on_change)  # type: ignore[arg-type]
        self.sandbox: dict[str, str] = {}

    def set_wanted(self, count: int) -> None:
        self.wanted = count
        for _ in range(count - len(self.all_instances())):
            self.add()

    def hold(self) -> None:
        for instance in self.all_instances():
            instance.service_ns = None

    def release(self) -> None:
        for instance in self.all_instances():
            instance.service_ns = 0
            if instance.current is not None:
                instance.finish()

    def statistics(self) -> tuple[()]:
        return ()

    async def stop(self) -> None:
        pass


class RigRuntime(Runtime):
    """The product's runtime with instances in memory."""

    def _make_group(self, of: Any, execution: Any, on_change: Any) -> Any:
        return RigGroup(of, self.loop, on_change) if IN_PROCESS else super()._make_group(of, execution, on_change)


@dataclass
class Reply:
    """One response as the client read it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        found = self.json
        assert list(found) == ["error"]
        return found["error"]


class Client:
    """A blocking raw socket that reads responses one by one."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=NO_SECOND)
        self._buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self, *, to_head: bool = False) -> Reply:
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:])}
        status = int(lines[0].split(" ")[1])
        length = 0 if to_head or status == 100 else int(headers["content-length"])
        while len(self._buffer) < length:
            self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Reply(status, headers, body)

    def is_closed_by_server(self) -> bool:
        """True if the server ends the connection, with nothing more sent."""
        try:
            return not self._buffer and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _more(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise EOFError(f"closed after {self._buffer!r}")
        self._buffer += data


def infer_body(*rows: list[float], **more: Any) -> bytes:
    data = [v for row in (rows or ([1.0, 2.0, 3.0, 4.0],)) for v in row]
    item = {"name": "x", "shape": [len(rows) or 1, COLUMNS], "datatype": "FP32", "data": data}
    return json.dumps({"inputs": [item], **more}).encode()


def request(
    method: str = "POST",
    target: str = "/v2/models/echo/infer",
    body: bytes | None = None,
    headers: dict[str, str | None] | None = None,
    version: str = "1.1",
) -> bytes:
    """Bytes of a request; a header of None is left out."""
    named: dict[str, str | None] = {"Host": "localhost", "Authorization": f"Bearer {KEY}"}
    if body is not None:
        named |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    named |= headers or {}
    lines = [f"{method} {target} HTTP/{version}"] + [f"{n}: {v}" for n, v in named.items() if v is not None]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


class Rig:
    """The server in its thread. `call` runs a function on its loop and gives its result."""

    def __init__(self, artifact: Path) -> None:
        self.loop = asyncio.new_event_loop() if os.environ.get("TEST_LOOP") == "asyncio" else uvloop.new_event_loop()
        self._snapshot = self._everything = snapshot(artifact)
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.run(self._start())

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(NO_SECOND * 2)

    def call(self, function: Callable[[], Any]) -> Any:
        async def on_loop() -> Any:
            return function()

        return self.run(on_loop())

    async def _start(self) -> None:
        config = RuntimeConfig(inference_port=0, feed_interval_s=60.0)
        self.runtime = RigRuntime(config, self._load, lambda _: None, self._set_loaded)
        await self.runtime.start()
        self.inference_port: int = self.runtime.inference_port  # type: ignore[assignment]
        app = InferenceApp(self.runtime.pipeline, self.runtime.extensions)
        asgi_config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off", loop="none", http="httptools")
        self._asgi = uvicorn.Server(asgi_config)
        self._asgi.install_signal_handlers = lambda: None  # type: ignore[attr-defined, method-assign]
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.asgi_port: int = listening.getsockname()[1]
        self._serving = asyncio.ensure_future(self._asgi._serve([listening]))
        while not (self._asgi.started and self.runtime.pipeline.is_ready() and self._routes()):
            await asyncio.sleep(0.01)

    def _load(self, known_generation: int | None) -> Snapshot | None:
        return None if known_generation == self._snapshot.generation else self._snapshot

    def _set_loaded(self, principal: Principal, model: str, loaded: bool) -> int:
        """The control plane's part of loading and unloading."""
        assert principal.is_admin
        known = self._everything.models[model]
        if not loaded:
            known = replace(known, versions=MappingProxyType({}), default_version=None)
        models = {**self._snapshot.models, model: known}
        self._snapshot = replace(self._snapshot, generation=self._snapshot.generation + 1, models=models)
        return self._snapshot.generation

    def _routes(self) -> bool:
        return len(self.runtime.manager.routes.defaults) == 2

    def listener(self, **limits: Any) -> InferenceServer:
        """Another inference port with its own limits, on the same pipeline; its port is `taken_port`."""

        async def start() -> InferenceServer:
            server = InferenceServer(self.runtime.pipeline, self.runtime.clock, replace(ListenerLimits(), **limits))
            server.taken_port = await server.start("127.0.0.1", 0)  # type: ignore[attr-defined]
            return server

        return self.run(start())

    def group(self, key: str = "echo/2") -> RigGroup:
        return self.runtime.manager.groups()[key]  # type: ignore[return-value]

    def lane(self, key: str = "echo/2") -> Any:
        return self.call(lambda: self.runtime.scheduler.statistics()[key])

    def stop(self) -> None:
        async def stop() -> None:
            self._asgi.should_exit = True
            await self._serving
            await self.runtime.stop()

        self.run(stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(NO_SECOND)
        self.loop.close()
