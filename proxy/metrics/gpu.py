"""Reads GPUs through NVML, where there is a driver; else says in words why there are none.

Rules: never raises; what the driver does not say of a GPU is None, and one that it has lost does not hide the others.
NVML and its package are optional.
Source: NVML API reference, device queries (docs.nvidia.com/deploy/nvml-api); the package nvidia-ml-py.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from proxy.core.reports import GpuReport
from proxy.core.words import say

MILLIWATTS_PER_WATT = 1_000


def torch_name(index: int, uuid: str, visible: str | None) -> str:
    """What torch calls the GPU (`cuda:N`), empty where it does not see it. Pure.

    `visible` is CUDA_VISIBLE_DEVICES: numbers or beginnings of UUIDs in the order in which torch counts; what follows a
    word that is neither is not seen (CUDA C++ programming guide, environment variables). A part of a GPU (MIG) is none.
    """
    if visible is None:
        return f"cuda:{index}"
    for position, word in enumerate(part.strip() for part in visible.split(",")):
        if word == str(index) or (word.startswith("GPU-") and uuid.startswith(word)):
            return f"cuda:{position}"
        if not (word.isdecimal() or word.startswith(("GPU-", "MIG-"))):
            break
    return ""


class GpuProbe:
    """`nvml` is the pynvml module (None: import it, if it is there)."""

    def __init__(self, nvml: ModuleType | Any | None = None) -> None:
        self._visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        self._nvml: Any = None
        self._note = ""
        if nvml is None:
            try:
                import pynvml
            except ImportError:
                self._note = say("The Python package nvidia-ml-py, which reads GPUs, is not installed.")
                return
            nvml = pynvml
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            self._note = _why(nvml, error)
            return
        self._nvml = nvml

    def read(self) -> tuple[tuple[GpuReport, ...], str]:
        """(GPUs, why there are none)."""
        nvml = self._nvml
        if nvml is None:
            return (), self._note
        try:
            count = nvml.nvmlDeviceGetCount()
            gpus = tuple(self._read_one(nvml, index) for index in range(count))
        except nvml.NVMLError as error:
            return (), _why(nvml, error)
        return gpus, "" if gpus else say("The NVIDIA driver reports no GPU on this host.")

    def _read_one(self, nvml: Any, index: int) -> GpuReport:
        def ask(query: Callable[[], Any]) -> Any:
            try:
                return query()
            except nvml.NVMLError:
                return None  # this GPU, or its partitioning, does not say

        handle = ask(lambda: nvml.nvmlDeviceGetHandleByIndex(index))
        if handle is None:
            return GpuReport(index, "GPU", None, None, None, None, None, device=torch_name(index, "", self._visible))
        name = ask(lambda: nvml.nvmlDeviceGetName(handle))
        uuid = ask(lambda: nvml.nvmlDeviceGetUUID(handle))
        utilisation = ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        memory = ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        power_mw = ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        return GpuReport(
            index=index,
            name=_text(name) or "GPU",
            uuid=_text(uuid),
            device=torch_name(index, _text(uuid), self._visible),
            utilisation_percent=None if utilisation is None else int(utilisation.gpu),
            memory_used_bytes=None if memory is None else int(memory.used),
            memory_total_bytes=None if memory is None else int(memory.total),
            temperature_c=ask(lambda: int(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))),
            power_w=None if power_mw is None else power_mw / MILLIWATTS_PER_WATT,
        )


def _text(value: Any) -> str:
    """NVML's text: older bindings give bytes; empty where it was not told."""
    return value.decode() if isinstance(value, bytes) else str(value or "")


def _why(nvml: Any, error: Exception) -> str:
    """NVML's own words, led by what they mean where that is known."""
    code = getattr(error, "value", None)
    if code == nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return say("NVML shared library not found: there is no NVIDIA driver on this host.")
    if code == nvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return say("The NVIDIA driver is installed but not loaded.")
    if code == nvml.NVML_ERROR_NO_PERMISSION:
        return say("This user may not read the NVIDIA driver.")
    return say("NVML cannot read the GPUs: %(error)s.", error=error)
