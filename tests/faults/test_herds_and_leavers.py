"""Herds on one key, clients that leave, models that come and go, no descriptors left: what was seen, what ran."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fault_rig import FaultRig, Footprint, echoing, invariant, until_gone
from plane_rig import KEY, PATIENT_QUEUE, PLAIN_POLICY

from proxy.core.policies import BatchingPolicy, CachePolicy, ExecutionPolicy, ScalingPolicy
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.instances import process as processes
from proxy.testing import models
from proxy.testing.clients import Clients, Connection, inference

pytestmark = pytest.mark.slow
# An instance that a test has stopped is not to be given up while the herd arrives, however long that takes.
PATIENT = replace(PLAIN_POLICY, execution=ExecutionPolicy(timeout_ns=120 * NS_PER_S))
CACHED = replace(PATIENT, cache=CachePolicy(enabled=True))
HERD = 1_000
COLD = [[3.0, 1.0, 4.0, 1.5]]


def executions(rig: FaultRig, key: str) -> int:
    return rig.plane.runtime.scheduler.statistics()[key].executions


async def stopped_instance(rig: FaultRig, version):
    """The one instance, stopped so that what it is given stays in the middle until `SIGCONT`."""
    (instance,) = rig.ready(version)
    os.kill(instance.pid, signal.SIGSTOP)
    return instance


async def herd_in_the_middle(rig: FaultRig, version):
    """A herd that asks the same of the one instance, which has begun with it and stands still; and that instance."""
    await rig.serve(version, policy=CACHED)
    await rig.clients.prepare(HERD)
    instance = await stopped_instance(rig, version)
    asked = [rig.ask("identity", COLD) for _ in range(HERD)]
    await rig.plane.until(lambda: instance.outstanding)
    return asked, instance


async def test_f25_a_herd_of_1000_on_one_cold_key_is_one_execution_and_1000_right_answers(tmp_path):
    version = echoing(tmp_path)
    async with invariant(tmp_path) as rig:
        asked, instance = await herd_in_the_middle(rig, version)
        os.kill(instance.pid, signal.SIGCONT)
        await asyncio.gather(*asked)
        assert rig.ledger.right == HERD
        assert executions(rig, "identity/1") == 1


async def test_f25_when_the_leaders_instance_dies_the_herd_is_answered_by_one_more_execution(tmp_path):
    version = echoing(tmp_path)
    async with invariant(tmp_path) as rig:
        asked, instance = await herd_in_the_middle(rig, version)
        os.kill(instance.pid, signal.SIGKILL)
        await asyncio.gather(*asked)
        assert rig.ledger.right == HERD
        assert rig.ready(version)[0].executions == 1


async def test_f25_a_leader_whose_client_leaves_cancels_nobody_else(tmp_path):
    version = echoing(tmp_path)
    async with invariant(tmp_path) as rig:
        await rig.serve(version, policy=CACHED)
        instance = await stopped_instance(rig, version)
        leaders: list[Connection] = []
        await rig.ask_and_leave("identity", COLD, leaders.append)
        await rig.plane.until(lambda: instance.outstanding)
        asked = [rig.ask("identity", COLD) for _ in range(50)]
        connections = rig.plane.runtime.server._connections
        await rig.plane.until(lambda: len(connections) == 51)
        leaders[0].cut()
        await rig.plane.until(lambda: len(connections) == 50)
        os.kill(instance.pid, signal.SIGCONT)
        await asyncio.gather(*asked)
        assert (rig.ledger.right, rig.ledger.left) == (50, 1)
        assert executions(rig, "identity/1") == 1


async def test_f26_a_herd_on_a_sleeping_model_is_one_load_and_what_finds_no_place_is_told_when_to_return(
    tmp_path, monkeypatch
):
    version = echoing(tmp_path)
    started, spawn = [], processes._spawn

    def spawn_stopped(*arguments):
        started.append(spawn(*arguments))
        started[-1].send_signal(signal.SIGSTOP)  # it loads for as long as the herd takes to arrive
        return started[-1]

    monkeypatch.setattr(processes, "_spawn", spawn_stopped)
    sleeps = ScalingPolicy(enabled=False, zero_after_ns=600 * NS_PER_S, wake_timeout_ns=120 * NS_PER_S)
    policy = replace(PATIENT, scaling=sleeps, queue=replace(PATIENT_QUEUE, max_requests=HERD))
    async with invariant(tmp_path) as rig:
        rig.direct.knows(version)
        rig.want(version, instances=0, policy=policy)
        await rig.plane.until(lambda: [r.state for r in rig.plane.runtime.manager.statistics()] == ["asleep"])
        await rig.clients.prepare(HERD + 200)
        assert not started
        asked = [rig.ask("identity", [[number / 16] * 4]) for number in range(HERD + 200)]
        await rig.plane.until(lambda: rig.ledger.refused[503] == 200 and started)
        (process,) = started
        process.send_signal(signal.SIGCONT)
        replies = await asyncio.gather(*asked)
        assert len(started) == 1
        assert rig.ledger.right == HERD
        refused = [reply for reply in replies if reply.status == 503]
        assert len(refused) == 200
        assert all(reply.retry_after_s for reply in refused)
        assert rig.plane.runtime.manager.woken == ("identity",)


async def test_f26_a_sleeping_model_that_cannot_be_loaded_refuses_the_herd_within_its_patience(tmp_path):
    version = replace(models.script(tmp_path, "identity"), options={"misbehave": "load: hang"})
    sleeps = ScalingPolicy(enabled=False, zero_after_ns=60 * NS_PER_S, wake_timeout_ns=500 * NS_PER_MS)
    async with invariant(tmp_path) as rig:
        rig.want(version, instances=0, policy=replace(PLAIN_POLICY, scaling=sleeps))
        await rig.plane.until(lambda: [r.state for r in rig.plane.runtime.manager.statistics()] == ["asleep"])
        replies = await asyncio.gather(*(rig.ask("identity", [[float(n)] * 4]) for n in range(100)))
        assert {reply.status for reply in replies} <= {503, 504}


async def test_f11_queued_work_of_clients_that_left_is_never_executed(tmp_path):
    version = echoing(tmp_path)
    policy = replace(PATIENT, batching=BatchingPolicy(max_rows=1))
    async with invariant(tmp_path) as rig:
        await rig.serve(version, policy=policy)
        instance = await stopped_instance(rig, version)
        first = rig.ask("identity", COLD)
        await rig.plane.until(lambda: instance.outstanding)
        leavers: list[Connection] = []
        for number in range(40):
            await rig.ask_and_leave("identity", [[float(number)] * 4], leavers.append)
        stays = [rig.ask("identity", [[float(number), 7.0, 7.0, 7.0]]) for number in range(5)]

        def waiting():
            return rig.plane.runtime.scheduler.statistics()["identity/1"].queue_depth

        await rig.plane.until(lambda: waiting() == 45)
        for connection in leavers:
            connection.cut()
        await rig.plane.until(lambda: waiting() == 5)
        os.kill(instance.pid, signal.SIGCONT)
        await asyncio.gather(first, *stays)
        assert (rig.ledger.right, rig.ledger.left) == (6, 40)
        assert executions(rig, "identity/1") == 6


async def test_f11_half_of_the_clients_leaving_at_random_moments_cost_the_others_nothing(tmp_path):
    version = models.script(tmp_path, "affine")
    chance = random.Random(11)
    loop = asyncio.get_running_loop()

    def soon(connection: Connection) -> None:
        loop.call_later(chance.expovariate(500), connection.cut)

    async with invariant(tmp_path) as rig:
        await rig.serve(version, instances=2)
        stays = []
        for number in range(300):
            rows = [[float(number), chance.randint(0, 999) / 4, 0.25, -1.0]] * chance.randint(1, 5)
            stays.append(rig.ask("affine", rows))
            await rig.ask_and_leave("affine", rows, soon)
        replies = await asyncio.gather(*stays)
        assert all(reply.status == 200 for reply in replies)
        await rig.plane.until(lambda: rig.ledger.ended == rig.ledger.sent)
        assert rig.ledger.left > 20


async def test_f24_a_race_of_loads_and_unloads_ends_as_the_last_call_said(tmp_path):
    version = echoing(tmp_path)
    async with invariant(tmp_path) as rig:
        await rig.serve(version)
        one_at_a_time = threading.Lock()

        def race(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(32):
                with one_at_a_time:
                    if chance.random() < 0.5:
                        rig.want(version, instances=chance.randint(1, 3))
                    else:
                        rig.unwant("identity")
                    rig.apply_from_thread()

        with ThreadPoolExecutor(32) as threads:
            loop = asyncio.get_running_loop()
            racing = asyncio.gather(*(loop.run_in_executor(threads, race, seed) for seed in range(32)))
            while not racing.done():
                await rig.ask("identity", COLD)
            await racing
        rig.want(version, instances=2)
        await rig.plane.until(lambda: len(rig.ready(version)) == 2 and not rig.busy_gauges())
        assert (await rig.ask("identity", COLD)).status == 200
        rig.unwant("identity")
        await rig.plane.until(lambda: not rig.plane.runtime.manager.statistics())
        assert set(rig.ledger.errored) <= {"404"}, "an unloaded model is not known; nothing else goes wrong"


async def test_f35_the_same_wish_twice_has_the_effect_of_one(tmp_path):
    version = echoing(tmp_path)
    async with invariant(tmp_path) as rig:
        await rig.serve(version, instances=2)
        pids = [instance.pid for instance in rig.ready(version)]
        for _ in range(3):
            rig.want(version, instances=2)
            generation = rig.plane.snapshot.generation
            await rig.plane.until(lambda g=generation: rig.plane.runtime.pipeline.snapshot.generation == g)
        assert [instance.pid for instance in rig.ready(version)] == pids
        assert rig.group(version).restarts == 0


SERVER = """
import asyncio, logging, resource, sys
from pathlib import Path
logging.getLogger("asyncio").disabled = True  # it would tell of each of ten thousands of refused connections
sys.path.insert(0, "tests")
from fault_rig import echoing, invariant
async def main():
    async with invariant(Path(sys.argv[1])) as rig:
        version = echoing(Path(sys.argv[1]))
        await rig.serve(version)
        resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96))
        print(rig.plane.runtime.inference_port, rig.ready(version)[0].pid, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        print(rig.group(version).restarts, len(rig.ready(version)), flush=True)
asyncio.run(main())
"""


async def test_f37_without_descriptors_the_server_answers_whom_it_has_and_recovers(tmp_path):
    base = Footprint.now()
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys; sys.path.insert(0, 'tests/faults')\n" + SERVER,
        str(tmp_path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    port, pid = (int(word) for word in (await server.stdout.readline()).split())
    clients, crowd = Clients("127.0.0.1", port), Clients("127.0.0.1", port)
    packet = inference("identity", COLD, KEY, parameters={"timeout": 120_000_000})  # µs; the machine may be busy
    await clients.prepare(4)
    assert (await clients.fetch(packet)).status == 200
    await crowd.prepare(300)  # the kernel completes them; the server has no descriptors to take them all
    health = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert (await clients.fetch(health)).status == 200
    assert (await clients.fetch(packet)).status == 200
    os.kill(pid, signal.SIGKILL)  # its replacement needs descriptors that are not there
    await crowd.close()
    reply = await clients.fetch(packet)
    assert reply.status == 200
    assert json.loads(reply.body)["outputs"][0]["data"] == COLD[0]
    await clients.close()
    server.stdin.write(b"\n")
    restarts, ready = (int(word) for word in (await server.stdout.readline()).split())
    assert ready == 1
    assert restarts <= 5
    assert await server.wait() == 0
    del server
    await until_gone(base)
