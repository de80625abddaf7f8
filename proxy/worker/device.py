"""Which device an instance uses: the one that is asked for, or the GPU with the most free memory, or the CPU.

Rules: only `auto` may fall back to the CPU; a GPU that is asked for and is not there, or not free enough for the
artifact, fails the load in words. Decided once, before the sandbox closes. Decision: 0020-threads-and-devices.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxy.core.units import BYTES_PER_MIB
from proxy.core.words import say
from proxy.frames.config import InstanceConfig
from proxy.worker.backends.base import UnusableArtifact

if TYPE_CHECKING:
    import torch

CONTEXT_BYTES = 1_024 * BYTES_PER_MIB
"""What a process takes of a GPU beside the weights: CUDA's context and kernels (300 to 600 MiB) and activations."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU that torch can use, by torch's number."""

    index: int
    free_bytes: int


def decide(wish: str, gpus: Sequence[Gpu], need_bytes: int) -> str:
    """Return `cpu` or `cuda:N`. `wish`: auto, cpu, cuda (any GPU) or cuda:N. Pure. Raises UnusableArtifact."""
    if wish == "cpu":
        return "cpu"
    freest = max(gpus, key=lambda gpu: (gpu.free_bytes, -gpu.index), default=None)
    if wish == "auto":
        return f"cuda:{freest.index}" if freest is not None and freest.free_bytes >= need_bytes else "cpu"
    if freest is None:
        raise UnusableArtifact(
            say("Its policy asks for the device %(wish)s, but this machine has no GPU that torch can use.", wish=wish)
        )
    chosen = freest if wish == "cuda" else next((gpu for gpu in gpus if f"cuda:{gpu.index}" == wish), None)
    if chosen is None:
        there = ", ".join(f"cuda:{gpu.index}" for gpu in gpus)
        raise UnusableArtifact(
            say("Its policy asks for the device %(wish)s; this machine has %(there)s.", wish=wish, there=there)
        )
    if chosen.free_bytes < need_bytes:
        free, need = chosen.free_bytes // BYTES_PER_MIB, need_bytes // BYTES_PER_MIB
        raise UnusableArtifact(
            say(
                "%(device)s has %(free)s MiB of memory free; about %(need)s MiB are needed.",
                device=f"cuda:{chosen.index}",
                free=free,
                need=need,
            )
        )
    return f"cuda:{chosen.index}"


def wished(policy: str, environment: Mapping[str, str]) -> str:
    """What is asked for: the machine's own setting `DLPROXY_DEVICE` replaces `auto` only. Pure."""
    return environment.get("DLPROXY_DEVICE") or "auto" if policy == "auto" else policy


def choose(config: InstanceConfig) -> torch.device:
    """Return the device; the same one each time. Raises UnusableArtifact."""
    return _choose(wished(config.device, os.environ), Path(config.artifact_path).stat().st_size)


@cache
def _choose(wish: str, artifact_bytes: int) -> torch.device:
    import torch

    gpus = () if wish == "cpu" else present()
    return torch.device(decide(wish, gpus, artifact_bytes + CONTEXT_BYTES))


def present() -> tuple[Gpu, ...]:
    """The GPUs that torch can use, with their free memory; none without a driver.

    NVML is asked first, since torch opens a context (hundreds of MiB) on each GPU that it is asked about; not where the
    environment renumbers them.
    """
    import torch

    if not torch.cuda.is_available():
        return ()
    indexes = range(torch.cuda.device_count())
    if "CUDA_VISIBLE_DEVICES" not in os.environ:
        try:
            return tuple(Gpu(index, _free_by_nvml(index)) for index in indexes)
        except (ImportError, OSError, RuntimeError):
            pass  # not installed, or not of this driver: torch knows, too
    return tuple(Gpu(index, torch.cuda.mem_get_info(index)[0]) for index in indexes)


def _is_partitioned(pynvml: Any, handle: Any) -> bool:
    """True if the GPU is split into instances (MIG); those that cannot be split say that they do not know."""
    try:
        mode, _ = pynvml.nvmlDeviceGetMigMode(handle)
    except pynvml.NVMLError:
        return False
    return bool(mode == pynvml.NVML_DEVICE_MIG_ENABLE)


def _free_by_nvml(index: int) -> int:
    import pynvml

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        if _is_partitioned(pynvml, handle):
            raise RuntimeError("what NVML says is of the whole GPU, torch sees a part of it")
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).free)
    except pynvml.NVMLError as error:
        raise RuntimeError(str(error)) from error
