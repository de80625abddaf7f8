"""Which device an instance takes, and what counts as running out of memory. No GPU is needed: facts are passed in."""

from __future__ import annotations

import sys
from types import SimpleNamespace

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


class NvmlError(Exception):
    """As pynvml's."""


class Driver:
    """What is used of the pynvml module, for one GPU. `mig`: its mode, None where it cannot be split."""

    NVMLError = NvmlError
    NVML_DEVICE_MIG_ENABLE = 1

    def __init__(self, *, free=7, mig=None, loaded=True):
        self.free, self.mig, self.loaded = free, mig, loaded

    def nvmlInit(self):
        if not self.loaded:
            raise NvmlError("Driver Not Loaded")

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetMigMode(self, handle):
        if self.mig is None:
            raise NvmlError("Not Supported")
        return [self.mig, 1]

    def nvmlDeviceGetMemoryInfo(self, handle):
        if self.free is None:
            raise NvmlError("Not Supported")
        return SimpleNamespace(free=self.free)


@pytest.mark.parametrize("mig", [None, 0])
def test_free_memory_is_nvmls_where_the_gpu_is_whole(monkeypatch, mig):
    monkeypatch.setitem(sys.modules, "pynvml", Driver(mig=mig))
    assert device._free_by_nvml(0) == 7


@pytest.mark.parametrize("driver", [Driver(mig=1), Driver(free=None), Driver(loaded=False)])
def test_where_nvml_cannot_say_what_torch_may_use_torch_is_asked(monkeypatch, driver):
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    with pytest.raises(RuntimeError):
        device._free_by_nvml(0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: free memory is read from the driver")
def test_present_gpus_tell_their_free_memory():
    assert all(gpu.free_bytes > 0 for gpu in device.present())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("index out of range"), False),
        (OSError("no such file"), False),
    ],
)
def test_running_out_of_memory_is_told_from_other_errors(error, expected):
    assert is_out_of_memory(error) is expected
