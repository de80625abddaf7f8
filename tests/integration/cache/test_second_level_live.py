"""Two servers' halves of a shared cache on a real Redis: what one leaves the other finds, no more (C5, F15)."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis
from redis_rig import OwnRedis, Wire, needs_redis_server

from proxy.cache import second_level as module
from proxy.cache.breaker import BreakerState
from proxy.cache.second_level import SecondLevel
from proxy.cache.second_level_codec import derive_secret, entry_name, epoch_name
from proxy.cache.second_level_model import PROBE_EVERY
from proxy.cache.second_level_writing import LARGEST_ENTRY_BYTES, MOST_WRITES
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_S
from proxy.system import SystemClock

pytestmark = [pytest.mark.slow, needs_redis_server]
SECRET = derive_secret("the signing key that all servers of a deployment have")
SHARED = CachePolicy(second_level=True)
KEY = b"k" * 24
HANGS_S = 120.0
"""Longer than anything here takes on any machine: a test that waits so long hangs."""


def answer(value=1, size=8):
    return BatchOutputs((Tensor("y", "UINT8", (1, size), bytes([value]) * size),), 1, batched=True)


class Server:
    """One server's half, with the questions of its requests."""

    def __init__(self, url, secret=SECRET, policy=SHARED, unix_time_s=time.time):
        self.level = SecondLevel(url, secret, SystemClock(), unix_time_s)
        self.level.configure("m", policy)

    async def __aenter__(self):
        self.level.start()
        return self

    async def __aexit__(self, *_):
        await self.level.stop()

    async def ask(self, key=KEY, model="m", service_ns=None):
        """The answer found, None for a miss, False if Redis was not asked."""
        future = asyncio.get_running_loop().create_future()
        if not self.level.look_up(model, key, service_ns, future.set_result):
            return False
        async with asyncio.timeout(HANGS_S):
            return await future

    async def until(self, reached) -> None:
        async with asyncio.timeout(HANGS_S):
            while not reached():
                await asyncio.sleep(0.01)

    async def leave(self, key=KEY, outputs=None, saved_ns=5):
        before = self.report.writes
        self.level.put("m", key, outputs or answer(), saved_ns)
        await self.until(lambda: self.report.writes > before)

    @property
    def report(self):
        return self.level.report("m")


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """This machine may be busy: a look-up that the test expects to succeed has longer."""
    monkeypatch.setattr(module, "BUDGET_S", 1.0)


@pytest.fixture
async def redis(tmp_path):
    server = OwnRedis(tmp_path)
    await server.start()
    yield server
    server.kill()


async def test_what_one_server_leaves_is_the_others_first_hit(redis):
    async with Server(redis.url) as first, Server(redis.url) as second:
        assert await first.ask() is None
        await first.leave(saved_ns=77)
        found = await second.ask()
        assert found.outputs.tensors == answer().tensors
        assert found.saved_ns == 77
        assert 0 <= found.age_ns < 60 * NS_PER_S
        assert (second.report.hits, second.report.misses, first.report.misses) == (1, 0, 1)
        assert second.report.lookup_ewma_ms > 0


async def test_a_purge_by_one_server_is_one_for_all_and_nothing_old_comes_back(redis):
    async with Server(redis.url) as first, Server(redis.url) as second:
        await first.leave()
        assert await second.ask()
        first.level.purge("m")
        assert await first.ask() is False, "until Redis has the new epoch"
        await first.until(lambda: not first.level._models["m"].must_purge)
        assert await first.ask() is None
        assert await second.ask() is None
        await second.leave(outputs=answer(2))
        assert (await first.ask()).outputs.tensors == answer(2).tensors


async def test_a_purge_takes_what_waits_to_be_written_too(redis):
    async with Server(redis.url) as server:
        await server.leave(b"j" * 24)
        server.level.put("m", KEY, answer(), 1)
        server.level.purge("m")
        server.level.put("m", b"i" * 24, answer(2), 1)
        await server.until(lambda: not server.level._models["m"].must_purge)
        await server.until(lambda: server.report.writes == 2)
        assert await server.ask() is None
        assert await server.ask(b"i" * 24), "what came after it is kept"


@pytest.mark.parametrize("rests_before", [True, False])
async def test_what_was_purged_while_a_model_shares_nothing_does_not_come_back_with_its_sharing(redis, rests_before):
    async with Server(redis.url) as server:
        await server.leave()
        if rests_before:
            server.level.configure("m", CachePolicy())
        server.level.purge("m")
        server.level.configure("m", CachePolicy())
        server.level.configure("m", SHARED)
        assert await server.ask() is False, "until Redis has the new epoch"
        await server.until(lambda: not server.level._models["m"].must_purge)
        assert await server.ask() is None


async def test_c5_altered_cut_moved_and_strange_values_are_misses_and_counted(redis):
    name = entry_name(SECRET, KEY)
    async with Server(redis.url) as server, Redis.from_url(redis.url) as stranger:
        await server.leave()
        value = await stranger.get(name)
        bad = [value[:-1], value + b"x", b"", b"\x80\x04K\x01.", value[:50] + bytes([value[50] ^ 1]) + value[51:]]
        for one in bad:
            await stranger.set(name, one)
            assert await server.ask() is None
        assert server.report.corrupt == len(bad)
        await stranger.set(entry_name(SECRET, b"j" * 24), value)  # another input's
        assert await server.ask(b"j" * 24) is None
        await stranger.delete(name)
        await stranger.lpush(name, "not even a string")
        assert await server.ask() is None
        await stranger.set(epoch_name(SECRET, "m"), "nonsense")
        assert await server.ask(b"i" * 24) is None
        assert server.report.hits == 0
        assert server.level.state is BreakerState.CLOSED


async def test_another_deployments_servers_meet_nothing_here(redis):
    async with Server(redis.url) as ours, Server(redis.url, derive_secret("another signing key")) as theirs:
        await ours.leave()
        assert await theirs.ask() is None
        assert theirs.report.corrupt == 0


async def test_a_flushed_redis_is_a_miss_and_is_filled_again(redis):
    async with Server(redis.url) as server, Redis.from_url(redis.url) as stranger:
        await server.leave()
        await stranger.flushall()
        assert await server.ask() is None
        await server.leave()
        assert await server.ask()


async def test_entries_that_outlive_their_models_epoch_are_not_met(redis):
    async with Server(redis.url) as server, Redis.from_url(redis.url) as stranger:
        await server.leave()
        await stranger.delete(epoch_name(SECRET, "m"))  # as Redis does when it is full
        assert await server.ask() is None
        await server.leave(b"j" * 24)
        assert await server.ask() is None
        assert await server.ask(b"j" * 24)


async def test_an_answer_is_no_older_than_the_policy_allows_wherever_it_was_stored(redis):
    policy = CachePolicy(second_level=True, ttl_ns=60 * NS_PER_S)
    later = Server(redis.url, policy=policy, unix_time_s=lambda: time.time() + 61)
    async with Server(redis.url, policy=policy) as server, later, Redis.from_url(redis.url) as stranger:
        await server.leave()
        assert 0 < await stranger.pttl(entry_name(SECRET, KEY)) <= 60_000
        assert await server.ask()
        assert await later.ask() is None


async def test_it_is_asked_only_where_the_model_takes_longer_and_now_and_then_to_see(redis):
    async with Server(redis.url) as server:
        await server.ask()
        asked = [await server.ask(service_ns=1) for _ in range(PROBE_EVERY)]
        assert asked.count(False) == PROBE_EVERY - 1
        assert await server.ask(service_ns=10 * NS_PER_S) is None


async def test_models_that_did_not_opt_in_are_neither_asked_for_nor_written(redis):
    async with Server(redis.url, policy=CachePolicy()) as server, Redis.from_url(redis.url) as stranger:
        assert await server.ask() is False
        server.level.put("m", KEY, answer(), 1)
        assert server.report is None
        assert await stranger.dbsize() == 0


async def test_look_ups_that_wait_together_are_few_commands_and_large_answers_are_not_shared(redis):
    async with Wire(redis.port) as wire, Server(wire.url) as server:
        await server.ask()
        before = wire.commands(b"MGET")
        found = await asyncio.gather(*(server.ask(bytes([number]) * 24) for number in range(200)))
        assert found == [None] * 200
        assert wire.commands(b"MGET") - before <= 10
        server.level.put("m", b"L" * 24, answer(size=LARGEST_ENTRY_BYTES + 1), 1)
        await server.leave()
        assert await server.ask(b"L" * 24) is None


async def test_f15_a_slow_redis_is_left_alone_and_taken_up_again_when_it_is_fast(redis, monkeypatch):
    async with Wire(redis.port) as wire, Server(wire.url) as server:
        assert await server.ask() is None
        monkeypatch.setattr(module, "BUDGET_S", 0.05)
        wire.delay_s = 0.5
        waited = []
        async with asyncio.timeout(HANGS_S):
            while server.level.state is BreakerState.CLOSED:
                began = time.monotonic()
                await server.ask()
                waited.append(time.monotonic() - began)
        assert len(waited) <= 8, "not each request pays for it"
        assert await server.ask() is False
        assert "no answer within 50 ms" in server.report.message
        assert server.report.errors >= 3
        wire.delay_s = 0.0
        monkeypatch.setattr(module, "BUDGET_S", 1.0)
        await server.until(lambda: server.level.state is BreakerState.CLOSED)
        assert await server.ask() is None


async def test_f15_a_dead_redis_is_noticed_and_its_return_too_with_a_purge_that_it_missed(redis):
    async with Server(redis.url) as server:
        await server.leave()
        redis.kill()
        async with asyncio.timeout(HANGS_S):
            while server.level.state is BreakerState.CLOSED:
                assert await server.ask() is None
        assert await server.ask() is False
        server.level.purge()
        server.level.put("m", KEY, answer(), 1)  # dropped, not queued
        await redis.start()
        await server.until(lambda: server.level.state is BreakerState.CLOSED)
        await server.until(lambda: not server.level._models["m"].must_purge)
        assert await server.ask() is None
        await server.leave()
        assert await server.ask()


async def test_f15_writes_to_a_frozen_redis_are_bounded(redis):
    async with Server(redis.url) as server:
        await server.leave()
        redis.freeze()
        for number in range(3 * MOST_WRITES):
            server.level.put("m", number.to_bytes(24, "big"), answer(), 1)
        assert len(server.level._writing._queue) <= MOST_WRITES
        redis.thaw()


async def test_f15_a_full_redis_is_still_read_and_what_it_does_not_take_is_lost_but_for_purges(redis):
    async with Wire(redis.port) as wire, Server(wire.url) as server, Redis.from_url(redis.url) as stranger:
        await server.leave()
        await stranger.config_set("maxmemory", 1)
        before = wire.commands(b"SET")
        for number in range(200):
            server.level.put("m", number.to_bytes(24, "big"), answer(), 1)
        await server.until(lambda: not server.level._writing._queue)
        assert await server.ask()
        assert server.level.state is BreakerState.CLOSED
        assert server.report.writes == 1
        server.level.purge()
        await asyncio.sleep(0.6)
        assert wire.commands(b"SET") - before < 300, "tried now and then, not all the time"
        assert await server.ask() is False, "it is not purged yet"
        await stranger.config_set("maxmemory", 0)
        await server.until(lambda: not server.level._models["m"].must_purge)
        assert await server.ask() is None


async def test_a_server_that_starts_without_its_redis_works_without_it(tmp_path):
    missing = OwnRedis(tmp_path)
    async with Server(missing.url) as server:
        for _ in range(20):
            assert not await server.ask()
        await missing.start()
        try:
            await server.until(lambda: server.level.state is BreakerState.CLOSED and server.report.errors > 0)
            await server.leave()
            assert await server.ask()
        finally:
            missing.kill()


async def test_a_look_up_that_is_under_way_when_the_server_stops_ends_as_a_miss(redis):
    server = Server(redis.url)
    async with server:
        await server.ask()
        redis.freeze()
        asked = asyncio.create_task(server.ask())
        await asyncio.sleep(0.05)
    redis.thaw()
    assert await asked is None


async def test_a_client_that_swallows_a_cancellation_does_not_keep_the_server_from_stopping(redis):
    asked = asyncio.Event()

    async def ping():
        asked.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return True
        raise AssertionError("nobody ended it")

    server = Server(redis.url)
    server.level._reader.ping = ping
    server.level.start()
    await asked.wait()
    async with asyncio.timeout(HANGS_S):
        await server.level.stop()
