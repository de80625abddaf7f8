"""A shared cache that answers in garbage is left alone like a dead one, and used again when it is well (F15)."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from proxy.cache import second_level as module
from proxy.cache.breaker import BreakerState
from proxy.cache.second_level import SecondLevel
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy
from proxy.core.tensors import Tensor
from proxy.system import SystemClock, unix_time_s

PATIENCE_S = 60.0
GARBAGE = {
    "no number": b":abc\r\n",
    "no length": b"$xx\r\n",
    "no array": b"*-7\r\n",
    "not the protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a short array": b"*1\r\n$-1\r\n",
    "an endless line": b"+" + b"a" * 70_000 + b"\r\n",
    "a deep array": b"*1\r\n" * 3_000,
}
ENOUGH_FOR_A_PING = (GARBAGE["no array"], GARBAGE["a short array"])


@asynccontextmanager
async def answering(says):
    """The port of a server that answers `says[0]` to whatever it is sent."""

    async def serve(reader, writer):
        try:
            while await reader.read(65_536):
                writer.write(says[0])
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def until(reached):
    async with asyncio.timeout(PATIENCE_S):
        while not reached():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_f15_garbage_opens_the_breaker_ends_no_keeper_and_every_look_up_has_its_end(monkeypatch, garbage):
    monkeypatch.setattr(module, "KEEPER_S", 0.01)
    monkeypatch.setattr(module, "WELL_S", 0.0)
    monkeypatch.setattr(module, "BUDGET_S", 5.0)  # this machine may be busy: nothing here is to end for its time
    says = [garbage]
    async with answering(says) as port:
        level = SecondLevel(f"redis://127.0.0.1:{port}/0", b"s" * 32, SystemClock(), unix_time_s)
        level.configure("m", CachePolicy(enabled=True, second_level=True))
        found = []
        asked = sum(level.look_up("m", bytes([index]) * 24, None, found.append) for index in range(20))
        level.start()
        try:
            outputs = BatchOutputs((Tensor("y", "UINT8", (1, 1), b"1"),), 1, batched=True)
            level.put("m", b"k" * 24, outputs, 1)
            await until(lambda: len(found) == asked)
            assert set(found) <= {None}
            if garbage not in ENOUGH_FOR_A_PING:
                await until(lambda: level.state is not BreakerState.CLOSED)
            assert not level._keeper.done()
            says[0] = b"+PONG\r\n"
            level._breaker._trial_ns = 0
            await until(lambda: level.state is BreakerState.CLOSED)
        finally:
            await level.stop()
