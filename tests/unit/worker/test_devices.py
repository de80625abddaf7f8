"""Which device an instance takes, and what counts as running out of memory. No GPU is needed: facts are passed in."""

from __future__ import annotations

import pytest
import torch

from proxy.core.units import BYTES_PER_MIB
from proxy.frames.config import InstanceConfig
from proxy.worker import device
from proxy.worker.backends.base import UnusableArtifact, is_out_of_memory
from proxy.worker.device import Gpu, decide, wished

NEED = 2_000 * BYTES_PER_MIB
FULL, FREE, FREER = Gpu(0, 100 * BYTES_PER_MIB), Gpu(1, 4_000 * BYTES_PER_MIB), Gpu(2, 8_000 * BYTES_PER_MIB)


@pytest.mark.parametrize(
    ("wish", "gpus", "expected"),
    [
        ("auto", (), "cpu"),
        ("auto", (FULL,), "cpu"),
        ("auto", (FULL, FREE, FREER), "cuda:2"),
        ("cpu", (FREER,), "cpu"),
        ("cuda", (FULL, FREE), "cuda:1"),
        ("cuda:1", (FULL, FREE, FREER), "cuda:1"),
        ("auto", (Gpu(0, NEED), Gpu(1, NEED)), "cuda:0"),
    ],
)
def test_a_device_is_chosen_by_wish_and_free_memory(wish, gpus, expected):
    assert decide(wish, gpus, NEED) == expected


@pytest.mark.parametrize(
    ("wish", "gpus", "words"),
    [
        ("cuda", (), "asks for the device cuda, but this machine has no GPU"),
        ("cuda:0", (), "asks for the device cuda:0, but this machine has no GPU"),
        ("cuda:3", (FULL, FREE), "asks for the device cuda:3; this machine has cuda:0, cuda:1"),
        ("cuda:0", (FULL, FREE), "cuda:0 has 100 MiB of memory free; about 2000 MiB are needed"),
        ("cuda", (FULL,), "cuda:0 has 100 MiB of memory free"),
    ],
)
def test_a_gpu_that_is_asked_for_and_cannot_be_had_is_refused_in_words(wish, gpus, words):
    with pytest.raises(UnusableArtifact, match=words):
        decide(wish, gpus, NEED)


def test_the_machines_setting_replaces_auto_only():
    assert wished("auto", {}) == "auto"
    assert wished("auto", {"DLPROXY_DEVICE": "cpu"}) == "cpu"
    assert wished("cuda:1", {"DLPROXY_DEVICE": "cpu"}) == "cuda:1"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_a_policy_that_wants_one_fails_the_load(tmp_path):
    artifact = tmp_path / "artifact"
    artifact.write_bytes(b"x")
    assert device.present() == ()
    assert device.choose(InstanceConfig(str(artifact), "torchscript", None)).type == "cpu"
    with pytest.raises(UnusableArtifact, match="no GPU that torch can use"):
        device.choose(InstanceConfig(str(artifact), "torchscript", None, device="cuda:0"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: free memory is read from the driver")
def test_present_gpus_tell_their_free_memory():
    assert all(gpu.free_bytes > 0 for gpu in device.present())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("index out of range"), False),
        (OSError("no such file"), False),
    ],
)
def test_running_out_of_memory_is_told_from_other_errors(error, expected):
    assert is_out_of_memory(error) is expected
