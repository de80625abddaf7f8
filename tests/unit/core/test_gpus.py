"""Which instances sit on which GPU."""

from __future__ import annotations

from proxy.core.gpus import MOST_NAMED, holds
from proxy.core.reports import GpuReport, InstanceReport

FIRST = GpuReport(1, "H200", 0, 1, 2, 40, 70.0, device="cuda:0")
HIDDEN = GpuReport(0, "H200", 0, 1, 2, 40, 70.0)


def instance(model: str, version: int, state: str = "ready", device: str = "cuda:0") -> InstanceReport:
    return InstanceReport(f"{model}/{version}#1", model, version, 7, state, device, 1.0, 1, 0, None)


def test_versions_are_named_by_how_many_of_their_instances_sit_there() -> None:
    rows = [instance("small", 1), *[instance("net", 2)] * 3, instance("net", 1), instance("other", 1, device="cuda:1")]
    assert holds(FIRST, rows) == {
        "holds": [
            {"model": "net", "version": 2, "instances": 3},
            {"model": "net", "version": 1, "instances": 1},
            {"model": "small", "version": 1, "instances": 1},
        ],
        "held_versions": 3,
    }


def test_one_that_drains_is_still_there_and_one_that_is_gone_is_not() -> None:
    rows = [instance("net", 1, state) for state in ("ready", "draining", "stopped", "failed")]
    assert holds(FIRST, rows)["holds"] == [{"model": "net", "version": 1, "instances": 2}]


def test_what_runs_on_the_cpu_or_is_not_placed_yet_sits_on_no_gpu() -> None:
    rows = [instance("net", 1, device="cpu"), instance("net", 1, "loading", device="")]
    nothing = {"holds": [], "held_versions": 0}
    assert [holds(gpu, rows) for gpu in (FIRST, HIDDEN)] == [nothing, nothing]


def test_of_many_versions_the_largest_are_named_and_all_are_counted() -> None:
    held = holds(FIRST, [instance(f"m{number:03}", 1) for number in range(100)] + [instance("m099", 1)])
    assert (len(held["holds"]), held["held_versions"]) == (MOST_NAMED, 100)
    assert [of["model"] for of in held["holds"][:2]] == ["m099", "m000"]
