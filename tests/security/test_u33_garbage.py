"""U33, F10: a process that answers with garbage is killed; its batch is faulted once; nothing of it is believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from instance_cast import batch, rows, run, started

from proxy.core.batches import BatchFault, BatchResult
from proxy.testing import models
from proxy.testing.misbehaving_worker import BEHAVIOURS

pytestmark = pytest.mark.slow
MISBEHAVING = "proxy.testing.misbehaving_worker"


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return models.script(tmp_path_factory.mktemp("models"), "affine")


@pytest.mark.parametrize("behaviour", sorted(set(BEHAVIOURS) - {"two answers"}))
async def test_u33_garbage_ends_the_instance_and_faults_only_its_batch(version, behaviour):
    hostile = replace(version, options={"misbehave": behaviour})
    async with started(hostile, worker_module=MISBEHAVING) as watched:
        instance = await watched.ready()
        fault = await run(instance, batch(hostile, rows([1, 0, 0, 0])))
        assert isinstance(fault, BatchFault)
        assert fault.lost
        await watched.until(lambda group: instance not in group.all_instances())
        assert str(instance.state) == "failed"
        assert instance.pid is None


async def test_u33_a_second_answer_to_the_same_execution_ends_the_instance(version):
    hostile = replace(version, options={"misbehave": "two answers"})
    async with started(hostile, worker_module=MISBEHAVING) as watched:
        instance = await watched.ready()
        assert isinstance(await run(instance, batch(hostile, rows([1, 0, 0, 0]))), BatchResult)
        await watched.until(lambda group: instance not in group.all_instances())
        assert "not in flight" in instance.message


@pytest.mark.parametrize("behaviour", ["load: unreadable", "load: ready too early"])
async def test_u33_garbage_instead_of_ready_is_a_failed_start(version, behaviour):
    hostile = replace(version, options={"misbehave": behaviour})
    async with started(hostile, worker_module=MISBEHAVING) as watched:
        await watched.until(lambda group: bool(group.message))
        assert "no instance sends" in watched.group.message


async def test_u33_the_shared_area_cannot_be_shrunk_under_the_parent(version):
    hostile = replace(version, options={"misbehave": "shrinks its area"})
    async with started(hostile, worker_module=MISBEHAVING) as watched:
        fault = await run(await watched.ready(), batch(hostile, rows([1, 0, 0, 0])))
        assert fault.message == "refused: Operation not permitted"


async def test_u33_descriptors_sent_to_the_parent_are_dropped(version):
    hostile = replace(version, options={"misbehave": "passes descriptors"})
    async with started(hostile, worker_module=MISBEHAVING) as watched:
        instance = await watched.ready()
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            assert isinstance(await run(instance, batch(hostile, rows([1, 0, 0, 0]))), BatchResult)
        assert len(list(Path("/proc/self/fd").iterdir())) <= before  # reading memory opens one for a moment


async def test_u33_an_instance_that_closes_its_channel_and_lives_on_is_ended(version):
    hostile = replace(version, options={"misbehave": "closes the channel"})
    async with started(hostile, worker_module=MISBEHAVING) as watched:
        instance = await watched.ready()
        fault = await run(instance, batch(hostile, rows([1, 0, 0, 0])))
        assert fault.lost
        assert instance.pid is None
