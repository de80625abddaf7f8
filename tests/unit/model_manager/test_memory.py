"""Who leaves when memory is short, by table; and the manager that follows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from proxy.core.reports import InstanceReport, MachineReport
from proxy.core.units import BYTES_PER_MIB, NS_PER_S
from proxy.model_manager.memory import TRAFFIC_NS, Resident, budget_bytes, leave_first
from tests.unit.model_manager.rig import Rig

MIB = BYTES_PER_MIB
NOW = 1_000 * NS_PER_S
HOST = MachineReport(0.0, (), 500 * MIB, 4_000 * MIB)


def resident(key: str, mib: int, unused_s: int, *, is_idle: bool = True) -> Resident:
    return Resident(key, mib * MIB, NOW - unused_s * NS_PER_S, is_idle)


def leaving(*residents: Resident, budget: int, needed: int = 0) -> list[str]:
    return [eviction.key for eviction in leave_first(residents, budget * MIB, needed * MIB, NOW)]


def test_nobody_leaves_within_the_budget() -> None:
    assert leaving(resident("a", 100, 900), resident("b", 100, 800), budget=200) == []


def test_the_longest_unused_leave_first_and_no_more_than_must() -> None:
    three = (resident("b", 100, 800), resident("a", 100, 900), resident("c", 100, 700))
    assert leaving(*three, budget=250) == ["a"]
    assert leaving(*three, budget=150) == ["a", "b"]


def test_what_is_about_to_be_loaded_counts() -> None:
    assert leaving(resident("a", 100, 900), budget=150, needed=60) == ["a"]


def test_a_version_with_traffic_or_with_work_keeps_its_instances() -> None:
    busy = resident("busy", 100, 900, is_idle=False)
    fresh = Resident("fresh", 100 * MIB, NOW - TRAFFIC_NS + 1, True)
    assert leaving(busy, fresh, budget=10) == []


def test_the_words_say_how_much_of_what_and_for_how_long() -> None:
    (eviction,) = leave_first([resident("a", 100, 900)], 50 * MIB, 20 * MIB, NOW)
    assert eviction.words == (
        "Asleep to free 100 MiB: instances used 100 MiB and 20 MiB more were needed of a budget of 50 MiB, and it was "
        "unused for 900 s, longest of all. A request wakes it."
    )


def test_the_automatic_budget_is_what_others_leave_of_nine_tenths_of_the_host() -> None:
    assert budget_bytes(7, 1_000, 900, 0) == 7
    assert budget_bytes(0, 1_000, 500, 300) == 700
    assert budget_bytes(0, 1_000, 950, 0) == 0


def report(number: int, mib: int) -> InstanceReport:
    return InstanceReport(f"echo/{number}#1", "echo", number, 1, "ready", "cpu", 1.0, mib * MIB, 0, None)


async def two_versions(rig: Rig) -> None:
    rig.want(rig.version(1), rig.version(2), default=2)
    await rig.until(lambda: len(rig.groups) == 2)
    for group in rig.groups:
        group.add()


async def test_an_unused_version_sleeps_beyond_the_budget_and_a_request_wakes_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path, memory_budget_bytes=150 * MIB)
    await two_versions(rig)
    lanes = {"echo/1": SimpleNamespace(requests=0), "echo/2": SimpleNamespace(requests=0)}
    rig.clock.skip(2 * TRAFFIC_NS)
    lanes["echo/2"].requests = 5
    rig.manager.look(lanes, HOST, [report(1, 100), report(2, 100)])
    assert rig.states() == {1: "asleep", 2: "ready"}
    (message,) = [one.message for one in rig.manager.statistics() if one.version == 1]
    assert "Asleep to free 100 MiB" in message
    assert list(rig.lanes.attached) == ["echo/2"]
    rig.want(rig.version(1), rig.version(2), default=2)
    assert rig.states() == {1: "asleep", 2: "ready"}, "the wanted state alone does not bring it back"
    woken = rig.manager.wake("echo", "1")
    assert woken == rig.version(1)
    await rig.until(lambda: len(rig.groups) == 3)
    rig.groups[2].add()
    assert rig.states() == {1: "ready", 2: "ready"}


async def test_the_version_that_wakes_makes_room_by_its_own_measured_need(tmp_path: Path) -> None:
    rig = Rig(tmp_path, memory_budget_bytes=150 * MIB)
    await two_versions(rig)
    lanes = {"echo/1": SimpleNamespace(requests=0), "echo/2": SimpleNamespace(requests=5)}
    rig.clock.skip(2 * TRAFFIC_NS)
    rig.manager.look(lanes, HOST, [report(1, 100), report(2, 100)])
    rig.clock.skip(2 * TRAFFIC_NS)
    rig.manager.look(lanes, HOST, [report(2, 100)])
    assert rig.states() == {1: "asleep", 2: "ready"}
    rig.manager.wake("echo", "1")
    assert rig.states()[2] == "asleep", "100 MiB in use and 100 more needed are beyond 150"
