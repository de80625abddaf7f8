"""The model manager's shell: moves what is loaded towards the snapshot, one version at a time.

Place: control hands it snapshots; it tells the scheduler (through `Lanes`) which versions answer.
Rules: decisions are version_policy's and memory's; a version has a lane exactly while requests may be sent to it: while
READY, and from the request that wakes it on; nothing accepted is lost when a version leaves: its lane drains first; it
is put to sleep only in a moment in which nothing waits or runs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

from proxy.core.clock import Clock
from proxy.core.reports import InstanceReport, MachineReport, VersionReport
from proxy.core.snapshot import EMPTY_SNAPSHOT, Snapshot, VersionSnapshot
from proxy.instances.group import InstanceGroup
from proxy.model_manager import version_policy
from proxy.model_manager.lifecycle import COMING, LoadState
from proxy.model_manager.memory import Resident, budget_bytes, leave_first
from proxy.model_manager.movements import Movements
from proxy.model_manager.ports import GroupFactory, Lanes
from proxy.model_manager.routing import EMPTY_ROUTES, RoutingTable, numbered
from proxy.model_manager.sleep import wake_limits_ns
from proxy.model_manager.table import routing_table

log = logging.getLogger(__name__)


class LaneView(Protocol):
    """What is read of a lane's statistics."""

    @property
    def requests(self) -> int:
        """Requests taken on since the lane was opened."""
        ...


class ModelManager:
    """Loads, resizes, replaces, unloads, wakes and puts to sleep; keeps the routing table."""

    def __init__(self, lanes: Lanes, make_group: GroupFactory, clock: Clock, memory_budget_bytes: int = 0) -> None:
        self.routes: RoutingTable = EMPTY_ROUTES
        self.waking: Mapping[str, int] = {}  # by version key: how long a request may wait for its first instance
        self._lanes = lanes
        self._clock = clock
        self._memory_budget_bytes = memory_budget_bytes
        self._snapshot: Snapshot = EMPTY_SNAPSHOT
        self._versions = Movements(lanes, make_group, clock, self._reconcile)
        self._loaded = self._versions.loaded
        self._sleep = self._versions.sleep
        self._used_bytes: dict[str, int] = {}  # of all instances of a version, by its key, as last measured
        self._instance_bytes: dict[str, int] = {}  # of one of them, kept while it sleeps
        self._machine: MachineReport | None = None

    def apply(self, snapshot: Snapshot) -> None:
        """Take a new wanted state and act on it."""
        old = self._snapshot
        self._snapshot = snapshot
        self._versions.models = snapshot.models
        self._sleep.follow(snapshot.models)
        for name, model in snapshot.models.items():
            before = old.models.get(name)
            if before is not None and before.policy != model.policy:
                for loaded in self._versions.of(name):
                    if loaded.has_lane:
                        self._lanes.update_policy(loaded.version.key, model.policy)
        self._reconcile()

    async def stop(self) -> None:
        """Drain and end every version (the server is going down)."""
        self.apply(EMPTY_SNAPSHOT)
        await self._versions.all_done()

    def wake(self, model: str, version: str | None) -> VersionSnapshot | None:
        """Start the sleeping version that a request asks for; None if none sleeps there that a request may wake.

        However many ask, one load comes of it: from the first on, the version has a lane in which they wait.
        """
        known = self._snapshot.models.get(model)
        one = self._loaded.get(f"{model}/{numbered(self.routes, known, version)}") if known else None
        if known is None or one is None or not self._sleep.wake(known, one):
            return None
        log.info("a request wakes %s", one.version.key)
        self._make_room(self._instance_bytes.get(one.version.key, 0))
        self._reconcile()
        return one.version

    def would_wake(self, model: str, version: str | None) -> bool:
        """True if a request would be taken although no instance answers now."""
        known = self._snapshot.models.get(model)
        one = self._loaded.get(f"{model}/{numbered(self.routes, known, version)}") if known else None
        return known is not None and one is not None and self._sleep.may_wake(known, one)

    @property
    def woken(self) -> tuple[str, ...]:
        """Models that requests woke and that no decision wants awake yet."""
        return tuple(sorted(self._sleep.awake))

    def look(self, lanes: Mapping[str, LaneView], machine: MachineReport, instances: Iterable[InstanceReport]) -> None:
        """Once a second: note who is used and what instances take; let idle versions go if that is too much."""
        self._machine = machine
        self._used_bytes = {}
        for report in instances:
            key = f"{report.model}/{report.version}"
            self._used_bytes[key] = self._used_bytes.get(key, 0) + report.memory_bytes
            self._instance_bytes[key] = report.memory_bytes
        now_ns = self._clock.now_ns()
        for key, one in self._loaded.items():
            lane = lanes.get(key)
            if lane is not None and lane.requests != one.requests:
                one.requests, one.last_used_ns = lane.requests, now_ns
        self._instance_bytes = {key: size for key, size in self._instance_bytes.items() if key in self._loaded}
        self._make_room(0)

    def statistics(self) -> tuple[VersionReport, ...]:
        """Each known version and how it stands."""
        defaults = self.routes.defaults
        return tuple(
            one.report(is_default=defaults.get(one.version.model) == one.version.number)
            for one in self._loaded.values()
        )

    def instance_statistics(self) -> tuple[InstanceReport, ...]:
        """Each instance process of every version."""
        return tuple(report for group in self.all_groups() for report in group.statistics())

    def is_settled(self) -> bool:
        """True if nothing is on its way up: every wanted version answers, sleeps or has failed."""
        return all(one.state not in COMING for one in self._loaded.values())

    def is_whole(self) -> bool:
        """True if every wanted version answers or sleeps."""
        return all(one.state in (LoadState.READY, LoadState.ASLEEP) or one.is_leaving for one in self._loaded.values())

    def groups(self) -> dict[str, InstanceGroup]:
        """The present group of each version that has one, by version key."""
        return {key: one.group for key, one in self._loaded.items() if one.group is not None}

    def all_groups(self) -> tuple[InstanceGroup, ...]:
        """Every group that is not leaving, those that start beside another one included."""
        return tuple(group for one in self._loaded.values() for group in one.groups)

    def _reconcile(self) -> None:
        self._reroute()
        actual = {key: one.actual() for key, one in self._loaded.items()}
        wanted = version_policy.wanted_versions(self._snapshot, self._sleep.awake, self._sleep.evicted)
        for action in version_policy.next_actions(wanted, actual, self.routes.defaults, self._snapshot):
            self._act(action)
        before = self.routes.defaults
        self._reroute()
        if self.routes.defaults != before:
            self._reconcile()  # another version answers now, so that the one before may go

    def _reroute(self) -> None:
        self.routes = routing_table(self._loaded.values(), self._snapshot.models, self.routes.defaults)
        self.waking = wake_limits_ns(self._loaded.values(), self._snapshot.models)

    def _act(self, action: version_policy.Action) -> None:
        match action:
            case version_policy.Load(wanted):
                self._versions.load(wanted)
            case version_policy.Resize(key, instances):
                self._versions.resize(self._loaded[key], instances)
            case version_policy.SetLimits(wanted):
                self._loaded[wanted.version.key].set_limits(wanted.execution)
            case version_policy.Replace(wanted):
                self._versions.replace(self._loaded[wanted.version.key], wanted)
            case version_policy.Unload(key):
                self._versions.unload(self._loaded[key])

    def _make_room(self, needed_bytes: int) -> None:
        """Put idle versions to sleep while instances, and what is about to be loaded, exceed the memory budget."""
        machine = self._machine
        if machine is None:
            return
        residents = [
            Resident(key, self._used_bytes.get(key, 0), one.last_used_ns, self._lanes.is_idle(key))
            for key, one in self._loaded.items()
            if one.state is LoadState.READY
        ]
        used_bytes = sum(resident.memory_bytes for resident in residents)
        budget = budget_bytes(
            self._memory_budget_bytes, machine.memory_total_bytes, machine.memory_used_bytes, used_bytes
        )
        leaving = leave_first(residents, budget, needed_bytes, self._clock.now_ns())
        for eviction in leaving:
            log.warning("%s: %s", eviction.key, eviction.words)
            self._sleep.evicted[eviction.key] = eviction.words
        if leaving:
            self._reconcile()
