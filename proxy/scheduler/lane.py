"""The state of one version's lane: its queue, what runs, and what was learnt of its executions. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from proxy.core.batches import Batch
from proxy.core.errors import ProxyError
from proxy.core.policies import ModelPolicy, Oversize
from proxy.core.requests import InferenceRequest
from proxy.core.snapshot import VersionSnapshot
from proxy.scheduler.again import Again
from proxy.scheduler.batching import TIMER_NS, Dispatch, Waiting, WaitUntil, await_callers, form_batch
from proxy.scheduler.callers import Callers
from proxy.scheduler.deadlines import Deadlines
from proxy.scheduler.entries import RETRYING, RUNNING, WAITING, Entry, EntryState
from proxy.scheduler.flows import ShapeGroup, variable_inputs
from proxy.scheduler.full_groups import FullGroups
from proxy.scheduler.gradient_limit import GradientLimit, least_limit
from proxy.scheduler.latency_model import padded_size
from proxy.scheduler.measurements import Measurements
from proxy.scheduler.offenders import Offenders
from proxy.scheduler.placement import Records
from proxy.scheduler.ports import GroupPort, TimerHandle
from proxy.scheduler.queue import RequestQueue
from proxy.scheduler.retry_budget import RetryBudget
from proxy.scheduler.row_cap import RowCap


class Lane:
    """Everything that the scheduler keeps for one version."""

    __slots__ = (
        "_variable",
        "again",
        "blocked",
        "budget",
        "callers",
        "cap",
        "closed",
        "concurrency_limit",
        "deadlines",
        "default_level",
        "full_groups",
        "group",
        "in_flight",
        "is_fair",
        "key",
        "levels",
        "limit",
        "max_rows",
        "measured",
        "offenders",
        "on_timer",
        "on_turn",
        "policy",
        "policy_rows",
        "pump_due",
        "queue",
        "ready",
        "records",
        "refuses_oversize",
        "retrying",
        "timer",
        "timer_at_ns",
        "turn",
        "version",
        "waits_for_company",
    )

    def __init__(self, key: str, group: GroupPort, policy: ModelPolicy, now_ns: int) -> None:
        self.key = key
        self.group = group
        self.version: VersionSnapshot = group.version
        self.queue = RequestQueue()
        self.again = Again()
        self.retrying = self.in_flight = 0
        self.full_groups = FullGroups()
        self.deadlines = Deadlines()
        self.measured = Measurements(now_ns)
        self.callers = Callers()
        self.records = Records()
        self.budget = RetryBudget(now_ns)
        self.offenders = Offenders()
        self.cap = RowCap()
        self.limit: GradientLimit | None = None
        self.turn = 0
        self.ready = len(group.ready_instances())
        self.blocked = False
        self.pump_due = False
        self.closed: ProxyError | None = None
        self.timer: TimerHandle | None = None
        self.timer_at_ns = 0
        self.on_timer: Callable[[], None] = _nothing
        self.on_turn: Callable[[], None] = _nothing
        self._variable = variable_inputs(self.version)
        self.apply(policy)

    def apply(self, policy: ModelPolicy) -> None:
        """Follow `policy` from now on; what waits goes on waiting, in the level and under the key that it had."""
        self.policy = policy
        batching, queue = policy.batching, policy.queue
        batchable = self.version.batchable
        padded = batching.padded_rows if batchable else ()
        self.measured.latency.padded = padded
        largest = max(batching.max_rows, 1) if batchable else 1
        self.policy_rows = min(largest, padded[-1]) if padded else largest
        self.max_rows = min(self.policy_rows, self.cap.rows or self.policy_rows)
        self.refuses_oversize = batchable and batching.oversize is Oversize.REFUSE
        self.waits_for_company = batchable and batching.max_delay_ns > 0
        self.levels = max(queue.priority_levels, 1)
        self.default_level = min(max(queue.default_priority, 1), self.levels)
        self.is_fair = queue.fair_share
        self.queue.ageing_ns = queue.ageing_ns
        self.queue.contention.follow(queue.contended_rows, padded)
        self.concurrency_limit = policy.admission.concurrency_limit
        if not policy.admission.adaptive_limit:
            self.limit = None
        elif self.limit is None:
            self.limit = GradientLimit(self._least())
        self.blocked = False

    def exchange(self, group: GroupPort, policy: ModelPolicy) -> None:
        """Let what waits and comes go to another group of the same version, which blames nobody; what runs goes on."""
        self.offenders = Offenders()
        self.group = group
        self.version = group.version
        self._variable = variable_inputs(self.version)
        self.apply(policy)

    def place_of(self, request: InferenceRequest) -> tuple[int, str]:
        """Its level (1 goes first; the lowest there is for one lower than that), and whose it is."""
        level = min(request.priority, self.levels) if request.priority else self.default_level
        return level, request.principal_id if self.is_fair else ""

    def shape_key(self, request: InferenceRequest, now_ns: int) -> Hashable:
        """What two requests must share to run together: trailing shapes; None where the signature fixes them all.

        A key of its own for one that is known to make executions fail.
        """
        if self.offenders.are_known and self.offenders.is_known(request, now_ns):
            return object()
        if not self._variable:
            return None
        inputs = request.inputs
        return tuple([inputs[index].shape[1:] for index in self._variable])

    @property
    def is_idle(self) -> bool:
        """Nothing waits or runs."""
        return not (self.queue.depth or self.retrying or self.in_flight or self.measured.running)

    @property
    def depth(self) -> int:
        """Requests that wait, those to be run again included."""
        return self.queue.depth + self.retrying

    def limit_now(self) -> int:
        """How many requests may wait or run, the smaller of what was set and what was learnt; 0: no limit."""
        learnt, was_set = self.limit.now(self._least()) if self.limit is not None else 0, self.concurrency_limit
        return min(learnt, was_set) if learnt and was_set else learnt or was_set

    def move(self, entry: Entry, state: EntryState) -> None:
        """Take `entry` out of where it counts and put it into `state` (RETRYING or DONE)."""
        old = entry.state
        entry.state = state
        if old is WAITING:
            self.queue.discard(entry)
        elif old is RETRYING:
            self.retrying -= 1
        elif old is RUNNING:
            self.in_flight -= 1
        if state is RETRYING:
            self.retrying += 1

    def note_service(self, instance_id: str, batch: Batch, service_ns: int, now_ns: int) -> None:
        """Learn from one execution that gave outputs."""
        measured = self.measured
        measured.executed(batch, service_ns)
        self.callers.answered(len(batch.requests), measured.latency.alpha_ns, now_ns)
        record = self.records.get(instance_id)
        if record is not None and self.ready > 1:
            record.response.observe(service_ns / max(measured.latency.predict_ns(batch.rows), 1), now_ns)
        if record is not None:
            record.idle_ns = now_ns
        if self.limit is not None:
            bounds = self.policy.admission
            self.limit.observe(service_ns, self.depth + self.in_flight, self._least(), bounds.max_limit, now_ns)

    def ran_out(self, rows: int, now_ns: int) -> None:
        """An execution of `rows` ran out of memory: smaller ones for a while."""
        self.cap.ran_out(rows, now_ns)
        self.max_rows = self.cap.bound(self.policy_rows, now_ns)

    def next_batch(self, idle: int, now_ns: int, expired: list[Entry]) -> list[Entry] | WaitUntil:
        """What one of `idle` instances runs next (maybe nothing: all had expired), or until when to wait for company.

        Something waits; whatever is returned but WaitUntil makes that less, so a caller that repeats comes to an end.
        """
        if self.cap.rows:
            self.max_rows = self.cap.bound(self.policy_rows, now_ns)
        group = self.queue.head_group()
        if group is None:
            raise AssertionError(f"{self.queue.depth} wait in {self.key}, but none is first")
        contention = self.queue.contention
        contention.look(now_ns)
        most = contention.bound(self.max_rows)
        if self.waits_for_company:
            decision = self._form_batch(group, most, idle, now_ns)
            if isinstance(decision, WaitUntil):
                full = self.full_groups.first(most)
                if full is None:
                    return decision
                group = full
            elif decision.rows:
                most = decision.rows
        elif idle == 1 and most > 1:
            waits = self._await_callers(group.rows, most, group.earliest_ns - TIMER_NS, now_ns)
            if isinstance(waits, WaitUntil):
                return waits
        taken = self.queue.take(group, most, now_ns, self.measured.latency)
        if not (taken.entries or taken.expired):
            raise AssertionError(f"{self.queue.depth} wait in {self.key}, but none can be taken")
        expired.extend(taken.expired)
        return taken.entries

    def padded_rows(self, rows: int) -> int:
        """How many rows are executed for `rows`; 0: as many."""
        size = padded_size(rows, self.measured.latency.padded)
        return size if size != rows else 0

    def run_again(self, parts: Sequence[list[Entry]], suspects: Sequence[Entry], now_ns: int) -> None:
        """Let `parts` run next, in this order, and each of `suspects` alone when it may."""
        for part in (*parts, suspects):
            for entry in part:
                self.move(entry, RETRYING)
            self.measured.retried += len(part)
        self.again.put_first(parts)
        self.again.suspect(suspects, now_ns)

    def abandon(self) -> list[Entry]:
        """Take everything that waits out of the lane, in order; what runs goes on."""
        waiting = self.again.drain()
        waiting.extend(self.queue.drain())
        self.full_groups.clear()
        return waiting

    def _least(self) -> int:
        return least_limit(self.policy.admission.min_limit, self.max_rows, self.ready)

    def _form_batch(self, group: ShapeGroup, most: int, idle: int, now_ns: int) -> Dispatch | WaitUntil:
        measured, head = self.measured, group.head(self.queue.ageing_ns)
        oldest_ns = head.request.queued_ns if head is not None else now_ns
        gap_ns, arrived_ns = int(measured.gap_ns), measured.arrived_ns
        earliest_ns = group.earliest_ns - TIMER_NS
        waiting = Waiting(group.rows, group.live, oldest_ns, earliest_ns, gap_ns, arrived_ns, idle)
        return form_batch(waiting, measured.latency, most, self.policy.batching, now_ns)

    def _await_callers(self, rows: int, most: int, deadline_ns: int, now_ns: int) -> Dispatch | WaitUntil | None:
        callers = self.callers
        expected = callers.expected(now_ns) if rows == self.queue.rows else 0
        if not expected:
            return None
        service_ns = self.measured.latency.predict_ns(rows + expected)
        return await_callers(rows, expected, callers.until_ns, deadline_ns, service_ns, most, now_ns)


def _nothing() -> None:
    """Until the scheduler has given its own."""
