"""The model manager's shell: moves what is loaded towards the snapshot, one version at a time.

Place: control hands it snapshots; it tells the scheduler (through `Lanes`) which versions answer.
Rules: decisions are version_policy's; a version is attached to a lane exactly while READY; nothing accepted is
lost when a version leaves: its lane drains first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import MappingProxyType
from typing import Protocol

from proxy.core.clock import Clock
from proxy.core.errors import NotReady, ProxyError, Reason
from proxy.core.policies import ExecutionPolicy, ModelPolicy
from proxy.core.reports import InstanceReport, VersionReport
from proxy.core.snapshot import EMPTY_SNAPSHOT, Snapshot, VersionSnapshot
from proxy.core.units import NS_PER_S
from proxy.instances.group import InstanceGroup
from proxy.model_manager import version_policy
from proxy.model_manager.artifacts import ArtifactDamaged, verify
from proxy.model_manager.lifecycle import LoadState
from proxy.model_manager.loaded import Loaded, is_complete
from proxy.model_manager.routing import EMPTY_ROUTES, RETRY_WHILE_LOADING_NS, RoutingTable
from proxy.model_manager.version_policy import needs_new_processes

log = logging.getLogger(__name__)

# A drain longer than this is cut: what still waits gets 503. Longer loses less, and holds memory longer.
DRAIN_LIMIT_NS = 30 * NS_PER_S
_DRAIN_LOOK_S = 0.02


class Lanes(Protocol):
    """What the manager needs of the scheduler."""

    def attach(self, version_key: str, group: InstanceGroup, policy: ModelPolicy) -> None:
        """Make the version's lane, or give an existing one another group, keeping its queue."""

    def update_policy(self, version_key: str, policy: ModelPolicy) -> None:
        """Change a lane's policy live."""

    def detach(self, version_key: str, error: ProxyError) -> None:
        """End the lane; what still waits ends with `error`."""

    def wake(self, version_key: str) -> None:
        """An instance became idle or ready."""

    def is_idle(self, version_key: str) -> bool:
        """True if nothing waits and nothing runs."""


GroupFactory = Callable[[VersionSnapshot, ExecutionPolicy, Callable[[InstanceGroup], None]], InstanceGroup]


class ModelManager:
    """Loads, resizes, replaces and unloads versions; keeps the routing table."""

    def __init__(self, lanes: Lanes, make_group: GroupFactory, clock: Clock) -> None:
        self.routes: RoutingTable = EMPTY_ROUTES
        self._lanes = lanes
        self._make_group = make_group
        self._clock = clock
        self._snapshot: Snapshot = EMPTY_SNAPSHOT
        self._loaded: dict[str, Loaded] = {}
        self._serving: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def apply(self, snapshot: Snapshot) -> None:
        """Take a new wanted state and act on it."""
        old = self._snapshot
        self._snapshot = snapshot
        for name, model in snapshot.models.items():
            before = old.models.get(name)
            if before is not None and before.policy != model.policy:
                for loaded in self._of(name):
                    if loaded.state is LoadState.READY:
                        self._lanes.update_policy(loaded.version.key, model.policy)
        self._reconcile()

    async def stop(self) -> None:
        """Drain and end every version (the server is going down)."""
        self._snapshot = EMPTY_SNAPSHOT
        self._reconcile()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def statistics(self) -> tuple[VersionReport, ...]:
        """Each known version and how it stands."""
        return tuple(
            VersionReport(
                model=one.version.model,
                version=one.version.number,
                state=one.state.value,
                is_default=self._serving.get(one.version.model) == one.version.number,
                instances_ready=len(one.group.ready_instances()) if one.group else 0,
                instances_wanted=one.instances,
                restarts=one.group.restarts if one.group else 0,
                message=one.message or (one.group.message if one.group else ""),
                sandbox=one.group.sandbox if one.group else MappingProxyType({}),
            )
            for one in self._loaded.values()
        )

    def instance_statistics(self) -> tuple[InstanceReport, ...]:
        """Each instance process of every version."""
        groups = [group for one in self._loaded.values() for group in one.groups]
        return tuple(report for group in groups for report in group.statistics())

    def is_settled(self) -> bool:
        """True if nothing is on its way up: every wanted version answers or has failed."""
        return all(one.state not in (LoadState.VERIFYING, LoadState.LOADING) for one in self._loaded.values())

    def groups(self) -> dict[str, InstanceGroup]:
        """The present group of each version that has one, by version key."""
        return {key: one.group for key, one in self._loaded.items() if one.group is not None}

    def _of(self, model: str) -> list[Loaded]:
        return [one for one in self._loaded.values() if one.version.model == model]

    def _reconcile(self) -> None:
        self._reroute()
        actual = {
            key: version_policy.Actual(one.version, one.execution, one.instances, one.state)
            for key, one in self._loaded.items()
        }
        wanted = version_policy.wanted_versions(self._snapshot)
        for action in version_policy.next_actions(wanted, actual, self._serving, self._snapshot):
            self._act(action)
        before = self._serving
        self._reroute()
        if self._serving != before:
            self._reconcile()  # another version answers now, so that the one before may go

    def _act(self, action: version_policy.Action) -> None:
        match action:
            case version_policy.Load(wanted):
                log.info("loading %s with %d instance(s)", wanted.version.key, wanted.instances)
                one = self._loaded[wanted.version.key] = Loaded(wanted)
                self._spawn(self._start(one))
            case version_policy.Resize(key, instances):
                one = self._loaded[key]
                one.resize(instances)
                self._look_at_successor(one)
            case version_policy.SetLimits(wanted):
                self._loaded[wanted.version.key].set_limits(wanted.execution)
            case version_policy.Replace(wanted):
                one = self._loaded[wanted.version.key]
                if one.state is LoadState.VERIFYING:
                    return  # its start is still under way: reconciled again when that ends
                log.info("replacing the instances of %s", wanted.version.key)
                one.version, one.execution, one.instances = wanted.version, wanted.execution, wanted.instances
                self._spawn(self._start(one))
            case version_policy.Unload(key):
                log.info("unloading %s", key)
                one = self._loaded[key]
                was_ready = one.state is LoadState.READY
                one.move(LoadState.DRAINING)
                self._spawn(self._unload(one, was_ready=was_ready))

    async def _start(self, one: Loaded) -> None:
        """Verify the artifact, then start instances: the first group, or one beside a group that answers."""
        version, execution = one.version, one.execution
        try:
            await asyncio.to_thread(verify, version.artifact_path, version.digest)
        except ArtifactDamaged as error:
            if not one.is_leaving:
                self._fail(one, str(error))
            return
        if one.is_leaving or one.version != version or needs_new_processes(execution, one.execution):
            return  # no longer wanted like this; another start is under way if it is wanted at all
        group = self._make_group(version, one.execution, lambda changed: self._on_change(one, changed))
        if one.state is LoadState.READY:
            superseded, one.successor = one.successor, group
            if superseded is not None:
                self._spawn(superseded.stop())
        else:
            superseded, one.group = one.group, group
            if superseded is not None:
                self._spawn(superseded.stop())
            if one.state is LoadState.VERIFYING:
                one.move(LoadState.LOADING)
        group.set_wanted(one.instances)
        self._reconcile()

    def _on_change(self, one: Loaded, group: InstanceGroup) -> None:
        if one.is_leaving or group not in (one.group, one.successor):
            return
        self._look_at_successor(one)
        present = one.group
        if present is None or group is one.successor:
            return
        if present.ready_instances():
            if one.state is not LoadState.READY:
                one.move(LoadState.READY)
                self._attach(one)
                log.info("%s is ready", one.version.key)
            self._reconcile()
            self._lanes.wake(one.version.key)
        elif present.failed:
            self._fail(one, present.message)

    def _look_at_successor(self, one: Loaded) -> None:
        """Let it take over once it is complete, or answers while nothing else does; drop it if it will never answer."""
        successor, present = one.successor, one.group
        if successor is None:
            return
        if is_complete(successor, one.instances) or (
            successor.ready_instances() and not (present and present.ready_instances())
        ):
            one.group, one.successor, one.message = successor, None, ""
            self._attach(one)
            if present is not None:
                self._spawn(self._retire(one, present))
        elif successor.failed and not successor.ready_instances():
            one.successor, one.message = None, f"The change could not be applied: {successor.message}"
            self._spawn(successor.stop())

    async def _retire(self, one: Loaded, group: InstanceGroup) -> None:
        await group.stop()
        self._try_again(one.version.model)

    def _try_again(self, model: str) -> None:
        """Memory was given back: let groups that gave up on some instances beside what is gone start those now."""
        for one in self._of(model):
            group = one.group
            if group is not None and group.failed and group.ready_instances() and not one.is_leaving:
                group.set_wanted(one.instances)

    def _attach(self, one: Loaded) -> None:
        model = self._snapshot.models.get(one.version.model)
        if one.group is not None and model is not None:
            self._lanes.attach(one.version.key, one.group, model.policy)

    def _fail(self, one: Loaded, message: str) -> None:
        was_ready = one.state is LoadState.READY
        one.move(LoadState.FAILED, message)
        log.error("%s failed: %s", one.version.key, message)
        if was_ready:
            self._lanes.detach(one.version.key, _gone(one, "has failed"))
        self._reconcile()

    async def _unload(self, one: Loaded, *, was_ready: bool) -> None:
        key = one.version.key
        self._reroute()
        if was_ready:
            limit_ns = self._clock.now_ns() + DRAIN_LIMIT_NS
            while not self._lanes.is_idle(key) and self._clock.now_ns() < limit_ns:
                await asyncio.sleep(_DRAIN_LOOK_S)
            self._lanes.detach(key, _gone(one, "has been unloaded"))
        for group in one.groups:
            await group.stop()
        one.move(LoadState.UNLOADED)
        if self._loaded.get(key) is one:
            del self._loaded[key]
        log.info("unloaded %s", key)
        self._reconcile()
        self._try_again(one.version.model)

    def _reroute(self) -> None:
        ready: dict[str, dict[int, VersionSnapshot]] = {}
        complete: dict[str, set[int]] = {}
        for one in self._loaded.values():
            if one.state is LoadState.READY:
                ready.setdefault(one.version.model, {})[one.version.number] = one.version
                if one.group is not None and is_complete(one.group, one.instances):
                    complete.setdefault(one.version.model, set()).add(one.version.number)
        serving: dict[str, int] = {}
        for name, model in self._snapshot.models.items():
            chosen = version_policy.default_route(
                model, self._serving.get(name), frozenset(ready.get(name, ())), frozenset(complete.get(name, ()))
            )
            if chosen is not None:
                serving[name] = chosen
        self._serving = serving
        self.routes = RoutingTable(ready, serving)

    def _spawn(self, work: asyncio.Future[None] | object) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("the model manager's work failed", exc_info=task.exception())


def _gone(one: Loaded, how: str) -> NotReady:
    words = f"Version {one.version.number} of '{one.version.model}' {how}."
    return NotReady(Reason.NOT_READY, words, RETRY_WHILE_LOADING_NS)
