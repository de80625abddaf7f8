"""The dashboard's port against clients that send too much, too slowly, or ambiguously (R23, R24, R25, A7)."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
from websockets.frames import Frame, Opcode

from dlproxy_site import dashboard_protocol, dashboard_websocket
from dlproxy_site.dashboard_protocol import DashboardProtocol, connection_limit, host_fault
from dlproxy_site.dashboard_websocket import EXTENSION, DashboardWebSocket
from models_admin.live import pipes
from models_admin.live.frames import message

GOOD = b"GET /page HTTP/1.1\r\nHost: here\r\n\r\n"
POST = b"POST /page HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n%b"
UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
BIG_ANSWER_BYTES = 30_000_000
FRAME_TEXT = b"x" * 50_000


async def page(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Answers with the length of the body; /big with many bytes; a websocket with one word."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/frames":
            await write_many_frames(scope["extensions"][EXTENSION], receive)
            return
        await send({"type": "websocket.send", "text": "hello"})
        while scope["path"] == "/stay":
            if (await receive())["type"] == "websocket.disconnect":
                return
        await send({"type": "websocket.close", "code": 1000})
        return
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = bytes(BIG_ANSWER_BYTES) if scope["path"] == "/big" else b"%d" % size
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def write_many_frames(protocol: Any, receive: Callable[[], Awaitable[Any]]) -> None:
    """As many as a reader that stands still may be written, and one when it has caught up; none after the close."""
    caught_up = asyncio.Event()
    protocol.on_caught_up = caught_up.set
    written = 0
    while not protocol.is_behind:
        protocol.write_frame(message(FRAME_TEXT).frame)
        written += 1
        await asyncio.sleep(0)
    await caught_up.wait()
    protocol.write_frame(message(b"%d before" % written).frame)
    await receive()
    assert (await receive())["type"] == "websocket.disconnect"
    protocol.write_frame(message(b"after the close").frame)


class Port:
    def __init__(self, number: int, server: uvicorn.Server) -> None:
        self.number = number
        self.server = server

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.number)

    async def answer_to(self, *pieces: bytes) -> bytes:
        """All that comes back until the server closes."""
        reader, writer = await self.open()
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return await asyncio.wait_for(reader.read(), 10)
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Port]:
    config = uvicorn.Config(
        page, host="127.0.0.1", port=0, http=DashboardProtocol, ws=DashboardWebSocket, lifespan="off",
        log_config=None, log_level="error",
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Port(port, server)
    finally:
        server.should_exit = server.force_exit = True
        await task


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real bounds of time are tens of seconds; the same code runs with small ones."""
    monkeypatch.setattr(dashboard_protocol, "HEAD_TIMEOUT_S", 0.2)
    monkeypatch.setattr(dashboard_protocol, "BODY_WINDOW_S", 0.2)
    monkeypatch.setattr(dashboard_protocol, "LINGER_S", 0.1)
    monkeypatch.setattr(dashboard_protocol, "WRITE_STALL_S", 0.3)


def test_r23_a_head_without_end_is_refused_before_it_is_kept() -> None:
    async def main() -> None:
        async with listening() as port:
            for line in (b"X-A: " + b"a" * 60_000, b"X-A: b\r\n" * 20_000):
                reader, writer = await port.open()
                writer.write(b"GET /page HTTP/1.1\r\nHost: here\r\n" + line)
                answer = await asyncio.wait_for(reader.read(), 10)
                assert answer.startswith(b"HTTP/1.1 431 ")
                writer.close()
            assert b"200 OK" in await port.answer_to(GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    asyncio.run(main())


@pytest.mark.parametrize("extra", [b"X-A: b\r\n" * 200, b"X-A: " + b"a" * 40_000 + b"\r\n"])
def test_r23_a_whole_head_over_the_bounds_is_refused(extra: bytes) -> None:
    async def main() -> None:
        async with listening() as port:
            answer = await port.answer_to(GOOD.replace(b"\r\n\r\n", b"\r\n" + extra + b"\r\n"))
            assert answer.startswith(b"HTTP/1.1 431 ")

    asyncio.run(main())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b""),
        (b"GET /pa", b"HTTP/1.1 408 "),
        (POST % (100, b"ab"), b"HTTP/1.1 408 "),
        (GOOD + b"\r\n\r\n", b"HTTP/1.1 200 "),
        (GOOD + b"GET /pa", b"HTTP/1.1 200 "),
    ],
)
def test_r24_a_client_that_stops_half_way_loses_its_connection(sent: bytes, status: bytes) -> None:
    async def main() -> None:
        async with listening() as port:
            answer = await port.answer_to(sent)
            assert answer.startswith(status)
            while port.server.server_state.connections:
                await asyncio.sleep(0.01)

    asyncio.run(main())


@pytest.mark.usefixtures("quick")
def test_r24_a_body_that_comes_steadily_is_taken() -> None:
    async def main() -> None:
        async with listening() as port:
            piece = bytes(20_000)
            reader, writer = await port.open()
            writer.write(POST % (10 * len(piece), b""))
            for _ in range(10):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.06)
            assert (await reader.readuntil(b"200000")).startswith(b"HTTP/1.1 200 ")
            writer.close()

    asyncio.run(main())


@pytest.mark.usefixtures("quick")
def test_r25_a_client_that_does_not_read_its_answer_is_let_go() -> None:
    async def main() -> None:
        async with listening() as port:
            reader, writer = await port.open()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(GOOD.replace(b"/page", b"/big"))
            while not port.server.server_state.connections:
                await asyncio.sleep(0.01)
            while port.server.server_state.connections:
                await asyncio.sleep(0.01)
            writer.close()
            del reader

    asyncio.run(main())


def test_a07_a_request_for_an_unclear_host_is_refused() -> None:
    one = [(b"host", b"here")]
    assert host_fault(b"/page", one, "1.1") is None
    assert host_fault(b"http://evil.example/page", one, "1.1") is not None
    assert host_fault(b"*", one, "1.1") is not None
    assert host_fault(b"/page", [*one, (b"host", b"evil.example")], "1.1") is not None
    assert host_fault(b"/page", [], "1.1") is not None
    assert host_fault(b"/page", [], "1.0") is None


def test_a07_the_port_answers_400_to_two_hosts_and_to_an_absolute_target() -> None:
    async def main() -> None:
        async with listening() as port:
            for sent in (
                GOOD.replace(b"Host: here", b"Host: here\r\nHost: evil.example"),
                GOOD.replace(b"/page", b"http://evil.example/page"),
            ):
                assert (await port.answer_to(sent)).startswith(b"HTTP/1.1 400 ")

    asyncio.run(main())


def test_r24_connections_beyond_the_limit_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard_protocol, "MAX_CONNECTIONS", 3)

    async def main() -> None:
        async with listening() as port:
            held = [await port.open() for _ in range(3)]
            while len(port.server.server_state.connections) < 3:
                await asyncio.sleep(0.01)
            answer = await port.answer_to(b"")
            assert answer.startswith(b"HTTP/1.1 503 ") and b"retry-after" in answer
            for _, writer in held:
                writer.close()
            while port.server.server_state.connections:
                await asyncio.sleep(0.01)
            assert b"200 OK" in await port.answer_to(GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    asyncio.run(main())


def test_pipelined_requests_and_websockets_pass_through() -> None:
    from websockets.asyncio.client import connect

    async def main() -> None:
        async with listening() as port:
            last = GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            answers = await port.answer_to(POST % (3, b"abc"), GOOD + last)
            assert answers.count(b"HTTP/1.1 200 OK") == 3
            async with connect(f"ws://127.0.0.1:{port.number}/live") as socket:
                assert await socket.recv() == "hello"

    asyncio.run(main())


def test_w07_frames_written_to_the_transport_arrive_whole_and_stop_at_a_reader_that_stands_still() -> None:
    async def main() -> None:
        async with listening() as port:
            reader, writer = await port.open()
            writer.write(UPGRADE % b"/frames")
            while not any(getattr(one, "is_behind", False) for one in port.server.server_state.connections):
                await asyncio.sleep(0.01)
            await reader.readuntil(b"\r\n\r\n")
            frames = 0
            while (head := await reader.readexactly(2)) == b"\x81\x7e":
                assert await reader.readexactly(2 + len(FRAME_TEXT)) == struct.pack("!H", len(FRAME_TEXT)) + FRAME_TEXT
                frames += 1
            assert await reader.readexactly(head[1]) == b"%d before" % frames
            writer.write(b"\x88\x82" + bytes(4) + b"\x03\xe8")
            assert await reader.read() == b"\x88\x02\x03\xe8"
            writer.close()

    asyncio.run(main())


def test_the_live_sockets_look_for_the_protocol_where_it_is() -> None:
    assert pipes.EXTENSION == EXTENSION


@pytest.mark.parametrize("size_bytes", [0, 125, 126, 65_535, 65_536])
def test_a_frame_is_the_one_that_the_protocols_own_library_makes(size_bytes: int) -> None:
    text = b"a" * size_bytes
    assert message(text).frame == Frame(Opcode.TEXT, text).serialize(mask=False)


def test_f37_the_dashboard_leaves_most_file_descriptors_to_others() -> None:
    assert connection_limit(256) == 64
    assert connection_limit(1_000_000) == dashboard_protocol.MAX_CONNECTIONS
    assert connection_limit(1) == 1


@pytest.mark.parametrize(
    "frame", [b"\x89\xfd" + bytes(4) + bytes(125), b"\x00\x80" + bytes(4)], ids=["pings", "fragments"]
)
def test_w04_frames_without_end_close_with_1008(frame: bytes) -> None:
    async def main() -> None:
        async with listening() as port:
            reader, writer = await port.open()
            writer.write(UPGRADE % b"/stay")
            await reader.readuntil(b"hello")
            first = b"\x01\x80" + bytes(4) if frame[0] == 0 else b""
            writer.write(first + frame * (2 * dashboard_websocket.BURST_BYTES // len(frame)))
            with suppress(ConnectionResetError):
                assert b"\x88\x02\x03\xf0" in await asyncio.wait_for(reader.read(), 10)
            while port.server.server_state.connections:
                await asyncio.sleep(0.01)
            writer.close()

    asyncio.run(main())
