"""The instances of one version: as many as wanted, replaced when lost, given up when starting is pointless.

Place: made by the model manager, read by the scheduler's lane. Rules: `on_change` comes after the batch of a lost
instance has been answered; a group in quarantine starts nothing until `set_wanted`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence

from proxy.core.clock import Clock
from proxy.core.instance_reports import OrderOutcome
from proxy.core.policies import ExecutionPolicy
from proxy.core.reports import InstanceReport
from proxy.core.snapshot import VersionSnapshot
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.instances import restart as restarts
from proxy.instances.exits import ExitLog
from proxy.instances.instance import WORKER_MODULE, Instance
from proxy.instances.log import in_words
from proxy.instances.restart import RestartRecord
from proxy.instances.sizes import threads_of
from proxy.instances.state import COMING, LIVE, Event, InstanceState
from proxy.instances.supervisor import InstanceView, may_judge, outgrown, renew_pause_ns, verdict

logger = logging.getLogger(__name__)

STARTS_AT_ONCE = 2
"""Instances that may load at the same time in one group: importing the libraries takes a core for seconds each."""
SLOWEST_TICK_NS = 250 * NS_PER_MS
FASTEST_TICK_NS = 10 * NS_PER_MS
MEMORY_LOOK_EVERY_NS = NS_PER_S


class InstanceGroup:
    """See the module. Everything runs on the event loop's thread."""

    def __init__(
        self,
        version: VersionSnapshot,
        policy: ExecutionPolicy,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        on_change: Callable[[InstanceGroup], None],
        worker_module: str = WORKER_MODULE,
        exits: ExitLog | None = None,
    ) -> None:
        self.version = version
        self.policy = policy
        self.wanted = 0
        self.restarts = 0
        self.message = ""
        self.sandbox: Mapping[str, str] = {}
        self._loop = loop
        self._clock = clock
        self._on_change = on_change
        self._worker_module = worker_module
        self._instances: list[Instance] = []
        self._exits = exits if exits is not None else ExitLog()
        self._replacing: list[Instance] = []  # to be drained once another is ready
        self._orders: dict[Instance, str] = {}  # why each was told to end, where somebody told it
        self._record = RestartRecord()
        self._replacements_due = 0
        self._timer: asyncio.TimerHandle | None = None
        self._memory_looked_ns = self._tick_due_ns = self._renewed_ns = self._renew_pause_ns = 0
        self._was_put_off = False
        self._empty = asyncio.Event()

    @property
    def failed(self) -> bool:
        """True while in quarantine; `message` says why."""
        return self._record.is_quarantined

    @property
    def stage(self) -> InstanceState:
        """How far the one has come that will be ready next; STARTING where none is on its way."""
        coming = [instance.state for instance in self._instances if instance.state in COMING]
        return max(coming, key=COMING.index, default=InstanceState.STARTING)

    def ready_instances(self) -> Sequence[Instance]:
        """Those that may take a batch, now or when they have answered."""
        # One that is neither at work nor idle is ending.
        return [one for one in self._instances if one.state is InstanceState.READY and (one.outstanding or one.idle)]

    def all_instances(self) -> Sequence[Instance]:
        """All whose process has not ended, in the order of their start."""
        return tuple(self._instances)

    def statistics(self) -> tuple[InstanceReport, ...]:
        """One report an instance."""
        return tuple(instance.report() for instance in self._instances)

    def set_wanted(self, count: int) -> None:
        """Start or drain until `count` instances live; ends a quarantine."""
        self.wanted = count
        if self.failed:
            self._record = RestartRecord()
        self._share_cores()
        self._reconcile()

    def update_policy(self, policy: ExecutionPolicy) -> None:
        """Use other limits: time limits and threads at once, memory for instances started from now on."""
        self.policy = policy
        self._share_cores()

    def _share_cores(self) -> None:
        """Have every instance use as many threads as one that is started now; from its next execution on."""
        for instance in self._instances:
            instance.set_threads(self._threads())

    def _threads(self) -> int:
        return threads_of(self.policy.threads, len(os.sched_getaffinity(0)), self.wanted)

    def replace(self, instance: Instance, why: str) -> OrderOutcome:
        """Start another beside it and drain it once that one is ready; one that is not ready is replaced at once.

        Ends a quarantine. If no other can be started, it serves on.
        """
        if instance.state not in LIVE:
            return OrderOutcome.ENDING
        if self.failed:
            self._record = RestartRecord()
        if instance.state is not InstanceState.READY:
            return self.drain(instance, why)
        self._orders[instance] = why
        if instance not in self._replacing:
            self._replacing.append(instance)
        self._reconcile()
        return OrderOutcome.BESIDE

    def drain(self, instance: Instance, why: str) -> OrderOutcome:
        """Let it take no new batch, finish and end; another follows if as many are wanted."""
        if instance.state not in LIVE:
            return OrderOutcome.ENDING
        self._orders[instance] = why
        instance.drain()
        live = sum(other.state in LIVE for other in self._instances)
        self._reconcile()
        return OrderOutcome.REPLACED if live < self.wanted else OrderOutcome.NOT_REPLACED

    async def stop(self) -> None:
        """Drain every instance, end what does not; returns when every process is gone and given back."""
        self.wanted = 0
        self._replacements_due = 0
        self._reconcile()
        while self._instances:
            self._empty.clear()
            await self._empty.wait()  # the watchdog bounds executions and stops, so this ends
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _reconcile(self) -> None:
        self._replacing = [one for one in self._replacing if one.state is InstanceState.READY]
        live = [one for one in self._instances if one.state in LIVE and one not in self._replacing]
        self._let_go(sum(one.state is InstanceState.READY for one in live))
        surplus = len(live) - self.wanted
        if surplus >= 0:
            self._replacements_due = 0  # nobody is missing: whoever starts later replaces no one
        if surplus > 0:
            for instance in sorted(live, key=_cost_of_loss)[:surplus]:
                instance.drain()
        elif surplus < 0 and not self.failed and self._clock.now_ns() >= self._record.not_before_ns:
            starting = sum(instance.state in COMING for instance in live)
            for _ in range(min(-surplus, STARTS_AT_ONCE - starting)):
                if not self._start_one():
                    break
        self._keep_ticking()

    def _let_go(self, ready: int) -> None:
        """Drain those that are to be replaced, as far as `ready` others are there instead."""
        surplus = ready + len(self._replacing) - self.wanted
        for instance in self._replacing[: max(surplus, 0)]:
            instance.drain()

    def _start_one(self) -> bool:
        instance = Instance(
            self.version,
            self.policy,
            loop=self._loop,
            clock=self._clock,
            on_event=self._on_instance_event,
            worker_module=self._worker_module,
            threads=self._threads(),
        )
        try:
            instance.start()
        except (OSError, MemoryError) as error:
            self._record = restarts.after_refused_start(self._record, self._clock.now_ns())
            self.message = f"A process could not be started: {str(error) or 'no memory'}. It is tried again."
            self._loop.call_soon(self._on_change, self)
            return False
        except ValueError as error:
            self._on_failed_start(str(error))
            self._loop.call_soon(self._on_change, self)
            return False
        if self._replacements_due:
            self._replacements_due -= 1
            self.restarts += 1
        self._instances.append(instance)
        self._empty.clear()
        return True

    def _on_instance_event(self, instance: Instance, event: Event) -> None:
        if event is Event.FIRST_EXECUTION:
            self._record = restarts.after_first_execution(self._record)
            return
        if event is Event.STAGE:
            self._on_change(self)
            return
        if event is Event.READY:
            self._record = restarts.after_ready(self._record)
            self.sandbox = instance.sandbox
            self.message = ""
        elif event is Event.LOST:
            self._on_lost(instance)
        else:
            self._instances.remove(instance)
            self._exits.note(instance, self._clock.now_ns(), self._orders.pop(instance, ""))
            if not self._instances:
                self._empty.set()
        self._reconcile()
        self._on_change(self)

    def _on_lost(self, instance: Instance) -> None:
        last_words = in_words(instance.printed(), 20)
        logger.warning("instance %s was lost: %s\n%s", instance.instance_id, instance.message, last_words)
        if instance.was_ready:
            self.message = str(instance.message)
            self._replacements_due += 1
            if not instance.loss_is_explained:
                self._record = restarts.after_loss(self._record, instance.executions, self._clock.now_ns())
        else:
            self._replacements_due += 1
            self._on_failed_start(str(instance.message))

    def _on_failed_start(self, words: str) -> None:
        self._record = restarts.after_failed_start(self._record, self._clock.now_ns())
        self.message = words
        if self.failed:
            count = self._record.failed_starts
            self.message = f"Given up after {count} failed starts in a row. The last one: {words}"
            logger.error("group %s: %s", self.version.key, self.message)

    def _keep_ticking(self) -> None:
        if self._timer is None and (self._instances or (self.wanted and not self.failed)):
            tick_ns = min(max(self.policy.timeout_ns // 10, FASTEST_TICK_NS), SLOWEST_TICK_NS)
            self._tick_due_ns = self._clock.now_ns() + tick_ns
            self._timer = self._loop.call_later(tick_ns / NS_PER_S, self._tick)

    def _tick(self) -> None:
        """Watch every instance; start what is due."""
        self._timer = None
        now_ns = self._clock.now_ns()
        self._was_put_off = not may_judge(self._tick_due_ns, self._was_put_off, now_ns, self.policy.timeout_ns)
        if self._was_put_off:
            self._keep_ticking()
            return
        with_memory = now_ns - self._memory_looked_ns >= MEMORY_LOOK_EVERY_NS
        if with_memory:
            self._memory_looked_ns = now_ns
        for instance in tuple(self._instances):
            view = instance.view(with_memory=with_memory)
            kill = verdict(view, self.policy, now_ns)
            if kill is not None:
                instance.kill(kill)
            else:
                instance.tend(now_ns)
                self._renew_if_outgrown(instance, view, now_ns)
        self._reconcile()

    def _renew_if_outgrown(self, instance: Instance, view: InstanceView, now_ns: int) -> None:
        """Have another take over, before the limit fails its executions, from one whose memory grows without end."""
        since_ns = now_ns - self._renewed_ns
        if self.failed or self._replacing or since_ns < self._renew_pause_ns:
            return
        why = outgrown(view, self.policy)
        if why is not None:
            logger.warning("instance %s is replaced: %s", instance.instance_id, why)
            self._renewed_ns, self._renew_pause_ns = now_ns, renew_pause_ns(self._renew_pause_ns, since_ns)
            self.replace(instance, why)


def _cost_of_loss(instance: Instance) -> tuple[bool, bool, int]:
    """Order in which surplus instances are drained: not ready ones, then idle ones, then the least used."""
    return (instance.state is InstanceState.READY, instance.outstanding > 0, instance.executions)
