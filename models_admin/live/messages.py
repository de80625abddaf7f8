"""What goes over the live socket: the second's report as plain values, and the difference between two seconds.

Rules: pure; `apply(old, delta(old, new)) == new` as the browser applies it (static/js/lib/live.js does the same).
Units: names carry them; times are unix seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from proxy.core.gpus import holds
from proxy.core.reports import GpuReport, InstanceReport, MachineReport, ModelSecond, SecondReport, VersionReport

State = dict[str, Any]

_MODEL_FIELDS = tuple(name for name in ModelSecond.__dataclass_fields__ if name != "histogram")


def state(report: SecondReport) -> State:
    """The whole report as JSON-ready values, without the histograms (pages read percentiles)."""
    return {
        "sequence": report.sequence,
        "at": report.at_unix_s,
        "generation": report.generation,
        "total": _second(report.total),
        "models": {name: _second(second) for name, second in report.models.items()},
        "versions": [_version(version) for version in report.versions],
        "instances": [_instance(instance) for instance in report.instances],
        "machine": _machine(report.machine, report.instances),
    }


def snapshot(new: State, recent: dict[str, Any]) -> State:
    """First message of a socket, and the answer to a resync; `recent` are the last requests per second."""
    return {"type": "snapshot", **new, "recent": recent}


def delta(old: State, new: State) -> State:
    """What changed from `old` to `new`; models that did not change are left out, gone ones are in `removed`."""
    old_models = old["models"]
    message: State = {
        "type": "delta",
        "previous": old["sequence"],
        "sequence": new["sequence"],
        "at": new["at"],
        "models": {name: second for name, second in new["models"].items() if old_models.get(name) != second},
        "removed": [name for name in old_models if name not in new["models"]],
    }
    for part in ("generation", "total", "versions", "instances", "machine"):
        if old[part] != new[part]:
            message[part] = new[part]
    return message


def encode(message: State) -> bytes:
    """The message as JSON text in UTF-8."""
    return msgspec.json.encode(message)


def _second(second: ModelSecond) -> State:
    return {name: _rounded(getattr(second, name)) for name in _MODEL_FIELDS}


def _version(version: VersionReport) -> State:
    return {
        "model": version.model,
        "version": version.version,
        "state": version.state,
        "is_default": version.is_default,
        "instances_ready": version.instances_ready,
        "instances_wanted": version.instances_wanted,
        "restarts": version.restarts,
        "message": version.message,
    }


def _instance(instance: InstanceReport) -> State:
    return {
        "instance_id": instance.instance_id,
        "model": instance.model,
        "version": instance.version,
        "pid": instance.pid,
        "state": instance.state,
        "device": instance.device,
        "uptime_s": int(instance.uptime_s),
        "memory_bytes": instance.memory_bytes,
        "executions": instance.executions,
        "service_ewma_ms": _rounded(instance.service_ewma_ms),
        "message": instance.message,
    }


def _machine(machine: MachineReport, instances: Sequence[InstanceReport]) -> State:
    return {
        "cpu_percent": _rounded(machine.cpu_percent),
        "per_core_percent": [_rounded(core) for core in machine.per_core_percent],
        "memory_used_bytes": machine.memory_used_bytes,
        "memory_total_bytes": machine.memory_total_bytes,
        "gpus": [{**_gpu(gpu), **holds(gpu, instances)} for gpu in machine.gpus],
        "gpu_note": str(machine.gpu_note),
    }


def _gpu(gpu: GpuReport) -> State:
    return {name: _rounded(getattr(gpu, name)) for name in gpu.__dataclass_fields__}


def _rounded(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value
