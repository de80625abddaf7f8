"""The state of one version's lane: its queue, what runs, and what was learnt of its executions. No clock, no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence

from proxy.core.batches import Batch
from proxy.core.errors import DeadlineExceeded, ProxyError, Reason
from proxy.core.policies import ModelPolicy
from proxy.core.requests import InferenceRequest
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import VARIABLE
from proxy.scheduler import refusals
from proxy.scheduler.admission import admit, predict_wait_ns
from proxy.scheduler.batching import Dispatch, WaitUntil, await_callers, form_batch
from proxy.scheduler.callers import Callers
from proxy.scheduler.deadlines import Deadlines
from proxy.scheduler.entries import RETRYING, RUNNING, WAITING, Entry, EntryState
from proxy.scheduler.latency_model import LatencyModel
from proxy.scheduler.placement import InstanceRecord
from proxy.scheduler.ports import GroupPort, InstancePort, TimerHandle
from proxy.scheduler.queue import RequestQueue, ShapeGroup
from proxy.scheduler.statistics import LaneStatistics

# Records kept of instances that are gone, before they are forgotten. Larger: rarer sweeps.
RECORD_SLACK = 16
# Shapes noted as full before stale ones are swept. Larger: rarer sweeps.
RIPE_SLACK = 16


class Lane:
    """Everything that the scheduler keeps for one version."""

    __slots__ = (
        "_busy_changed_ns",
        "_busy_ns",
        "_variable",
        "blocked",
        "callers",
        "closed",
        "deadlines",
        "executions",
        "expired",
        "group",
        "in_flight",
        "inferences",
        "key",
        "latency",
        "max_rows",
        "on_timer",
        "on_turn",
        "policy",
        "pump_due",
        "queue",
        "ready",
        "records",
        "rejected",
        "requests",
        "retried",
        "retries",
        "retrying",
        "ripe",
        "running",
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
        self.retries: deque[list[Entry]] = deque()
        self.retrying = 0
        self.ripe: deque[ShapeGroup] = deque()
        self.deadlines = Deadlines()
        self.latency = LatencyModel()
        self.callers = Callers()
        self.records: dict[str, InstanceRecord] = {}
        self.turn = 0
        self.ready = len(group.ready_instances())
        self.blocked = False
        self.pump_due = False
        self.closed: ProxyError | None = None
        self.timer: TimerHandle | None = None
        self.timer_at_ns = 0
        self.on_timer: Callable[[], None] = _nothing
        self.on_turn: Callable[[], None] = _nothing
        self.in_flight = self.running = 0
        self.requests = self.inferences = self.executions = self.expired = self.rejected = self.retried = 0
        self._busy_ns = 0
        self._busy_changed_ns = now_ns
        self._variable = _variable_inputs(self.version)
        self.apply(policy)

    def apply(self, policy: ModelPolicy) -> None:
        """Follow `policy` from now on; what waits goes on waiting."""
        self.policy = policy
        batchable = self.version.batchable
        self.max_rows = max(policy.batching.max_rows, 1) if batchable else 1
        self.waits_for_company = batchable and policy.batching.max_delay_ns > 0
        self.blocked = False

    def exchange(self, group: GroupPort, policy: ModelPolicy) -> None:
        """Let what waits, and all that comes, go to another group of the same version; what runs is still answered."""
        self.group = group
        self.version = group.version
        self._variable = _variable_inputs(self.version)
        self.apply(policy)

    def refuse(self, request: InferenceRequest, now_ns: int) -> ProxyError | None:
        """Why `request` may not wait, or None."""
        if request.deadline_ns <= now_ns:
            return DeadlineExceeded(Reason.DEADLINE_EXCEEDED, "The deadline had passed before the request was queued.")
        if self.ready == 0 and self.group.failed:
            return refusals.no_instance(self.version)
        depth = self.queue.depth + self.retrying
        if not depth and not self.blocked:
            return None
        bound, service_ns = self.policy.queue.max_requests, self.own_service_ns(request.rows)
        rejection = admit(depth, bound, self.wait_ns(), service_ns, request.deadline_ns, now_ns)
        return refusals.rejected(rejection, self.version, self.policy.queue) if rejection else None

    def shape_key(self, request: InferenceRequest) -> Hashable:
        """What two requests must share to run together: trailing shapes; None where the signature fixes them all."""
        if not self._variable:
            return None
        inputs = request.inputs
        return tuple(inputs[index].shape[1:] for index in self._variable)

    @property
    def is_idle(self) -> bool:
        """True if nothing waits or runs."""
        return not (self.queue.depth or self.retrying or self.in_flight or self.running)

    @property
    def depth(self) -> int:
        """Requests that wait, those to be run again included."""
        return self.queue.depth + self.retrying

    def wait_ns(self) -> int:
        """Predicted time until a request that joins now begins to run."""
        if not self.blocked and not self.depth:
            return 0
        latency = self.latency
        full_ns = latency.alpha_ns + latency.beta_ns * self.max_rows
        rows_ahead = self.queue.rows + self.retrying
        return predict_wait_ns(rows_ahead, self.max_rows, full_ns, self.running * latency.mean_ns // 2, self.ready)

    def own_service_ns(self, rows: int) -> int:
        """Predicted service time of the batch that a request of `rows` would join.

        Others join it, too, so it is taken to be no smaller than batches have been lately.
        """
        latency = self.latency
        batch_rows = max(min(self.queue.rows % self.max_rows + rows, self.max_rows), latency.mean_rows, rows)
        return latency.alpha_ns + latency.beta_ns * batch_rows

    def move(self, entry: Entry, state: EntryState) -> None:
        """Take `entry` out of where it counts and put it into `state` (RETRYING, RUNNING or DONE)."""
        old = entry.state
        entry.state = state
        if old is WAITING:
            self.queue.discard(entry)
        elif old is RETRYING:
            self.retrying -= 1
        elif old is RUNNING:
            self.in_flight -= 1
        if state is RUNNING:
            self.in_flight += 1
        elif state is RETRYING:
            self.retrying += 1

    def account(self, change: int, now_ns: int) -> None:
        """An execution began (`change` 1) or ended (-1)."""
        self._busy_ns += self.running * (now_ns - self._busy_changed_ns)
        self._busy_changed_ns = now_ns
        self.running += change

    def note_service(self, instance_id: str, batch: Batch, service_ns: int, now_ns: int) -> None:
        """Learn from one execution that gave outputs."""
        self.executions += 1
        self.inferences += batch.rows
        self.latency.observe(batch.rows, service_ns)
        self.callers.answered(len(batch.requests), self.latency.alpha_ns, now_ns)
        record = self.records.get(instance_id)
        if record is not None:
            record.response.observe(service_ns, now_ns)
            record.idle_ns = now_ns

    def record(self, instance: InstancePort) -> InstanceRecord:
        """The record of `instance`, made at its first turn; those of instances long gone are swept."""
        record = self.records.get(instance.instance_id)
        if record is None:
            if len(self.records) > 2 * self.ready + RECORD_SLACK:
                present = {i.instance_id for i in self.group.ready_instances()}
                self.records = {key: kept for key, kept in self.records.items() if key in present}
            record = self.records[instance.instance_id] = InstanceRecord()
        return record

    def note_ripe(self, group: ShapeGroup) -> None:
        """Remember that `group` fills a batch, so that it need not wait behind another shape's company."""
        if len(self.ripe) > self.queue.depth + RIPE_SLACK:
            noted, self.ripe = self.ripe, deque()
            for other in noted:
                other.is_ripe = other.rows >= self.max_rows
                if other.is_ripe:
                    self.ripe.append(other)
        group.is_ripe = True
        self.ripe.append(group)

    def next_batch(self, idle: int, now_ns: int, expired: list[Entry]) -> list[Entry] | WaitUntil:
        """What one of `idle` instances runs next (maybe nothing: all had expired), or until when to wait for company.

        Something waits; whatever is returned but WaitUntil makes that less, so a caller that repeats comes to an end.
        """
        group = self.queue.head_group()
        if group is None:
            msg = f"{self.queue.depth} wait in {self.key}, but none of them is first"
            raise AssertionError(msg)
        decision = self._decide(group, idle, now_ns)
        if isinstance(decision, WaitUntil):
            while self.ripe and self.ripe[0].rows < self.max_rows:
                self.ripe.popleft().is_ripe = False
            if not self.ripe:
                return decision
            group = self.ripe[0]
        latency = self.latency
        service_ns = latency.alpha_ns + latency.beta_ns * min(group.rows, self.max_rows)
        taken = self.queue.take(group, self.max_rows, now_ns, now_ns + service_ns)
        expired.extend(taken.expired)
        return taken.entries

    def run_again(self, parts: Sequence[list[Entry]]) -> None:
        """Let `parts` run next, in this order."""
        for part in reversed(parts):
            for entry in part:
                self.move(entry, RETRYING)
            if part:
                self.retried += len(part)
                self.retries.appendleft(part)

    def next_retry(self) -> list[Entry]:
        """The next faulted batch's living requests (maybe none of them live any more)."""
        return [entry for entry in self.retries.popleft() if entry.state is RETRYING]

    def abandon(self) -> list[Entry]:
        """Take everything that waits out of the lane, in order; what runs goes on."""
        waiting = [entry for part in self.retries for entry in part if entry.state is RETRYING]
        waiting.extend(self.queue.drain())
        self.retries.clear()
        self.ripe.clear()
        return waiting

    def statistics(self, now_ns: int) -> LaneStatistics:
        """A copy of the numbers as of `now_ns`."""
        return LaneStatistics(
            queue_depth=self.depth,
            queue_rows=self.queue.rows,
            in_flight=self.in_flight,
            running=self.running,
            ready=len(self.group.ready_instances()),
            requests=self.requests,
            inferences=self.inferences,
            executions=self.executions,
            expired=self.expired,
            rejected=self.rejected,
            retried=self.retried,
            busy_ns=self._busy_ns + self.running * (now_ns - self._busy_changed_ns),
            predicted_wait_ns=self.wait_ns(),
        )

    def _decide(self, group: ShapeGroup, idle: int, now_ns: int) -> Dispatch | WaitUntil | None:
        head = group.head()
        if head is None:
            return None
        rows, deadline_ns, callers = group.rows, head.deadline_ns, self.callers
        if self.waits_for_company:
            service_ns = self.latency.predict_ns(rows)
            return form_batch(rows, head.request.queued_ns, deadline_ns, service_ns, self.policy.batching, now_ns)
        expected = callers.expected(now_ns) if self.max_rows > 1 and rows == self.queue.rows else 0
        if not expected or idle > 1:
            return None
        service_ns = self.latency.predict_ns(rows + expected)
        return await_callers(rows, expected, callers.until_ns, deadline_ns, service_ns, self.max_rows, now_ns)


def _variable_inputs(version: VersionSnapshot) -> tuple[int, ...]:
    if not version.batchable:
        return ()
    return tuple(i for i, spec in enumerate(version.signature.inputs) if VARIABLE in spec.shape[1:])


def _nothing() -> None:
    """The timer's function until the scheduler has given its own."""
