"""Composition root of the data plane: makes the rooms, wires them, starts and stops them on the running event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from proxy.cache.budget import budget_bytes
from proxy.cache.cache import ResultCache
from proxy.control.feed import Feed, LoadSnapshot
from proxy.core.errors import Unauthenticated
from proxy.core.instance_reports import ExitReport
from proxy.core.outage import Outage, in_words, trace_of
from proxy.core.policies import ExecutionPolicy
from proxy.core.principals import KEY_PRINCIPAL, Principal
from proxy.core.reports import MachineReport, SecondReport
from proxy.core.request_reports import RequestQuery, RequestReport
from proxy.core.requests import Answer
from proxy.core.snapshot import EMPTY_SNAPSHOT, Snapshot, VersionSnapshot
from proxy.core.units import NS_PER_S
from proxy.endpoint.extensions import Extensions, SetLoaded, no_control_plane
from proxy.endpoint.listener import InferenceServer
from proxy.instance_orders import InstanceOrders
from proxy.instances.exits import ExitLog
from proxy.instances.group import InstanceGroup
from proxy.metrics.machine import MachineProbe, host_memory_bytes
from proxy.metrics.metrics import Metrics
from proxy.metrics.request_reading import read_requests
from proxy.model_manager.model_manager import ModelManager
from proxy.pipeline import Pipeline
from proxy.protocol.limits import DEFAULT_LIMITS, Limits
from proxy.protocol.media import Headers
from proxy.scheduler.scheduler import Scheduler
from proxy.system import SystemClock, mark, unix_time_s
from proxy.tuner.rollout_guard import RolloutGuard

if TYPE_CHECKING:
    from proxy.cache.second_level import SecondLevel

log = logging.getLogger(__name__)

T = TypeVar("T")
WriteReport = Callable[[SecondReport], None]


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """Where the inference port listens and how patient the shell is. `inference_port` 0 takes a free one.

    `memory_budget_bytes` is what all instances together may take; 0: 90 % of the host less what others use.
    `cache_budget_bytes` is what the cached answers of all models may take; 0: an eighth of the host. `cache_redis_url`
    is a Redis through which servers with the same `cache_secret` share the answers of models that opt in; empty: none.
    With `strict_readiness` the server is ready only while every model is.
    """

    host: str = "127.0.0.1"
    inference_port: int = 8001
    feed_interval_s: float = 1.0
    drain_timeout_s: float = 8.0
    limits: Limits = DEFAULT_LIMITS
    memory_budget_bytes: int = 0
    cache_budget_bytes: int = 0
    cache_redis_url: str = field(default="", repr=False)
    cache_secret: bytes = field(default=b"", repr=False)
    strict_readiness: bool = False


class Runtime:
    """The running data plane of one process. All methods but the constructor run on its event loop."""

    # Longer than any deadline that a policy can give, so that a thread waiting for an answer always gets it.
    longest_wait_s = 3_700.0

    def __init__(
        self,
        config: RuntimeConfig,
        load_snapshot: LoadSnapshot,
        write_report: WriteReport,
        set_loaded: SetLoaded = no_control_plane,
    ) -> None:
        self.config = config
        self.latest_report: SecondReport | None = None
        self.inference_port: int | None = None
        self._load_snapshot = load_snapshot
        self._write_report = write_report
        self._set_loaded = set_loaded
        self.exits = ExitLog()
        self._subscribers: set[Callable[[SecondReport], object]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._sequence = 0
        self._writing: asyncio.Future[None] | None = None
        self._writes, self._reporting = Outage(), Outage()

    async def start(self) -> None:
        """Wire the rooms and begin listening. Raises OSError when the inference port is taken."""
        self.loop = asyncio.get_running_loop()
        self.clock = SystemClock()
        self.metrics = Metrics(mark())
        self.second_level = self._make_second_level()
        cache_bytes = budget_bytes(self.config.cache_budget_bytes, host_memory_bytes())
        loop, faults = self.loop, self.metrics.own_faults
        self.cache = ResultCache(self.clock, cache_bytes, self.second_level, faults)
        self.scheduler = Scheduler(
            self.clock, loop.call_later, meter=self.metrics, call_soon=loop.call_soon, faults=faults
        )
        self.manager = ModelManager(self.scheduler, self._make_group, self.clock, self.config.memory_budget_bytes)
        self.orders = InstanceOrders(self.manager.all_groups)
        self.machine = MachineProbe()
        self.guard = RolloutGuard()
        self.pipeline = Pipeline(
            self.clock, unix_time_s, self.manager, self.cache, self.scheduler, self.metrics, self.config.limits
        )
        self.pipeline.strict_readiness = self.config.strict_readiness
        self.extensions = Extensions(
            self.pipeline, self.manager, self.metrics.versions, self.clock, self._set_loaded, self.feed_soon
        )
        self.server = InferenceServer(self.pipeline, self.clock, extensions=self.extensions)
        self.inference_port = await self.server.start(self.config.host, self.config.inference_port)
        if self.second_level is not None:
            self.second_level.start()
        self.feed = Feed(self._load_snapshot, self.apply, self.config.feed_interval_s)
        self._tasks = [self.loop.create_task(self.feed.run()), self.loop.create_task(self._report_each_second())]
        log.info("inference port listening on %s:%d", self.config.host, self.inference_port)

    async def stop(self) -> None:
        """Take no new request, finish those accepted, end every instance."""
        self.pipeline.is_leaving = True
        await self.server.drain(self.config.drain_timeout_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.manager.stop()
        if self.second_level is not None:
            await self.second_level.stop()
        self.pipeline.close()

    def apply(self, snapshot: Snapshot) -> None:
        """Hand each room its part of a new wanted state."""
        snapshot = self.guard.follow(snapshot)
        old = getattr(self.pipeline, "snapshot", EMPTY_SNAPSHOT)
        for name in old.models.keys() - snapshot.models.keys():
            self.cache.forget(name)
        for name, model in snapshot.models.items():
            before = old.models.get(name)
            if before is None or before.policy.cache != model.policy.cache:
                self.cache.configure(name, model.policy.cache)
        self.pipeline.snapshot = snapshot
        self.pipeline.shadows.apply(snapshot)
        self.manager.apply(snapshot)

    def serving(self, model: str) -> int | None:
        """The version that answers requests which name none, if one does. Safe from any thread."""
        return self.manager.routes.defaults.get(model)

    def subscribe(self, callback: Callable[[SecondReport], object]) -> Callable[[], None]:
        """Call `callback` with each second's report; returns the function that ends it."""
        self._subscribers.add(callback)
        return lambda: self._subscribers.discard(callback)

    def feed_soon(self) -> None:
        """Read the wanted state at once. Safe from any thread."""
        self.loop.call_soon_threadsafe(self.feed.soon)

    def key_holder(self, authorization: bytes) -> Principal | None:
        """Whose key the header carries; None if it is not a valid one."""
        try:
            return self.pipeline.authenticate(authorization)
        except Unauthenticated:
            return None

    def purge_cache(self, model: str | None = None, version_digest: str | None = None) -> None:
        """Drop cached answers of `model` (or of one of its artifacts), or all. Safe from any thread."""
        self.loop.call_soon_threadsafe(self.cache.purge, model, version_digest)

    def requests(self, query: RequestQuery) -> tuple[RequestReport, ...]:
        """Remembered requests. Safe from any thread."""
        return read_requests(self.metrics.requests, query, self.clock.now_ns(), unix_time_s())

    def instance_exits(self) -> tuple[ExitReport, ...]:
        """How instances ended lately. Safe from any thread."""
        return self.exits.reports(self.clock.now_ns(), unix_time_s())

    def on_loop(self, function: Callable[[], T], limit_s: float = 5.0) -> T:
        """The result of `function`, called on the event loop, for a caller in another thread.

        Raises TimeoutError; then it is not called later either, so that who was told "no" finds nothing done.
        """
        done: Future[T] = Future()

        def call() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                done.set_result(function())
            except Exception as error:
                done.set_exception(error)

        self.loop.call_soon_threadsafe(call)
        try:
            return done.result(limit_s)
        except TimeoutError:
            if done.cancel():
                raise
            return done.result(limit_s)  # it is being called just now

    async def infer(
        self, principal: Principal, model: str, version: str | None, body: bytes, headers: Headers = ()
    ) -> Answer:
        """Answer a V2 body for an authenticated caller; a cancelled caller takes its queued work with it."""
        return await self.pipeline.answer(principal, model, version, body, headers)

    def _make_second_level(self) -> SecondLevel | None:
        """The shared cache, where there is one. Raises ValueError for an address that is none."""
        if not self.config.cache_redis_url:
            return None
        from proxy.cache.second_level import SecondLevel  # Redis' client is loaded only where one is used

        return SecondLevel(self.config.cache_redis_url, self.config.cache_secret, self.clock, unix_time_s)

    def _make_group(
        self, version: VersionSnapshot, execution: ExecutionPolicy, on_change: Callable[[InstanceGroup], None]
    ) -> InstanceGroup:
        return InstanceGroup(
            version, execution, loop=self.loop, clock=self.clock, on_change=on_change, exits=self.exits
        )

    async def _report_each_second(self) -> None:
        # In the middle of a second, so that a timer's jitter never counts one second twice and none at all.
        next_ns = self.clock.now_ns() + round((0.5 - unix_time_s() % 1) * NS_PER_S)
        while True:
            next_ns = max(next_ns + NS_PER_S, self.clock.now_ns())
            await asyncio.sleep((next_ns - self.clock.now_ns()) / NS_PER_S)
            try:
                self._publish(await asyncio.to_thread(self.machine.read))
            except Exception as error:
                if self._reporting.failed(error):
                    log.exception("seconds cannot be reported; serving goes on")
            else:
                if self._reporting.worked():
                    log.info("seconds are reported again")

    def _publish(self, machine: MachineReport) -> None:
        """Close the second and hand its report to everyone who wants it; a subscriber's fault is its own."""
        self._sequence += 1
        lanes, instances = self.scheduler.statistics(), self.manager.instance_statistics()
        self.manager.look(lanes, machine, instances)
        caches = self.cache.statistics()
        report = self.metrics.second(
            at_unix_s=int(unix_time_s()),
            sequence=self._sequence,
            generation=self.pipeline.snapshot.generation,
            lanes=lanes,
            cache=caches,
            versions=self.manager.statistics(),
            instances=instances,
            machine=machine,
        )
        keys_used, self.pipeline.keys_used = self.pipeline.keys_used, set()
        keys = tuple(key.removeprefix(KEY_PRINCIPAL) for key in keys_used)
        shadows, wakes = self.pipeline.shadows.reports(), self.manager.woken
        report = replace(report, keys_used=keys, shadows=shadows, wakes=wakes, caches=caches)
        if self.guard.look(report):
            log.error("a canary's errors are surely more than the default version's: %s", self.guard.stopped)
            self.apply(self.pipeline.snapshot)
        report = replace(report, stopped=self.guard.stopped)
        self.latest_report = self.pipeline.latest_report = report
        for callback in tuple(self._subscribers):
            try:
                callback(report)
            except Exception:
                log.exception("a subscriber of the second's report failed")
        self._keep(report)

    def _keep(self, report: SecondReport) -> None:
        """Write the report in a thread; a slow or dead database drops seconds, never piles them up (F13, F14)."""
        if self._writing is not None and not self._writing.done():
            return
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._write_report, report))
        self._writing.add_done_callback(self._written)

    def _written(self, future: asyncio.Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None and self._writes.failed(error):
            words = "measurements cannot be kept; serving goes on: %s"
            log.error(words, in_words(error), exc_info=trace_of(error))
        elif error is None and self._writes.worked():
            log.info("measurements are kept again")
