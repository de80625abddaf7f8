"""Clients for fault and load tests: raw keep-alive connections, one request on its way on each, nothing hidden.

Place: the tests of faults and the load generators of bench/. Why not an HTTP library: it retries, pools and waits by
rules of its own, costs several times as much for each request, and cannot be cut off at a chosen moment.
Rules: each `ask` ends in exactly one call of its `on_reply`; a request that was broken off is `None`, never repeated.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer. `headers` have lower-case names."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes

    @property
    def retry_after_s(self) -> float | None:
        """The Retry-After header, None where there is none."""
        value = self.headers.get(b"retry-after")
        return None if value is None else float(value)

    @property
    def version(self) -> int:
        """The version that a V2 answer names."""
        return int(json.loads(self.body)["model_version"])

    @property
    def rows(self) -> list[list[float]]:
        """The first output of a V2 JSON answer as rows."""
        output = json.loads(self.body)["outputs"][0]
        width = output["shape"][-1]
        data = output["data"]
        return [data[at : at + width] for at in range(0, len(data), width)]

    @property
    def error(self) -> str:
        """The words of a refusal."""
        return str(json.loads(self.body).get("error", ""))


OnReply = Callable[[Reply | None], None]


def inference(
    model: str,
    rows: Sequence[Sequence[float]],
    key: str,
    *,
    version: int | str | None = None,
    parameters: dict[str, Any] | None = None,
) -> bytes:
    """The bytes of one V2 JSON request with the FP32 matrix `x`."""
    path = f"/v2/models/{model}" + (f"/versions/{version}" if version is not None else "") + "/infer"
    flat = [value for row in rows for value in row]
    content: dict[str, Any] = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [len(rows), len(rows[0])], "data": flat}]
    }
    if parameters:
        content["parameters"] = parameters
    body = json.dumps(content, separators=(",", ":")).encode()
    return post(path, key, body)


def post(path: str, key: str, body: bytes) -> bytes:
    """The bytes of one POST of JSON."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One keep-alive connection. `ask` only while `is_idle`."""

    def __init__(self, on_idle: Callable[[Connection], None]) -> None:
        self._on_idle = on_idle
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._needed = 0  # bytes of the whole answer, once its head was read
        self._on_reply: OnReply | None = None

    @property
    def is_open(self) -> bool:
        """False once it was closed by either side."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_idle(self) -> bool:
        """True if a request can be sent."""
        return self.is_open and self._on_reply is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = transport  # type: ignore[assignment]

    def ask(self, packet: bytes, on_reply: OnReply) -> None:
        """Send one request."""
        if not self.is_idle or self._transport is None:
            raise RuntimeError("this connection cannot take a request now")
        self._on_reply = on_reply
        self._transport.write(packet)

    def cut(self) -> None:
        """Close at once, in the middle of whatever is under way; the request's `on_reply(None)` follows."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Collect one answer."""
        self._buffer += data
        if not self._needed:
            end = self._buffer.find(_HEAD_END)
            if end < 0:
                return
            self._needed = end + len(_HEAD_END) + int(_headers(self._buffer, end).get(b"content-length", b"0"))
        if len(self._buffer) >= self._needed:
            self._answered()

    def _answered(self) -> None:
        end = self._buffer.find(_HEAD_END)
        headers = _headers(self._buffer, end)
        reply = Reply(int(self._buffer[9:12]), headers, bytes(self._buffer[end + len(_HEAD_END) : self._needed]))
        del self._buffer[: self._needed]
        self._needed = 0
        on_reply, self._on_reply = self._on_reply, None
        if headers.get(b"connection", b"").lower() == b"close" and self._transport is not None:
            self._transport.close()
        elif self.is_open:
            self._on_idle(self)
        if on_reply is not None:
            on_reply(reply)

    def connection_lost(self, error: Exception | None) -> None:
        """What was on its way gets no answer."""
        self._transport = None
        on_reply, self._on_reply = self._on_reply, None
        if on_reply is not None:
            on_reply(None)


def _headers(buffer: bytearray, end: int) -> dict[bytes, bytes]:
    lines = bytes(buffer[:end]).split(b"\r\n")[1:]
    pairs = (line.partition(b":") for line in lines)
    return {name.lower(): value.strip() for name, _, value in pairs}


class Clients:
    """As many connections as there are requests on their way; idle ones are used again.

    Arrivals never wait for answers (open loop): that would hide overload. `opened` counts connections.
    """

    def __init__(self, host: str, port: int) -> None:
        self.opened = 0
        self._host = host
        self._port = port
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()

    async def prepare(self, count: int) -> None:
        """Have `count` idle connections."""
        for connection in await asyncio.gather(*(self._connect(self._idle.append) for _ in range(count))):
            self._idle.append(connection)

    def ask(self, packet: bytes, on_reply: OnReply) -> None:
        """Send now, on an idle connection or a new one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_idle:
                connection.ask(packet, on_reply)
                return
            self._all.discard(connection)
        task = asyncio.ensure_future(self._ask_on_new(packet, on_reply))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def ask_alone(self, packet: bytes, on_reply: OnReply) -> Connection:
        """Send on a connection of its own, which the caller may cut."""
        connection = await self._connect(lambda _: None)
        connection.ask(packet, on_reply)
        return connection

    def forget(self, connection: Connection) -> None:
        """A connection of `ask_alone` is done with."""
        self._all.discard(connection)

    async def fetch(self, packet: bytes) -> Reply | None:
        """Send and wait for the answer."""
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self.ask(packet, future.set_result)
        return await future

    async def close(self) -> None:
        """Cut every connection."""
        if self._opening:
            await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in self._all:
            connection.cut()
        self._all.clear()
        self._idle.clear()
        await asyncio.sleep(0)

    async def _connect(self, on_idle: Callable[[Connection], None]) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(on_idle), self._host, self._port)
        self.opened += 1
        self._all.add(connection)
        return connection

    async def _ask_on_new(self, packet: bytes, on_reply: OnReply) -> None:
        try:
            connection = await self._connect(self._idle.append)
        except OSError:
            on_reply(None)
            return
        connection.ask(packet, on_reply)


async def at_planned_times(times_s: Sequence[float], send: Callable[[int, float], None]) -> None:
    """Call `send(index, planned)` at each time of the loop's clock, late ones at once: the plan never waits.

    A latency counted from `planned` includes what a slow generator or server adds (no coordinated omission: Gil Tene,
    "How NOT to Measure Latency").
    """
    loop = asyncio.get_running_loop()
    for index, planned_s in enumerate(times_s):
        ahead_s = planned_s - loop.time()
        if ahead_s > 0:
            await asyncio.sleep(ahead_s)
        elif index % 64 == 0:
            await asyncio.sleep(0)  # let answers in, however late the plan is
        send(index, planned_s)
