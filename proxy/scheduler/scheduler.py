"""Moves requests from submission to one answer: admit, queue, batch, place, and again if an execution fails.

Place: after the cache; called by the pipeline for each request and by the groups when an instance becomes idle.
Rules: each request is answered exactly once; an expired or cancelled one that has not begun is never executed; no task
or future per request; one timer a lane. The next batch is sent before the last one's answers are written.
Errors go to `on_done` as values; nothing here raises for load.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from proxy.core.batches import Batch, BatchFault, BatchResult, Run
from proxy.core.clock import Clock
from proxy.core.errors import ProxyError
from proxy.core.own_faults import OwnFaults, Place
from proxy.core.policies import ModelPolicy
from proxy.core.requests import InferenceRequest
from proxy.core.units import NS_PER_S
from proxy.scheduler import refusals
from proxy.scheduler.batching import TIMER_NS, WaitUntil
from proxy.scheduler.entries import RETRYING, WAITING, Entry, OnDone
from proxy.scheduler.expected import Expected
from proxy.scheduler.gate import ask
from proxy.scheduler.lane import Lane
from proxy.scheduler.placement import place
from proxy.scheduler.ports import Chance, GroupPort, InstancePort, MeterPort, TimerHandle
from proxy.scheduler.reading import read
from proxy.scheduler.recovery import recover
from proxy.scheduler.register import Register
from proxy.scheduler.starting import begin
from proxy.scheduler.statistics import LaneStatistics

logger = logging.getLogger(__name__)

# Shortest timer asked for. A shorter one may fire early and spin.
SHORTEST_TIMER_S = TIMER_NS / NS_PER_S


class Scheduler:
    """One lane a version. Everything happens on one thread.

    Args:
        clock: time of arrival, deadlines and delays; `call_later(delay_s, fn)` gives a handle with `cancel()`.
        meter: counts executions.
        call_soon: with it, a batch leaves when the loop's turn ends, so that what arrived together runs together.
        chance: for placement and the spread of hints to return; seeded where runs must repeat.
        faults: counts the scheduler's own.
    """

    def __init__(
        self,
        clock: Clock,
        call_later: Callable[[float, Callable[[], None]], TimerHandle],
        *,
        meter: MeterPort | None = None,
        call_soon: Callable[[Callable[[], None]], Any] | None = None,
        chance: Chance | None = None,
        faults: OwnFaults | None = None,
    ) -> None:
        self._now_ns, self._call_later, self._call_soon = clock.now_ns, call_later, call_soon
        self._meter = meter
        self._chance: Chance = chance or random.Random()  # noqa: S311  nothing secret
        self._lanes: dict[str, Lane] = {}
        self.expected = Expected()
        self.faults, self._batches = faults or OwnFaults(), 0
        self._register = Register(self._on_fault)

    def attach(self, version_key: str, group: GroupPort, policy: ModelPolicy) -> None:
        """Open the lane of a version, or give its open lane other instances: what waits goes to those."""
        open_lane = self._lanes.get(version_key)
        if open_lane is not None:
            open_lane.exchange(group, policy)
            self.wake(version_key)
            return
        lane = Lane(version_key, group, policy, self._now_ns())
        lane.on_timer = partial(self._on_timer, lane)
        lane.on_turn = partial(self._pump, lane)
        self._lanes[version_key] = lane

    def update_policy(self, version_key: str, policy: ModelPolicy) -> None:
        """Follow another policy from now on; nothing that waits or runs is lost. Unknown versions are ignored."""
        lane = self._lanes.get(version_key)
        if lane is not None and lane.policy != policy:
            lane.apply(policy)
            self._pump(lane)

    def detach(self, version_key: str, error: ProxyError) -> None:
        """Close the lane: what waits ends with `error`, what runs is still answered. Unknown versions are ignored."""
        lane = self._lanes.pop(version_key, None)
        if lane is not None:
            lane.closed = error
            self._register.end_all(lane, lane.abandon(), error)

    def submit(self, request: InferenceRequest, on_done: OnDone) -> None:
        """Take a request on; `on_done` is called exactly once, before this returns only if the request is refused."""
        lane = self._lanes.get(request.version.key)
        if lane is None:
            on_done(request, refusals.not_loaded(request.version))
            return
        now_ns, measured = self._now_ns(), lane.measured
        level, key = lane.place_of(request)
        verdict = ask(lane, request, level, key, now_ns, self._chance)
        if isinstance(verdict, ProxyError):
            measured.rejected += 1
            measured.count(verdict.reason)
            on_done(request, verdict)
            return
        measured.requests += 1
        lane.callers.came(now_ns)
        if lane.waits_for_company:
            measured.came(now_ns)
        request.queued_ns = now_ns
        if request.rows > lane.max_rows and lane.version.batchable:
            self._register.queue_parts(lane, request, on_done, level, key, now_ns)
        else:
            entry = Entry(request, request.rows if lane.version.batchable else 1, on_done)
            self._register.queue(lane, entry, request, level, key, now_ns)
        if verdict is not None:  # only now: nobody gives a place up for one that could not be queued
            self._register.displace(lane, verdict, now_ns, self._chance)
        if not lane.blocked:
            self._pump_soon(lane)
        if lane.timer is None or request.deadline_ns < lane.timer_at_ns:
            self._arm(lane, request.deadline_ns, now_ns)

    def join(self, leader: InferenceRequest, follower: InferenceRequest) -> None:
        """`follower` waits for `leader`'s execution, which goes when the better placed of the two would."""
        self._register.join(leader, follower, self._now_ns())

    def cancel(self, request: InferenceRequest) -> None:
        """The client left: out of the queue, or its result dropped. Ignored if it was answered already."""
        self._register.cancel(request)

    def wake(self, version_key: str) -> None:
        """An instance became ready, or was lost, or the group has failed."""
        lane = self._lanes.get(version_key)
        if lane is None:
            return
        lane.blocked = False
        lane.ready = len(lane.group.ready_instances())
        if lane.group.failed and lane.ready == 0:
            self._register.end_all(lane, lane.abandon(), refusals.no_instance(lane.version))
            return
        self._pump(lane)

    def is_idle(self, version_key: str) -> bool:
        """True if nothing of the version waits or runs (or it has no lane), nor is expected."""
        lane = self._lanes.get(version_key)
        return version_key not in self.expected and (lane is None or lane.is_idle)

    def statistics(self) -> Mapping[str, LaneStatistics]:
        """The numbers of every open lane, by version key."""
        now_ns = self._now_ns()
        return {key: read(lane, now_ns) for key, lane in self._lanes.items()}

    def _pump_soon(self, lane: Lane) -> None:
        """Pump at once, or where the loop's turn ends."""
        if self._call_soon is None:
            self._pump(lane)
        elif not lane.pump_due:
            lane.pump_due = True
            self._call_soon(lane.on_turn)

    def _pump(self, lane: Lane) -> None:
        """Send batches while an instance is idle and something waits. Never raises: whom a fault meets is answered."""
        lane.pump_due = False
        expired: list[Entry] = []
        try:
            self._send(lane, expired)
        except Exception as error:
            self._on_fault(Place.FORMING, f"an execution of {lane.key} could not be formed", error)
            self._register.end_stranded(lane, expired, refusals.not_formed())
            self._call_later(SHORTEST_TIMER_S, lane.on_turn)
        if expired:
            lane.measured.expired += sum(not entry.part for entry in expired)
            self._register.end_all(lane, expired, refusals.expired_waiting())

    def _send(self, lane: Lane, expired: list[Entry]) -> None:
        now_ns = self._now_ns()
        queue = lane.queue
        while queue.depth or lane.again:
            ready = lane.group.ready_instances()
            lane.ready = len(ready)
            idle = [instance for instance in ready if instance.idle]
            if not idle:
                lane.blocked = True
                break
            instance = idle[0]
            if lane.ready > 1:
                batches = queue.rows / lane.max_rows
                chosen = place(ready, idle, lane.policy.placement, lane.records, batches, now_ns, self._chance)
                if chosen is None:  # a busy one is worth waiting for; its end asks again
                    lane.blocked = True
                    break
                instance = chosen
            on_trial = lane.records.for_trial(ready, idle) if lane.again else None
            entries = self._next(lane, len(idle), now_ns, expired, may_try=on_trial is not None)
            if isinstance(entries, WaitUntil):
                self._arm(lane, entries.at_ns, now_ns)
                break
            if on_trial is not None and entries and entries[0].suspect_until_ns:
                instance = on_trial
            if lane.offenders.are_killers_known:
                entries = self._register.without_killers(lane, entries, now_ns, self._chance)
            if entries:
                self._start(lane, instance, entries, now_ns)

    def _next(
        self, lane: Lane, idle: int, now_ns: int, expired: list[Entry], *, may_try: bool
    ) -> list[Entry] | WaitUntil:
        """What runs next (`may_try`: a suspect, too), or until when that which waits has to wait."""
        others_wait = bool(lane.queue.depth)
        if lane.again:
            wanted, ready = lane.group.wanted, lane.ready if may_try else 0
            entries = lane.again.next(ready, wanted, now_ns, others_wait=others_wait)
            if entries is not None:
                return entries
            if not others_wait:
                return WaitUntil(lane.again.due_ns()) if lane.again else []
        return lane.next_batch(idle, now_ns, expired)

    def _start(self, lane: Lane, instance: InstancePort, entries: list[Entry], now_ns: int) -> None:
        self._batches += 1
        batch, run = begin(lane, instance, entries, self._batches, now_ns)
        try:
            instance.execute(batch, partial(self._finished, lane, run, entries))
        except Exception as error:
            self._on_fault(Place.HANDING_OVER, f"execute of {instance.instance_id} raised", error)
            if instance.idle:  # else it holds the batch, and says when that has ended
                lane.measured.ended(batch.batch_id, now_ns)
                lane.again.suspects_running -= bool(entries[0].suspect_until_ns)
            self._register.end_all(lane, entries, refusals.not_handed_over())

    def _finished(
        self, lane: Lane, run: Run, entries: list[Entry], batch: Batch, outcome: BatchResult | BatchFault
    ) -> None:
        now_ns = run.finished_ns = self._now_ns()
        lane.measured.ended(batch.batch_id, now_ns)
        lane.blocked = False
        is_suspect = bool(entries[0].suspect_until_ns)
        lane.again.suspects_running -= is_suspect
        if isinstance(outcome, BatchFault):
            self._recover(lane, entries, batch, outcome, now_ns)
            return
        try:  # whatever fails here, the answers are there
            if is_suspect or (lane.offenders.are_known and len(entries) == 1):
                lane.offenders.answered(batch.requests[0], now_ns, is_suspect=is_suspect)
            lane.note_service(run.instance_id, batch, outcome.service_ns, now_ns)
            if self._meter is not None:
                rows, requests, times = batch.rows, len(batch.requests), (outcome.input_ns, outcome.output_ns)
                self._meter.on_execution(lane.key, rows, requests, outcome.service_ns, *times)
        except Exception as error:
            self._on_fault(Place.COUNTING, f"an execution of {lane.key} could not be counted", error)
        self._pump(lane)
        self._register.deliver(lane, entries, batch, outcome)

    def _recover(self, lane: Lane, entries: list[Entry], batch: Batch, fault: BatchFault, now_ns: int) -> None:
        """Answer those who failed, run the others again. A part that failed takes the rest of its request with it."""
        try:
            recovery = recover(lane, entries, batch.requests, fault, now_ns)
            lane.run_again(recovery.again, recovery.suspects, now_ns)
            if recovery.too_large is not None:
                self._register.cut_again(lane, recovery.too_large, now_ns)
            for entry, error in recovery.failed:
                self._register.end(lane, entry, error)
        except Exception as error:
            self._on_fault(Place.SORTING, f"a failed execution of {lane.key} could not be sorted", error)
            self._register.end_all(lane, entries, refusals.not_recovered())
        if lane.closed is not None:
            self._register.end_all(lane, lane.abandon(), lane.closed)
        self._pump(lane)

    def _on_timer(self, lane: Lane) -> None:
        lane.timer = None
        now_ns = self._now_ns()
        for entry in lane.deadlines.pop_due(now_ns):
            waiting = entry.state in (WAITING, RETRYING)
            lane.measured.expired += waiting and not entry.part
            self._register.end(lane, entry, refusals.expired_waiting() if waiting else refusals.expired_running())
        if lane.closed is None:
            self._pump(lane)
        if (next_ns := lane.deadlines.next_ns()) is not None:
            self._arm(lane, next_ns, now_ns)

    def _on_fault(self, place: Place, words: str, error: Exception) -> None:
        if line := self.faults.line(place, words, error, self._now_ns()):
            logger.error("%s", line, exc_info=error)

    def _arm(self, lane: Lane, at_ns: int, now_ns: int) -> None:
        """Have the lane's one timer fire at `at_ns` or earlier."""
        if lane.timer is not None:
            if lane.timer_at_ns <= at_ns:
                return
            lane.timer.cancel()
        lane.timer_at_ns = at_ns
        lane.timer = self._call_later(max((at_ns - now_ns) / NS_PER_S, SHORTEST_TIMER_S), lane.on_timer)
