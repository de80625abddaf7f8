"""Reads the host: cores and memory through psutil, GPUs through NVML."""

from __future__ import annotations

import psutil

from proxy.core.reports import MachineReport
from proxy.metrics.gpu import GpuProbe


def host_memory_bytes() -> int:
    """What the host has in all."""
    return int(psutil.virtual_memory().total)


class MachineProbe:
    """Shares are over the time since the last `read`. Not for two threads at once."""

    def __init__(self, gpu: GpuProbe | None = None) -> None:
        self._gpu = gpu or GpuProbe()
        psutil.cpu_percent(percpu=True)  # the first reading has nothing to compare with, and is 0

    def read(self) -> MachineReport:
        """The host as of now."""
        per_core = tuple(float(percent) for percent in psutil.cpu_percent(percpu=True))
        memory = psutil.virtual_memory()
        gpus, note = self._gpu.read()
        return MachineReport(
            cpu_percent=sum(per_core) / len(per_core) if per_core else 0.0,
            per_core_percent=per_core,
            memory_used_bytes=memory.total - memory.available,
            memory_total_bytes=memory.total,
            gpus=gpus,
            gpu_note=note,
        )
