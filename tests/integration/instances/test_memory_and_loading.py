"""Real instances short of memory, with padded batches, held to golden samples, on devices that are not there."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from instance_cast import PATIENCE_S, POLICY, batch, floats, rows, run, started

from proxy.core.batches import BatchFault, BatchResult
from proxy.core.policies import ExecutionPolicy
from proxy.core.tensors import Tensor, split_elements
from proxy.core.units import BYTES_PER_MIB
from proxy.frames.messages import Area
from proxy.instances.shared_memory import SHRINK_EVERY_NS, process_bound
from proxy.system import SystemClock
from proxy.testing import models, string_models

pytestmark = pytest.mark.slow
LARGE_ROWS = 4 * BYTES_PER_MIB // 16


@pytest.fixture
def shared_memory():
    """The bound on shared memory, restored after the test."""
    bound = process_bound()
    limit_bytes = bound.limit_bytes
    yield bound
    bound.limit_bytes = limit_bytes


def large():
    values = np.arange(LARGE_ROWS * 4, dtype=np.float32)
    return Tensor("x", "FP32", (LARGE_ROWS, 4), values.tobytes())


async def test_a_batch_without_room_is_refused_not_lost_and_areas_shrink_when_large_ones_no_longer_come(
    tmp_path, shared_memory
):
    version = models.script(tmp_path, "identity")
    async with started(version) as watched:
        instance = await watched.ready()
        pid, first_bytes = instance.pid, shared_memory.held_bytes
        shared_memory.limit_bytes = first_bytes + BYTES_PER_MIB
        fault = await run(instance, batch(version, large()))
        assert isinstance(fault, BatchFault)
        assert (fault.lost, fault.no_room, fault.out_of_memory) == (False, True, True)
        assert "no room for 4 MiB of tensors in shared memory" in fault.message
        assert isinstance(await run(instance, batch(version, rows([1, 2, 3, 4]))), BatchResult)

        shared_memory.limit_bytes = first_bytes + 6 * BYTES_PER_MIB  # for the inputs, not for the outputs
        fault = await run(instance, batch(version, large()))
        assert isinstance(fault, BatchFault)
        assert (fault.lost, fault.no_room) == (False, True)
        assert isinstance(await run(instance, batch(version, rows([1, 2, 3, 4]))), BatchResult)

        shared_memory.limit_bytes = first_bytes + 64 * BYTES_PER_MIB
        result = await run(instance, batch(version, large()))
        assert isinstance(result, BatchResult)
        assert result.outputs.tensors[0].data == large().data
        held_bytes = shared_memory.held_bytes
        now_ns = SystemClock().now_ns()
        for look in (1, 2):  # the first sees the large batch, the second that none came since
            instance.tend(now_ns + look * SHRINK_EVERY_NS)
        assert held_bytes >= 8 * BYTES_PER_MIB
        assert shared_memory.held_bytes == first_bytes
        assert instance._link.area(Area.RESPONSE).size_bytes == 65_536
        for tensor in (rows([1, 2, 3, 4]), large()):
            result = await run(instance, batch(version, tensor))
            assert isinstance(result, BatchResult)
            assert result.outputs.tensors[0].data == tensor.data
        assert instance.pid == pid


async def test_a_model_that_runs_out_of_memory_says_so_and_serves_on(tmp_path):
    version = models.script(tmp_path, "takes_memory")
    policy = replace(POLICY, memory_limit_bytes=1_024 * BYTES_PER_MIB)
    async with started(version, policy) as watched:
        instance = await watched.ready()
        fault = await run(instance, batch(version, rows([8_192, 0, 0, 0])))
        assert isinstance(fault, BatchFault)
        assert (fault.lost, fault.out_of_memory, fault.no_room) == (False, True, False)
        assert isinstance(await run(instance, batch(version, rows([1, 0, 0, 0]))), BatchResult)


async def test_padded_batches_are_executed_at_their_size_and_answered_at_their_own(tmp_path):
    version, loud = models.script(tmp_path, "affine"), string_models.flat(tmp_path)
    async with started(version, replace(POLICY, threads=0, batch_rows=(4, 8))) as watched, started(loud) as strings:
        instance = await watched.ready()
        work = batch(version, rows([1, 2, 3, 4], [5, 6, 7, 8]), rows([0, 0, 0, 0]))
        work.padded_rows = 8
        result = await run(instance, work)
        assert isinstance(result, BatchResult), result.message
        (output,) = result.outputs.tensors
        assert (output.shape, result.outputs.rows) == ((3, 4), 3)
        assert floats(output) == [3, 5, 7, 9, 11, 13, 15, 17, 1, 1, 1, 1]
        await measured(instance)
        report = instance.report()
        assert report.load_time_ns > 0
        assert report.threads == len(os.sched_getaffinity(0))
        assert 0 < report.memory_bytes <= instance._link.resident_bytes()
        watched.group.set_wanted(len(os.sched_getaffinity(0)))  # the cores are to be shared from now on
        assert instance.report().threads == 1
        assert isinstance(await run(instance, batch(version, rows([1, 2, 3, 4]))), BatchResult)
        watched.group.set_wanted(1)
        assert watched.group.all_instances()[0].threads == len(os.sched_getaffinity(0))
        instance = await watched.ready()
        assert isinstance(await run(instance, batch(version, rows([1, 2, 3, 4]))), BatchResult)

        instance = await strings.ready()
        data = b"\x01\0\0\0a\x02\0\0\0bc"
        work = batch(loud, Tensor("words", "BYTES", (1, 2), data))
        work.padded_rows = 4
        result = await run(instance, work)
        assert isinstance(result, BatchResult), result.message
        assert split_elements(result.outputs.tensors[0].data) == [b"A!", b"BC!"]


async def measured(instance):
    """Wait until the memory measurement that the start began has come back."""
    async with asyncio.timeout(PATIENCE_S):
        while instance._link._is_measuring:
            await asyncio.sleep(0)


async def test_an_instance_is_ready_only_if_it_reproduces_its_golden_samples(tmp_path):
    x = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0, 2.0, 3.0, 4.0]}
    for name, expected in (("right", [3.0, 5.0, 7.0, 9.0]), ("wrong", [3.0, 5.0, 7.0, 9.5])):
        y = {"name": "y", "datatype": "FP32", "shape": [1, 4], "data": expected}
        document = tmp_path / f"{name}.json"
        document.write_text(json.dumps({"rtol": 1e-3, "atol": 1e-5, "samples": [{"inputs": [x], "outputs": [y]}]}))
        version = replace(models.script(tmp_path, "affine"), golden_path=str(document))
        async with started(version) as watched:
            if name == "right":
                await watched.ready()
                assert watched.stages == ["loading", "warming", "verifying", "starting"]  # then none is on its way
                continue
            await watched.until(lambda group: bool(group.message))
            assert watched.stages[:3] == ["loading", "warming", "verifying"]
            assert "Golden sample 1: output 'y' differs by up to 0.5 in 1 of 4 elements" in watched.group.message
            assert str(tmp_path) not in watched.group.message


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
async def test_a_device_that_is_not_there_fails_the_load_in_words(tmp_path):
    version = models.script(tmp_path, "affine")
    async with started(version, ExecutionPolicy(device="cuda:0")) as watched:
        await watched.until(lambda group: bool(group.message))
        assert "asks for the device cuda:0, but this machine has no GPU that torch can use" in watched.group.message


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
async def test_an_instance_on_a_gpu_answers_as_on_the_cpu(tmp_path):
    version = models.script(tmp_path, "affine")
    async with started(version, ExecutionPolicy(device="cuda")) as watched:
        instance = await watched.ready()
        assert instance.device.startswith("cuda:")
        result = await run(instance, batch(version, rows([1, 2, 3, 4])))
        assert isinstance(result, BatchResult)
        assert floats(result.outputs.tensors[0]) == [3, 5, 7, 9]
