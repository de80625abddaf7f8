"""Faults of instances, seen by clients of the whole data plane: innocent requests are answered right, others get words.

Every test ends in the invariant of `fault_rig`: all requests accounted for, none wrong, nothing left behind.
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace

import pytest
from fault_rig import FaultRig, invariant
from plane_rig import PLAIN_POLICY

from proxy.core.policies import BatchingPolicy, ExecutionPolicy
from proxy.core.units import BYTES_PER_MIB, NS_PER_MS
from proxy.instances import group as groups
from proxy.testing import models

pytestmark = pytest.mark.slow
BATCHES_OF_32 = replace(PLAIN_POLICY, batching=BatchingPolicy(max_rows=32))
# Short for a test, and yet more than what answers needs on a busy machine.
SHORT_BUDGET = replace(PLAIN_POLICY, execution=ExecutionPolicy(timeout_ns=1_500 * NS_PER_MS))
GOOD = [[1.0, 2.0, 3.0, 4.0]]
BAD = [[101.0, 0.0, 0.0, 0.0]]


def misbehaving(tmp_path, behaviour):
    """Answers its input, until the first number of a row is over 100: then it does as told."""
    return replace(models.script(tmp_path, "identity"), options={"misbehave": f"above 100: {behaviour}"})


def good(number):
    return [[float(number % 100), 0.5, -1.0, float(number)]] * (1 + number % 3)


def note_ready(group):
    """How many instances are ready, now and at every change from now on."""
    counts, on_change = [len(group.ready_instances())], group._on_change

    def changed(group):
        counts.append(len(group.ready_instances()))
        on_change(group)

    group._on_change = changed
    return counts


class Load:
    """Eight closed loops of distinct good requests, until stopped."""

    def __init__(self, rig: FaultRig, model: str) -> None:
        self.sent = 0
        self._rig, self._model = rig, model
        self._stopped = False
        self._tasks = [asyncio.create_task(self._client()) for _ in range(8)]

    async def _client(self) -> None:
        while not self._stopped:
            self.sent += 1
            await self._rig.ask(self._model, good(self.sent))

    async def stop(self) -> None:
        self._stopped = True
        await asyncio.gather(*self._tasks)


async def test_f01_kills_under_load_are_invisible_with_two_instances(tmp_path):
    version = models.script(tmp_path, "affine")
    async with invariant(tmp_path) as rig:
        await rig.serve(version, instances=2)
        load = Load(rig, "affine")
        for _ in range(3):
            right = rig.ledger.right
            await rig.plane.until(lambda right=right: rig.ledger.right > right + 50)
            victim = rig.ready(version)[0]
            os.kill(victim.pid, signal.SIGKILL)
            await rig.plane.until(lambda victim=victim: victim not in rig.ready(version))
            await rig.plane.until(lambda: len(rig.ready(version)) == 2)
        await load.stop()
        assert rig.ledger.right == rig.ledger.sent


async def test_f01_killed_in_the_middle_of_a_batch_its_requests_are_answered_by_the_other_instance(tmp_path):
    version = misbehaving(tmp_path, "sleeps")
    async with invariant(tmp_path) as rig:
        await rig.serve(version, instances=2, policy=BATCHES_OF_32)
        victim, _ = rig.ready(version)
        os.kill(victim.pid, signal.SIGSTOP)  # whatever it is given is now surely in the middle
        asked = [rig.ask("identity", good(number)) for number in range(16)]
        await rig.plane.until(lambda: victim.outstanding)
        os.kill(victim.pid, signal.SIGKILL)
        await asyncio.gather(*asked)
        assert rig.ledger.right == 16


@pytest.mark.parametrize("how", ["crashes", "exits", "closes the channel"])
async def test_f02_f04_a_row_that_kills_its_instance_takes_no_neighbour_with_it(tmp_path, how):
    version = misbehaving(tmp_path, how)
    async with invariant(tmp_path) as rig:
        await rig.serve(version, instances=2, policy=BATCHES_OF_32)
        group = rig.group(version)
        ready = note_ready(group)
        await rig.clients.prepare(16)
        asked = [rig.ask("identity", BAD if number == 7 else good(number)) for number in range(16)]
        load = Load(rig, "identity")
        replies = await asyncio.gather(*asked)
        await load.stop()
        assert rig.ledger.right == load.sent + 15
        assert replies[7].status == 500
        assert "died" in replies[7].error
        assert min(ready) >= 1, "the suspects left the last instance to the others"
        await rig.plane.until(lambda: len(rig.ready(version)) == 2)
        assert group.restarts == 2, "one for the batch, one for the culprit alone"
        assert not group._record.early_losses, "the culprit is known: the version is not to blame"
        again = await rig.ask("identity", BAD)
        assert again.status == 429
        assert "These inputs ended the process" in again.error
        assert (await rig.ask("identity", GOOD)).status == 200
        assert group.restarts == 2


async def test_f04_the_neighbours_of_a_poison_row_are_answered_right_and_its_sender_is_told(tmp_path):
    version = models.script(tmp_path, "raises_on_negative")
    async with invariant(tmp_path) as rig:
        await rig.serve(version, policy=BATCHES_OF_32)
        pid = rig.ready(version)[0].pid
        await rig.clients.prepare(32)
        poison = [[-1.0, 0.0, 0.0, 0.0]]
        rows = [[[float(number), 1.0, 2.0, 3.0]] for number in range(32)]
        rows[11] = poison
        replies = await asyncio.gather(*(rig.ask("raises_on_negative", row) for row in rows))
        assert [reply.status for reply in replies] == [200] * 11 + [500] + [200] * 20
        assert "negative numbers are not served here" in replies[11].error
        assert rig.ready(version)[0].pid == pid, "an error of the model costs no process"


async def test_f03_a_crash_at_every_call_costs_starts_at_a_bounded_rate_and_other_models_nothing(tmp_path):
    deadly = misbehaving(tmp_path, "crashes")
    well = models.script(tmp_path, "affine")
    async with invariant(tmp_path) as rig:
        await rig.serve(well)
        await rig.serve(deadly)
        pid = rig.ready(well)[0].pid
        load = Load(rig, "affine")
        deadly_asked = [rig.ask("identity", BAD, parameters={"timeout": 2_500_000}) for _ in range(6)]
        await asyncio.gather(*deadly_asked)
        await load.stop()
        assert rig.ledger.right == load.sent
        assert rig.group(deadly).restarts <= 4, "two and a half seconds allow starts at 0, 1 and 3 s"
        assert not rig.group(deadly).failed, "deadly inputs must not take the model away from others"
        assert rig.ready(well)[0].pid == pid


async def test_f03_a_version_that_crashes_at_every_start_is_quarantined_and_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(groups.restarts, "FIRST_DELAY_NS", 10 * NS_PER_MS)
    broken = replace(models.script(tmp_path, "identity"), options={"misbehave": "load: crash"})
    well = models.script(tmp_path, "affine")
    async with invariant(tmp_path) as rig:
        await rig.serve(well)
        rig.want(broken)
        load = Load(rig, "affine")

        def quarantined():
            return [report for report in rig.plane.runtime.manager.statistics() if report.state == "quarantined"]

        await rig.plane.until(quarantined)
        await load.stop()
        (report,) = quarantined()
        assert (report.model, report.instances_ready) == ("identity", 0)
        assert "Given up after 5 failed starts" in report.message
        assert rig.ledger.right == load.sent
        refusal = await rig.ask("identity", GOOD)
        assert refusal.status == 503
        assert refusal.retry_after_s


@pytest.mark.parametrize("how", ["sleeps", "holds the lock", "a stop signal"])
async def test_f05_a_hung_instance_is_replaced_at_its_budget_and_its_neighbours_are_answered(tmp_path, how):
    version = misbehaving(tmp_path, how if how != "a stop signal" else "sleeps")
    async with invariant(tmp_path) as rig:
        await rig.serve(version, instances=2, policy=SHORT_BUDGET)
        before = rig.ready(version)
        if how == "a stop signal":
            for instance in before:
                os.kill(instance.pid, signal.SIGSTOP)
            replies = [await rig.ask("identity", GOOD), await rig.ask("identity", GOOD)]
        else:
            replies = [await rig.ask("identity", BAD)]
            await asyncio.gather(*(rig.ask("identity", good(number)) for number in range(8)))
        for reply in replies:
            assert reply.status == 504
            assert "longer than an execution may" in reply.error
        await rig.plane.until(lambda: len(rig.ready(version)) == 2 and rig.ready(version) != before)
        assert (await rig.ask("identity", GOOD)).status == 200
        assert rig.ledger.errored.total() == 0


async def test_f05_a_request_whose_deadline_comes_before_the_budget_is_answered_on_time(tmp_path):
    version = misbehaving(tmp_path, "sleeps")
    policy = replace(PLAIN_POLICY, execution=ExecutionPolicy(timeout_ns=4_000 * NS_PER_MS))
    async with invariant(tmp_path) as rig:
        await rig.serve(version, policy=policy)
        instance = rig.ready(version)[0]
        reply = await rig.ask("identity", BAD, parameters={"timeout": 1_000_000})
        assert reply.status == 504
        assert instance.outstanding, "the answer must not wait for the watchdog"
        await rig.plane.until(lambda: instance not in rig.ready(version))


async def test_f06_a_request_for_more_memory_than_the_limit_is_an_error_of_its_own(tmp_path):
    version = models.script(tmp_path, "takes_memory")
    limit = ExecutionPolicy(memory_limit_bytes=700 * BYTES_PER_MIB)
    policy = replace(PLAIN_POLICY, execution=limit, batching=BatchingPolicy(max_rows=1))
    async with invariant(tmp_path) as rig:
        await rig.serve(version, policy=policy)
        asked = [rig.ask("takes_memory", [[mib, 0.0, 0.0, 0.0]]) for mib in (1.0, 2_000.0, 2.0)]
        replies = await asyncio.gather(*asked)
        assert [reply.status for reply in replies] == [200, 500, 200]
        assert "allocate" in replies[1].error


FULL_ABOVE_FOUR_ROWS = """
    if x.size(0) > 4:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
    return x
"""
FAULTS_ABOVE_100 = """
    if bool((x > 100.0).any()):
        raise RuntimeError("CUDA error: device-side assert triggered")
    return x
"""


async def test_f07_a_batch_that_does_not_fit_the_device_is_executed_in_parts_and_costs_no_process(tmp_path):
    version = models.save_script(tmp_path, "full", models.from_source(FULL_ABOVE_FOUR_ROWS))
    async with invariant(tmp_path) as rig:
        await rig.serve(version, policy=BATCHES_OF_32)
        (instance,) = rig.ready(version)
        await rig.clients.prepare(16)
        for _ in range(3):
            await asyncio.gather(*(rig.ask("full", [[float(number), 0.0, 0.5, 1.0]]) for number in range(16)))
        assert rig.ledger.right == rig.ledger.sent == 48
        assert list(rig.ready(version)) == [instance]


async def test_f08_a_faulted_device_ends_its_instance_and_the_neighbours_are_answered_by_others(tmp_path):
    version = models.save_script(tmp_path, "faulted", models.from_source(FAULTS_ABOVE_100))
    async with invariant(tmp_path) as rig:
        await rig.serve(version, instances=2, policy=BATCHES_OF_32)
        before = rig.ready(version)
        await rig.clients.prepare(8)
        replies = await asyncio.gather(
            *(rig.ask("faulted", BAD if number == 5 else good(number)) for number in range(8))
        )
        assert rig.ledger.right == 7
        assert replies[5].status == 500
        # A faulted device answers every later call with the same error: each that had the culprit is gone.
        await rig.plane.until(lambda: rig.group(version).restarts == 2 and len(rig.ready(version)) == 2)
        assert set(rig.ready(version)) != set(before)
        assert (await rig.ask("faulted", GOOD)).status == 200


@pytest.mark.parametrize(
    "garbage", ["random bytes", "a flood", "another sequence", "a place beyond the area", "other rows"]
)
async def test_f10_an_instance_that_answers_garbage_is_replaced_and_neighbours_are_answered(tmp_path, garbage):
    version = misbehaving(tmp_path, garbage)
    async with invariant(tmp_path) as rig:
        await rig.serve(version, instances=2, policy=BATCHES_OF_32)
        await rig.clients.prepare(8)
        replies = await asyncio.gather(
            *(rig.ask("identity", BAD if number == 3 else good(number)) for number in range(8))
        )
        assert replies[3].status == 500
        assert rig.ledger.right == 7


async def test_f40_instances_go_on_while_no_process_can_be_started(tmp_path, monkeypatch):
    monkeypatch.setattr(groups.restarts, "FIRST_DELAY_NS", 10 * NS_PER_MS)
    version = misbehaving(tmp_path, "exits")
    async with invariant(tmp_path) as rig:
        await rig.serve(version)
        only = rig.ready(version)[0]
        with monkeypatch.context() as broken:
            broken.setattr("proxy.instances.process._spawn", _no_process)
            rig.want(version, instances=3)
            load = Load(rig, "identity")
            await rig.plane.until(lambda: rig.group(version).message)
            assert "could not be started" in rig.group(version).message
            assert list(rig.ready(version)) == [only]
            await load.stop()
        await rig.plane.until(lambda: len(rig.ready(version)) == 3)
        assert rig.group(version).restarts == 0, "what never started was not replaced"
        assert rig.ledger.right == rig.ledger.sent


def _no_process(*_):
    raise BlockingIOError(11, "Resource temporarily unavailable")
