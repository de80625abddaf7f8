"""F15 and C5 with whole servers: a Redis that dies, hangs, is slow, emptied or lied in costs no request its answer."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from fault_rig import FaultRig, echoing, invariant
from plane_rig import PLAIN_POLICY
from redis.asyncio import Redis
from redis_rig import OwnRedis, Wire, needs_redis_server

from proxy.cache import second_level as module
from proxy.cache.breaker import BreakerState
from proxy.cache.second_level_codec import derive_secret
from proxy.cache.second_level_model import SharedModel
from proxy.core.policies import CachePolicy

pytestmark = [pytest.mark.slow, needs_redis_server]
SECRET = derive_secret("what the servers of one deployment share")
SHARED = replace(PLAIN_POLICY, cache=CachePolicy(second_level=True))
HERD = 1_000


def rows(number: int) -> list[list[float]]:
    return [[1.0, float(number), 4.0, 1.5]]


def level(rig: FaultRig):
    return rig.plane.runtime.second_level


def report(rig: FaultRig):
    return level(rig).report("identity")


def executions(rig: FaultRig) -> int:
    return rig.plane.runtime.scheduler.statistics()["identity/1"].executions


@asynccontextmanager
async def server(tmp_path, version, url: str):
    async with invariant(tmp_path, cache_redis_url=url, cache_secret=SECRET) as rig:
        await rig.serve(version, policy=SHARED)
        yield rig


@pytest.fixture
async def redis(tmp_path):
    server = OwnRedis(tmp_path)
    await server.start()
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def worth_it(monkeypatch):
    """As if the model were slow: the one here takes less than a look-up, which would soon be left out."""
    monkeypatch.setattr(SharedModel, "is_worth_it", lambda *_: True)


@pytest.fixture
def patient(monkeypatch):
    """This machine may be busy: a look-up that the test expects to succeed has longer."""
    monkeypatch.setattr(module, "BUDGET_S", 1.0)


@pytest.mark.usefixtures("patient")
async def test_the_second_servers_first_look_up_is_a_hit(tmp_path, redis):
    version = echoing(tmp_path)
    async with server(tmp_path, version, redis.url) as first:
        reply = await first.ask("identity", rows(3))
        await first.plane.until(lambda: report(first).writes)
        async with server(tmp_path, version, redis.url) as second:
            found = await second.ask("identity", rows(3))
            assert found.rows == reply.rows
            assert (report(second).hits, executions(second)) == (1, 0)
            await second.ask("identity", rows(3))
            assert report(second).hits == 1, "the second look-up is its own cache's"
            told = second.plane.runtime.cache.statistics()["identity"]
            assert (told.hits, told.second_level.hits, told.second_level.state) == (1, 1, "closed")
            second.plane.runtime.purge_cache("identity")
            shared = level(second)._models["identity"]
            await second.plane.until(lambda: shared.purges and not shared.must_purge)
            await second.ask("identity", rows(3))
            assert executions(second) == 1, "purged here, purged everywhere"


@pytest.mark.usefixtures("patient")
async def test_f25_a_herd_on_one_cold_key_is_one_look_into_redis_and_one_execution(tmp_path, redis):
    version = echoing(tmp_path)
    async with Wire(redis.port) as wire, server(tmp_path, version, wire.url) as rig:
        await rig.clients.prepare(HERD)
        (instance,) = rig.ready(version)
        os.kill(instance.pid, signal.SIGSTOP)
        asked = [rig.ask("identity", rows(7)) for _ in range(HERD)]
        await rig.plane.until(lambda: instance.outstanding)
        os.kill(instance.pid, signal.SIGCONT)
        await asyncio.gather(*asked)
        assert rig.ledger.right == HERD
        assert executions(rig) == 1
        assert wire.commands(b"MGET") == 1


async def load(rig: FaultRig, numbers: range) -> None:
    """Requests that no cache has seen, sixteen at a time."""
    for start in range(numbers.start, numbers.stop, 16):
        await asyncio.gather(*(rig.ask("identity", rows(number)) for number in range(start, start + 16)))


@pytest.mark.parametrize("fault", ["killed", "frozen", "slow"])
async def test_f15_no_request_fails_and_few_wait_while_redis_is(tmp_path, redis, fault):
    version = echoing(tmp_path)
    async with Wire(redis.port) as wire, server(tmp_path, version, wire.url) as rig:
        await load(rig, range(64))
        if fault == "killed":
            redis.kill()
        elif fault == "frozen":
            redis.freeze()
        else:
            wire.delay_s = 0.25
        before = report(rig)
        await load(rig, range(1_000, 1_640))
        after = report(rig)
        assert rig.ledger.right == rig.ledger.sent, "each was answered, and rightly"
        assert level(rig).state is not BreakerState.CLOSED
        looked = sum(getattr(after, name) - getattr(before, name) for name in ("hits", "misses", "errors", "corrupt"))
        assert looked <= 160, "the breaker keeps most of 640 requests from waiting"
        await load(rig, range(2_000, 2_064))
        assert report(rig).errors == after.errors, "while it is open nobody waits at all"
        if fault == "killed":
            await redis.start()
        elif fault == "frozen":
            redis.thaw()
        wire.delay_s = 0.0
        await rig.plane.until(lambda: level(rig).state is BreakerState.CLOSED)
        redis.kill()


@pytest.mark.usefixtures("patient")
async def test_c5_a_stranger_who_writes_to_redis_changes_no_answer(tmp_path, redis):
    version = echoing(tmp_path)
    async with server(tmp_path, version, redis.url) as first, Redis.from_url(redis.url) as stranger:
        await load(first, range(32))
        await first.plane.until(lambda: report(first).writes == 32)
        names = [name for name in await stranger.keys() if await stranger.pttl(name) > 0]
        assert len(names) == 32
        values = [await stranger.get(name) for name in names]
        for at, name in enumerate(names):
            spoilt = bytearray(values[at])
            spoilt[40 + at] ^= 1 << at % 8
            await stranger.set(name, [bytes(spoilt), values[at - 1], values[at][: 3 * at], b"{}"][at % 4])
        async with server(tmp_path, version, redis.url) as second:
            await load(second, range(32))
            assert second.ledger.right == 32
            assert (report(second).corrupt, report(second).hits) == (32, 0)
        await stranger.flushall()
        await load(first, range(32, 64))
        assert first.ledger.right == 64


async def test_f15_a_server_without_its_redis_starts_and_serves(tmp_path):
    version = echoing(tmp_path)
    async with server(tmp_path, version, OwnRedis(tmp_path).url) as rig:
        await load(rig, range(64))
        assert rig.ledger.right == 64
        assert report(rig).hits == 0
