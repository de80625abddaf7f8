"""Batches through real instances: what goes in, what comes out, what it costs to disagree."""

from __future__ import annotations

import asyncio
import json
import math
import struct

import numpy as np
import pytest
import torch
import uvloop
from instance_cast import PATIENCE_S, batch, begin, floats, rows, run, started

from proxy.core.batches import BatchFault, BatchResult
from proxy.core.tensors import Signature, Tensor, TensorSpec
from proxy.testing import models

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_rows_of_several_requests_are_one_execution_and_come_back_in_order(tmp_path, loop_factory):
    async def scenario():
        version = models.script(tmp_path, "affine")
        async with started(version) as watched:
            instance = await watched.ready()
            result = await run(instance, batch(version, rows([1, 2, 3, 4], [5, 6, 7, 8]), rows([0, 0, 0, 0])))
            assert isinstance(result, BatchResult)
            (output,) = result.outputs.tensors
            assert (output.name, output.datatype, output.shape) == ("y", "FP32", (3, 4))
            assert floats(output) == [3, 5, 7, 9, 11, 13, 15, 17, 1, 1, 1, 1]
            assert result.outputs.rows == 3
            assert 0 < result.compute_ns <= result.service_ns
            assert min(result.input_ns, result.output_ns) > 0
            assert result.input_ns + result.compute_ns + result.output_ns <= result.service_ns
            assert instance.idle
            assert (instance.executions, instance.service_ewma_ns) == (1, result.service_ns)
            assert instance.busy_ns >= result.service_ns

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(scenario())


async def test_an_instance_is_idle_again_when_its_answer_arrives(tmp_path):
    version = models.script(tmp_path, "affine")
    async with started(version) as watched:
        instance = await watched.ready()
        seen = []
        done = asyncio.Event()

        def on_done(work, outcome):
            seen.append((instance.idle, instance.outstanding))
            if len(seen) < 50:
                instance.execute(work, on_done)
            else:
                done.set()

        instance.execute(batch(version, rows([1, 2, 3, 4])), on_done)
        assert instance.outstanding == 1
        with pytest.raises(RuntimeError, match="not idle"):
            instance.execute(batch(version, rows([1, 2, 3, 4])), on_done)
        async with asyncio.timeout(PATIENCE_S):
            await done.wait()
        assert seen == [(True, 0)] * 50


async def test_areas_grow_for_large_inputs_and_outputs_and_small_ones_still_work(tmp_path):
    version = models.script(tmp_path, "identity")
    wide = models.widening(tmp_path)
    async with started(version) as watched, started(wide) as widening:
        instance = await watched.ready()
        for count in (1, 5_000, 40_000, 3):
            values = np.arange(count * 4, dtype=np.float32)
            tensor = Tensor("x", "FP32", (count, 4), values.tobytes())
            result = await run(instance, batch(version, tensor))
            assert isinstance(result, BatchResult)
            assert result.outputs.tensors[0].data == tensor.data
        instance = await widening.ready()
        for columns in (10.0, 1_000_000.0, 3.0):
            result = await run(instance, batch(wide, rows([columns, 0, 0, 0], [columns, 0, 0, 0])))
            assert isinstance(result, BatchResult)
            assert result.outputs.tensors[0].shape == (2, int(columns))
            assert set(np.frombuffer(result.outputs.tensors[0].data, np.float32)) == {1.0}


async def test_an_answer_is_not_changed_by_the_next_execution(tmp_path):
    version = models.script(tmp_path, "identity")
    async with started(version) as watched:
        instance = await watched.ready()
        first = await run(instance, batch(version, rows([1, 2, 3, 4])))
        await run(instance, batch(version, rows([9, 9, 9, 9])))
        assert floats(first.outputs.tensors[0]) == [1, 2, 3, 4]


async def test_a_model_that_raises_is_named_and_serves_on(tmp_path):
    version = models.script(tmp_path, "raises_on_negative")
    async with started(version) as watched:
        instance = await watched.ready()
        pid = instance.pid
        fault = await run(instance, batch(version, rows([-1, 0, 0, 0])))
        assert isinstance(fault, BatchFault)
        assert not fault.lost
        assert fault.message == "ValueError: negative numbers are not served here"
        result = await run(instance, batch(version, rows([1, 0, 0, 0])))
        assert floats(result.outputs.tensors[0]) == [3, 1, 1, 1]
        assert instance.pid == pid


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("wrong_shape", "shape [1, 8]; its signature declares [-1, 4]"),
        ("wrong_rows", "shape [2, 4] is not 1 rows"),
        ("wrong_type", "is FP64; its signature declares FP32"),
    ],
)
async def test_u32_an_output_that_is_not_as_declared_is_an_error_of_its_request_only(tmp_path, model, words):
    version = models.script(tmp_path, model)
    async with started(version) as watched:
        instance = await watched.ready()
        fault = await run(instance, batch(version, rows([1, 0, 0, 0])))
        assert isinstance(fault, BatchFault)
        assert not fault.lost
        assert words in fault.message
        assert isinstance(await run(instance, batch(version, rows([-1, 0, 0, 0]))), BatchResult)


async def test_bytes_that_do_not_fit_their_shape_are_refused_before_they_are_sent(tmp_path):
    version = models.script(tmp_path, "affine")
    async with started(version) as watched:
        instance = await watched.ready()
        fault = await run(instance, batch(version, Tensor("x", "FP32", (1, 4), b"12345")))
        assert isinstance(fault, BatchFault)
        assert not fault.lost
        assert "5 bytes" in fault.message
        assert isinstance(await run(instance, batch(version, rows([1, 0, 0, 0]))), BatchResult)


async def test_a_stateful_model_is_reset_before_each_execution(tmp_path):
    version = models.counting(tmp_path)
    async with started(version) as watched:
        instance = await watched.ready()
        for _ in range(3):
            result = await run(instance, batch(version, rows([0, 0, 0, 0])))
            assert floats(result.outputs.tensors[0]) == [1, 1, 1, 1]


async def test_silero_vad_answers_as_a_direct_call_does(tmp_path):
    silero = pytest.importorskip("silero_vad", reason="the demo model's package is not installed")
    path = models.package_file(silero, "data", "silero_vad.jit")
    signature = Signature(
        (TensorSpec("x", "FP32", (1, -1)), TensorSpec("sr", "INT64", (1,))), (TensorSpec("p", "FP32", (1, -1)),)
    )
    options = {"method": "audio_forward", "reset_method": "reset_states"}
    version = models.version(
        path, "silero-vad", "torchscript", signature, batchable=False, stateful=True, options=options
    )
    samples = [0.3 * math.sin(i / 9) * math.sin(i / 700) for i in range(16_000)]
    audio = Tensor("x", "FP32", (1, 16_000), struct.pack("<16000f", *samples))
    rate = Tensor("sr", "INT64", (1,), struct.pack("<q", 16_000))
    model = torch.jit.load(str(path))
    model.reset_states()
    expected = model.audio_forward(torch.tensor([samples]), 16_000)
    async with started(version) as watched:
        instance = await watched.ready()
        for _ in range(2):
            result = await run(instance, batch(version, (audio, rate)))
            assert isinstance(result, BatchResult), result.message
            (output,) = result.outputs.tensors
            assert output.shape == tuple(expected.shape)
            np.testing.assert_allclose(floats(output), expected.flatten().tolist(), atol=1e-6)
        fault = await run(instance, batch(version, (audio, Tensor("sr", "INT64", (1,), struct.pack("<q", 11_025)))))
        assert isinstance(fault, BatchFault)
        assert "Supported sampling rates" in fault.message


@pytest.mark.parametrize("artifact_format", ["exported", "onnx", "safetensors"])
async def test_every_format_answers_as_a_direct_call_does(tmp_path, artifact_format):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()
    version = models.in_format(tmp_path, artifact_format, model, 4, 3, json.dumps({"name": "mlp", "widths": [4, 8, 3]}))
    values = torch.randn(5, 4)
    async with started(version) as watched:
        instance = await watched.ready()
        result = await run(instance, batch(version, Tensor("input", "FP32", (5, 4), values.numpy().tobytes())))
        assert isinstance(result, BatchResult), result.message
        np.testing.assert_allclose(floats(result.outputs.tensors[0]), model(values).flatten().tolist(), atol=1e-5)
        assert instance.report().device == "cpu"


async def test_reports_say_what_runs(tmp_path):
    version = models.script(tmp_path, "affine")
    async with started(version) as watched:
        instance = await watched.ready()
        (report,) = watched.group.statistics()
        assert (report.model, report.version, report.state, report.pid) == ("affine", 1, "ready", instance.pid)
        assert report.memory_bytes > 50 * 2**20
        assert report.service_ewma_ms is None
        await run(instance, batch(version, rows([1, 0, 0, 0])))
        (report,) = watched.group.statistics()
        assert report.executions == 1
        assert report.service_ewma_ms > 0
        assert set(watched.group.sandbox) >= {"files", "system calls", "namespaces", "memory limit", "parent death"}


async def test_wanted_instances_start_and_surplus_ones_finish_what_they_run(tmp_path):
    version = models.script(tmp_path, "spins")
    async with started(version, instances=2) as watched:
        await watched.ready(instances=2)
        group = watched.group
        futures = [begin(instance, batch(version, rows([200_000, 0, 0, 0]))) for instance in group.ready_instances()]
        group.set_wanted(0)
        assert not group.ready_instances()
        await group.stop()
        assert all(isinstance(future.result(), BatchResult) for future in futures)
        assert not group.all_instances()
        assert group.restarts == 0
