"""Reports for the tests of the live sockets."""

from __future__ import annotations

from proxy.core.reports import MachineReport, ModelSecond, SecondReport, VersionReport


def report(sequence: int, **requests: int) -> SecondReport:
    models = {name: ModelSecond(requests=count, p50_ms=1.23456) for name, count in requests.items()}
    total = ModelSecond(requests=sum(requests.values()))
    versions = tuple(VersionReport(name, 1, "ready", True, 1, 1, 0) for name in requests)
    machine = MachineReport(5.0, (5.0,), 1, 2, gpu_note="No driver.")
    return SecondReport(sequence, 1_000 + sequence, 1, total, models, versions, (), machine)
