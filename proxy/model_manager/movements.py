"""The shell that moves one version along its lifecycle: start, take over, fail, sleep, wake, drain.

Place: the model manager says which version is to move; this starts and stops groups, opens and closes lanes.
Rules: every move is in the table of lifecycle; a lane is open exactly while requests may be sent to its version; a
version is put to sleep only in a moment in which nothing of it waits or runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from proxy.core.clock import Clock
from proxy.core.errors import NotReady, Reason
from proxy.core.snapshot import ModelSnapshot
from proxy.core.units import NS_PER_S
from proxy.instances.group import InstanceGroup
from proxy.model_manager.artifacts import ArtifactDamaged, verify
from proxy.model_manager.lifecycle import Event, LoadState
from proxy.model_manager.loaded import Loaded, is_complete
from proxy.model_manager.ports import GroupFactory, Lanes, NoInstances
from proxy.model_manager.routing import RETRY_WHILE_LOADING_NS
from proxy.model_manager.sleep import Sleep
from proxy.model_manager.version_policy import Wanted

log = logging.getLogger(__name__)

# A drain longer than this is cut: what still waits gets 503. Longer loses less, and holds memory longer.
DRAIN_LIMIT_NS = 30 * NS_PER_S
_DRAIN_LOOK_S = 0.02
# When bytes are read again that could not be for want of descriptors, threads or memory. Longer: later, calmer.
READ_AGAIN_S = 1.0


class Movements:
    """What is loaded, by version key. `models` is the wanted state's; `changed` is called when others must follow."""

    def __init__(self, lanes: Lanes, make_group: GroupFactory, clock: Clock, changed: Callable[[], None]) -> None:
        self.loaded: dict[str, Loaded] = {}
        self.sleep = Sleep()
        self.models: Mapping[str, ModelSnapshot] = {}
        self._lanes = lanes
        self._make_group = make_group
        self._clock = clock
        self._changed = changed
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, model: str) -> list[Loaded]:
        """The versions of one model."""
        return [one for one in self.loaded.values() if one.version.model == model]

    async def all_done(self) -> None:
        """Return when no start, drain or stop is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def load(self, wanted: Wanted) -> None:
        """Take a version up; asleep if no instance of it is wanted."""
        log.info("loading %s with %d instance(s)", wanted.version.key, wanted.instances)
        one = self.loaded[wanted.version.key] = Loaded(wanted, self._clock.now_ns())
        if wanted.instances:
            self._begin(one)

    def unload(self, one: Loaded) -> None:
        """Drain it and end its instances. Who waits for it to wake is told at once: nothing more is started for it."""
        log.info("unloading %s", one.version.key)
        was_waking = one.is_waking
        one.move(Event.NOT_WANTED)
        if was_waking:
            self._close_lane(one, "has been unloaded")
        self._spawn(self._unload(one))

    def resize(self, one: Loaded, instances: int) -> None:
        """Want another number of its instances; none: asleep."""
        if not instances:
            self._put_to_sleep(one)
        elif one.state is LoadState.ASLEEP:
            one.instances = instances
            self._awaken(one)
        else:
            one.resize(instances)
            self._look_at_successor(one)

    def replace(self, one: Loaded, wanted: Wanted) -> None:
        """Start other instances beside those there are."""
        was_asleep = one.state is LoadState.ASLEEP
        if not (was_asleep or wanted.instances):
            self._put_to_sleep(one)
            was_asleep = one.state is LoadState.ASLEEP
            if not was_asleep:
                return  # something still runs: awake, and replaced when it is wanted so
        one.take(wanted)
        if was_asleep:
            if wanted.instances:
                self._awaken(one)
            return
        log.info("replacing the instances of %s", one.version.key)
        if one.state not in (LoadState.READY, LoadState.CHECKING):
            one.move(Event.CHANGED)
        self._begin(one)

    def _put_to_sleep(self, one: Loaded) -> None:
        """Part with its instances, if nothing waits or runs."""
        key = one.version.key
        if one.has_lane and not self._lanes.is_idle(key):
            self.sleep.keep_awake(self.models.get(one.version.model), one)
            return
        log.info("%s goes to sleep", key)
        one.move(Event.PUT_TO_SLEEP, self.sleep.evicted.get(key, ""))
        one.instances = 0
        one.start += 1
        self._close_lane(one, "sleeps")
        for group in one.release():
            self._spawn(self._retire(one, group))

    def _awaken(self, one: Loaded) -> None:
        """From now on requests wait for its first instance."""
        one.move(Event.ASKED)
        self._open_lane(one)
        self._begin(one)

    def _begin(self, one: Loaded) -> None:
        """Start it; a start that is under way is overtaken."""
        one.start += 1
        self._spawn(self._start(one, one.start))

    async def _start(self, one: Loaded, start: int) -> None:
        """Verify the artifact, then start instances: the first group, or one beside a group that answers."""
        version, began_ns = one.version, self._clock.now_ns()
        try:
            while not await self._is_read(one, start):
                await asyncio.sleep(READ_AGAIN_S)
                if one.start != start or one.is_leaving:
                    return
        except ArtifactDamaged as error:
            if one.start == start and not one.is_leaving:
                self._fail(one, Event.DIGEST_WRONG, str(error))
            return
        if one.start != start or one.is_leaving:
            return  # no longer wanted like this; another start is under way if it is wanted at all
        one.started_ns = began_ns
        group = self._make_group(version, one.execution, lambda changed: self._on_change(one, changed))
        if one.state is LoadState.READY:
            superseded, one.successor = one.successor, group
        else:
            superseded, one.group = one.group, group
            if one.state is LoadState.CHECKING:
                one.move(Event.DIGEST_RIGHT)
        if superseded is not None:
            self._spawn(superseded.stop())
        group.set_wanted(one.instances)
        self._changed()

    async def _is_read(self, one: Loaded, start: int) -> bool:
        """True if its bytes are right; False if nothing is there to read them with now. Raises ArtifactDamaged."""
        version = one.version
        try:
            await asyncio.to_thread(verify, version.artifact_path, version.digest)
        except (OSError, RuntimeError, MemoryError) as error:  # RuntimeError: no thread could be started
            words = f"Its bytes cannot be read now ({type(error).__name__}: {error}). It is tried again."
            if one.start == start and not one.is_leaving and one.message != words:
                log.warning("%s: %s", version.key, words)
                one.message = words
            return False
        return True

    def _on_change(self, one: Loaded, group: InstanceGroup) -> None:
        if group not in (one.group, one.successor):
            return
        if one.is_leaving:
            if one.has_lane and group is one.group:  # another follows one that is lost, for what was accepted
                self._lanes.wake(one.version.key)
            return
        self._look_at_successor(one)
        present = one.group
        if present is None or group is one.successor or one.state is LoadState.CHECKING:
            return  # while its bytes are read again, the group there is will be superseded
        if present.ready_instances():
            if one.state is not LoadState.READY:
                one.load_ns = self._clock.now_ns() - one.started_ns
                one.move(Event.INSTANCE_READY)
                self._open_lane(one)
                log.info("%s is ready", one.version.key)
            self._changed()
            self._lanes.wake(one.version.key)
        elif present.failed and one.state is not LoadState.QUARANTINED:
            self._fail(one, Event.GAVE_UP, present.message)
        else:
            one.follow_stage()

    def _look_at_successor(self, one: Loaded) -> None:
        """Let it take over once it is complete, or answers while nothing else does; drop it if it will never answer."""
        successor, present = one.successor, one.group
        if successor is None:
            return
        if is_complete(successor, one.instances) or (
            successor.ready_instances() and not (present and present.ready_instances())
        ):
            one.group, one.successor, one.message = successor, None, ""
            self._open_lane(one)
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
        for one in self.of(model):
            group = one.group
            if group is not None and group.failed and group.ready_instances() and not one.is_leaving:
                group.set_wanted(one.instances)

    def _open_lane(self, one: Loaded) -> None:
        """Let requests come, to its instances or to wait for the first."""
        model = self.models.get(one.version.model)
        if model is not None:
            one.has_lane = True
            self._lanes.attach(one.version.key, one.group or NoInstances(one.version), model.policy)

    def _close_lane(self, one: Loaded, how: str) -> None:
        """What still waits is refused, and may come back."""
        if one.has_lane:
            one.has_lane = False
            words = f"Version {one.version.number} of '{one.version.model}' {how}."
            self._lanes.detach(one.version.key, NotReady(Reason.NOT_READY, words, RETRY_WHILE_LOADING_NS))

    def _fail(self, one: Loaded, event: Event, message: str) -> None:
        log.error("%s failed: %s", one.version.key, message)
        if event is Event.DIGEST_WRONG and one.state is LoadState.READY:
            one.message = f"The change could not be applied: {message}"
            return
        one.move(event, message)
        self._close_lane(one, "has failed")
        if event is Event.DIGEST_WRONG:
            for group in one.release():
                self._spawn(self._retire(one, group))
        self._changed()

    async def _unload(self, one: Loaded) -> None:
        key = one.version.key
        self._changed()
        limit_ns = self._clock.now_ns() + DRAIN_LIMIT_NS
        while one.has_lane and not self._lanes.is_idle(key) and self._clock.now_ns() < limit_ns:
            await asyncio.sleep(_DRAIN_LOOK_S)
        self._close_lane(one, "has been unloaded")
        for group in one.groups:
            await group.stop()
        one.move(Event.LAST_PROCESS_GONE)
        if self.loaded.get(key) is one:
            del self.loaded[key]
        log.info("unloaded %s", key)
        self._changed()
        self._try_again(one.version.model)

    def _spawn(self, work: asyncio.Future[None] | object) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("the model manager's work failed", exc_info=task.exception())
