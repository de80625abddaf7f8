"""Instances that are killed, crash, hang or vanish: batches fault once, processes are replaced, nothing is left."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from instance_cast import PATIENCE_S, POLICY, batch, begin, floats, rows, run, started

from proxy.core.batches import BatchFault, BatchResult
from proxy.core.units import BYTES_PER_MIB, NS_PER_MS
from proxy.instances import group as groups
from proxy.instances import instance as instances
from proxy.instances import process as processes
from proxy.instances import supervisor
from proxy.instances.link import Link
from proxy.instances.log import in_words
from proxy.testing import models

pytestmark = pytest.mark.slow
MISBEHAVING = "proxy.testing.misbehaving_worker"
LONG_SPIN = [1e9, 0.0, 0.0, 0.0]


def misbehaving(tmp_path, behaviour):
    version = models.script(tmp_path, "affine")
    return replace(version, options={"misbehave": behaviour})


def echoing(tmp_path):
    """Answers its input; sleeps for ever where the first number is above 100. It starts in a tenth of a second."""
    return misbehaving(tmp_path, "above 100: sleeps")


async def test_f01_a_killed_instance_faults_its_batch_as_lost_and_is_replaced_at_once(tmp_path):
    version = echoing(tmp_path)
    async with started(version, worker_module=MISBEHAVING) as watched:
        instance = await watched.ready()
        await run(instance, batch(version, rows([1, 0, 0, 0])))
        for round_number in range(1, 4):
            future = begin(instance, batch(version, rows(LONG_SPIN)))
            os.kill(instance.pid, signal.SIGKILL)
            async with asyncio.timeout(PATIENCE_S):
                fault = await future
            assert isinstance(fault, BatchFault)
            assert fault.lost
            assert not fault.timed_out
            assert "SIGKILL" in fault.message
            assert str(instance.state) == "failed"
            replacement = await watched.ready()
            assert replacement is not instance
            assert watched.group.restarts == round_number
            instance = replacement
            assert isinstance(await run(instance, batch(version, rows([1, 0, 0, 0]))), BatchResult)


async def test_the_batch_of_a_lost_instance_is_answered_before_its_group_tells_of_the_change(tmp_path):
    version = misbehaving(tmp_path, "exits")
    async with started(version, worker_module=MISBEHAVING) as watched:
        instance = await watched.ready()
        changes_at_answer = []
        before = watched.changes
        instance.execute(
            batch(version, rows([1, 0, 0, 0])), lambda work, fault: changes_at_answer.append(watched.changes)
        )
        await watched.until(lambda group: instance not in group.all_instances())
        assert changes_at_answer == [before]


async def test_f01_an_idle_instance_that_is_killed_is_replaced(tmp_path):
    version = echoing(tmp_path)
    async with started(version, instances=2, worker_module=MISBEHAVING) as watched:
        await watched.ready(instances=2)
        victim, other = watched.group.ready_instances()
        os.kill(victim.pid, signal.SIGKILL)
        await watched.until(lambda group: victim not in group.all_instances())
        assert other in watched.group.ready_instances()
        await watched.until(lambda group: len(group.ready_instances()) == 2)


async def test_f02_a_segmentation_fault_in_the_model_is_survived_and_named(tmp_path):
    version = models.script(tmp_path, "segfaults_above_100")
    async with started(version) as watched:
        instance = await watched.ready()
        assert isinstance(await run(instance, batch(version, rows([-1, 0, 0, 0]))), BatchResult)
        fault = await run(instance, batch(version, rows([101, 0, 0, 0])))
        assert fault.lost
        assert "SIGSEGV" in fault.message
        assert "Segmentation fault" in in_words(instance.printed(), 50)
        replacement = await watched.ready()
        assert isinstance(await run(replacement, batch(version, rows([-1, 0, 0, 0]))), BatchResult)


async def test_f03_a_crash_at_every_start_ends_in_quarantine_until_it_is_wanted_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(groups.restarts, "FIRST_DELAY_NS", 10 * NS_PER_MS)
    version = misbehaving(tmp_path, "load: crash")
    async with started(version, worker_module=MISBEHAVING) as watched:
        group = watched.group
        await watched.until(lambda group: group.failed)
        assert "Given up after 5 failed starts" in group.message
        assert "SIGSEGV" in group.message
        assert group.restarts == 4
        await watched.until(lambda group: not group.all_instances())
        group.set_wanted(1)
        assert not group.failed
        await watched.until(lambda group: group.failed)


async def test_f03_a_damaged_artifact_is_refused_with_words_and_ends_in_quarantine(tmp_path, monkeypatch):
    monkeypatch.setattr(groups.restarts, "FIRST_DELAY_NS", 10 * NS_PER_MS)
    monkeypatch.setattr(groups.restarts, "QUARANTINE_AFTER_STARTS", 2)  # each start loads torch
    version = models.script(tmp_path, "affine")
    path = Path(version.artifact_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    async with started(version) as watched:
        await watched.until(lambda group: group.failed)
        assert "damaged" in watched.group.message
        assert str(tmp_path) not in watched.group.message


async def test_f05_a_stopped_instance_is_killed_at_the_limit_of_an_execution(tmp_path):
    version = echoing(tmp_path)
    policy = replace(POLICY, timeout_ns=1_500 * NS_PER_MS)
    async with started(version, policy, worker_module=MISBEHAVING) as watched:
        instance = await watched.ready()
        os.kill(instance.pid, signal.SIGSTOP)
        fault = await run(instance, batch(version, rows([1, 0, 0, 0])))
        assert (fault.lost, fault.timed_out) == (True, True)
        assert "limit of 1.5 s" in fault.message
        replacement = await watched.ready()
        assert isinstance(await run(replacement, batch(version, rows([1, 0, 0, 0]))), BatchResult)


async def test_f05_an_idle_instance_that_stopped_answering_is_found_and_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(instances, "PING_EVERY_NS", 50 * NS_PER_MS)
    version = echoing(tmp_path)
    async with started(version, worker_module=MISBEHAVING) as watched:
        instance = await watched.ready()
        heard_ns = instance.last_heard_ns
        async with asyncio.timeout(PATIENCE_S):
            while instance.last_heard_ns == heard_ns:  # a ping is answered
                await asyncio.sleep(0.01)
        assert instance.idle
        monkeypatch.setattr(supervisor, "PING_ANSWER_NS", 300 * NS_PER_MS)
        os.kill(instance.pid, signal.SIGSTOP)
        await watched.until(lambda group: instance not in group.all_instances())
        assert "did not answer" in instance.message
        assert await watched.ready() is not instance


async def test_f05_an_endless_loop_in_the_model_is_killed_at_the_limit(tmp_path):
    version = models.script(tmp_path, "spins")
    policy = replace(POLICY, timeout_ns=300 * NS_PER_MS)
    async with started(version, policy) as watched:
        fault = await run(await watched.ready(), batch(version, rows(LONG_SPIN)))
        assert (fault.lost, fault.timed_out) == (True, True)


async def test_f05_a_start_that_hangs_is_killed_at_the_limit_of_loading(tmp_path):
    policy = replace(POLICY, load_timeout_ns=300 * NS_PER_MS)
    async with started(misbehaving(tmp_path, "load: hang"), policy, worker_module=MISBEHAVING) as watched:
        await watched.until(lambda group: bool(group.message))
        assert "Loading took longer than its limit of 0.3 s" in watched.group.message


async def test_f06_a_model_that_takes_more_memory_than_its_limit_gets_an_error_and_serves_on(tmp_path):
    version = models.script(tmp_path, "takes_memory")
    policy = replace(POLICY, memory_limit_bytes=700 * BYTES_PER_MIB)
    async with started(version, policy) as watched:
        instance = await watched.ready()
        fault = await run(instance, batch(version, rows([2_000, 0, 0, 0])))
        assert isinstance(fault, BatchFault)
        assert "allocate" in fault.message
        assert not fault.lost
        assert isinstance(await run(instance, batch(version, rows([10, 0, 0, 0]))), BatchResult)


async def test_f40_a_process_that_cannot_be_started_is_tried_again_later(tmp_path, monkeypatch):
    monkeypatch.setattr(groups.restarts, "FIRST_DELAY_NS", 10 * NS_PER_MS)
    version = models.script(tmp_path, "affine")
    real = sys.executable
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-such-python"))
    async with started(version) as watched:
        await watched.until(lambda group: bool(group.message))
        assert "could not be started" in watched.group.message
        monkeypatch.setattr(sys, "executable", real)
        await watched.ready()
        assert watched.group.message == ""


async def test_f42_instances_die_with_a_parent_that_is_killed(tmp_path):
    version = models.script(tmp_path, "spins")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, version.artifact_path], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    try:
        worker_pid = int(await asyncio.to_thread(parent.stdout.readline))
        pidfd = os.pidfd_open(worker_pid)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(pidfd, ended.set)
        parent.kill()
        async with asyncio.timeout(PATIENCE_S):
            await ended.wait()
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


PARENT = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, "tests")
from instance_cast import started, batch, begin, rows
from proxy.testing import models
async def main():
    version = models.version(Path(sys.argv[1]), "spins", "torchscript", models.ROW)
    async with started(version) as watched:
        instance = await watched.ready()
        future = begin(instance, batch(version, rows([1e9, 0, 0, 0])))
        print(instance.pid, flush=True)
        await future
asyncio.run(main())
"""


async def test_descriptors_and_memory_are_given_back_after_many_lives(tmp_path):
    version = misbehaving(tmp_path, "exits")

    def descriptors():
        return list(Path("/proc/self/fd").iterdir())

    def mappings():
        return Path("/proc/self/maps").read_text().count("memfd:dlproxy")

    before = (len(descriptors()), mappings())
    async with started(version, worker_module=MISBEHAVING) as watched:
        for _ in range(10):
            instance = await watched.ready()
            instance.executions = 1  # as if it had worked before: it is replaced without delay
            fault = await run(instance, batch(version, rows([1, 0, 0, 0])))
            assert fault.lost
            assert "exit status 7" in fault.message
            await watched.until(lambda group, gone=instance: gone not in group.all_instances())
    assert (len(descriptors()), mappings()) == before
    assert not watched.group.all_instances()


def test_a_start_that_runs_out_of_descriptors_leaves_no_process_and_no_descriptor(monkeypatch):
    made, spawn = [], processes._spawn

    def spawn_and_note(*arguments):
        made.append(spawn(*arguments))
        return made[-1]

    def exhausted(_pid):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(processes, "_spawn", spawn_and_note)
    monkeypatch.setattr(processes.os, "pidfd_open", exhausted)
    loop = asyncio.new_event_loop()
    link = Link(loop, lambda _: None, lambda _: None, lambda *_: None)
    before = sorted(Path("/proc/self/fd").iterdir())
    with pytest.raises(OSError, match="Too many open files"):
        link.start("proxy.worker", threads=1)
    assert made[0].returncode is not None
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    loop.close()


async def test_an_answer_sent_just_before_the_exit_counts(tmp_path):
    async with started(misbehaving(tmp_path, "answers and exits"), worker_module=MISBEHAVING) as watched:
        instance = await watched.ready()
        result = await run(instance, batch(instance.version, rows([1, 0, 0, 0])))
        assert isinstance(result, BatchResult)
        assert floats(result.outputs.tensors[0]) == [0, 0, 0, 0]
        await watched.until(lambda group: instance not in group.all_instances())


async def test_a_chatty_model_is_not_blocked_and_its_last_words_are_kept(tmp_path):
    async with started(misbehaving(tmp_path, "chatters"), worker_module=MISBEHAVING) as watched:
        instance = await watched.ready()
        assert isinstance(await run(instance, batch(instance.version, rows([1, 0, 0, 0]))), BatchResult)
        assert len(in_words(instance.printed(), 1_000_000)) <= 65_536 + 1


async def test_kills_under_load_lose_no_answer_and_give_no_wrong_one(tmp_path):
    """Each batch is answered exactly once: right, or lost. (The retry is the scheduler's.)"""
    version = echoing(tmp_path)
    async with started(version, instances=2, worker_module=MISBEHAVING) as watched:
        answered = lost = 0
        for value in range(12):
            instance = await watched.ready()
            futures = [begin(i, batch(version, rows([value] * 4))) for i in watched.group.ready_instances()]
            if value % 3 == 0:
                os.kill(instance.pid, signal.SIGKILL)
            async with asyncio.timeout(PATIENCE_S):
                for outcome in await asyncio.gather(*futures):
                    if isinstance(outcome, BatchResult):
                        answered += 1
                        assert floats(outcome.outputs.tensors[0]) == [value] * 4
                    else:
                        assert outcome.lost
                        lost += 1
            await watched.until(lambda group: bool(group.ready_instances()))
        assert answered >= 8
        assert answered + lost >= 12
