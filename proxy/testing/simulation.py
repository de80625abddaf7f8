"""The real scheduler on a clock that stands still and instances without processes: what a policy does with a trace.

Everything is decided by the trace, the costs and the seed: the same run gives the same figures on any machine.
Latencies are counted from the planned time of a request to its answer.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.core.batches import Batch
from proxy.core.errors import ProxyError
from proxy.core.policies import ModelPolicy
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_MS, NS_PER_S, NS_PER_US
from proxy.scheduler.scheduler import Scheduler
from proxy.scheduler.statistics import LaneStatistics
from proxy.testing.clock import ManualClock
from proxy.testing.instances import FakeGroup, fake_version
from proxy.testing.traffic import Arrival


@dataclass(frozen=True, slots=True)
class Cost:
    """Service time of an execution: fixed + row × rows, give or take `noise` of it."""

    fixed_ns: int = 2 * NS_PER_MS
    row_ns: int = 100 * NS_PER_US
    noise: float = 0.0

    def peak_per_s(self, max_rows: int, instances: float = 1) -> float:
        """Rows a second with full batches, all instances busy."""
        return instances * max_rows * NS_PER_S / (self.fixed_ns + self.row_ns * max_rows)


@dataclass(slots=True)
class Outcome:
    """What became of a trace. `latencies_ns` are of the answered, by key; `errors` counts (key, reason).

    `attempts` counts retries, too; `in_time` are the results before the trace ended.
    """

    seconds: float
    offered: Counter[str] = field(default_factory=Counter)
    latencies_ns: dict[str, list[int]] = field(default_factory=dict)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    executions: list[int] = field(default_factory=list)
    rows: int = 0
    wrong: int = 0
    unanswered: int = 0
    attempts: int = 0
    in_time: int = 0
    retry_after_ns: list[int] = field(default_factory=list)
    lane: LaneStatistics | None = None

    def answered(self, key: str | None = None) -> int:
        """How many got their result."""
        return sum(len(found) for name, found in self.latencies_ns.items() if key in (None, name))

    def goodput_per_s(self, key: str | None = None) -> float:
        """Results a second of the trace."""
        return self.answered(key) / self.seconds

    def success_ratio(self, key: str | None = None) -> float:
        """Results of what was offered."""
        offered = sum(count for name, count in self.offered.items() if key in (None, name))
        return self.answered(key) / max(offered, 1)

    def quantile_ms(self, quantile: float, key: str | None = None) -> float:
        """Latency of the answered."""
        found = sorted(ns for name, all_ns in self.latencies_ns.items() if key in (None, name) for ns in all_ns)
        return found[min(int(quantile * len(found)), len(found) - 1)] / NS_PER_MS if found else 0.0

    def refused(self, reason: str) -> int:
        """How many ended with `reason`."""
        return sum(count for (_, name), count in self.errors.items() if name == reason)

    @property
    def shares(self) -> list[float]:
        """Each instance's part of the executions."""
        return [count / max(sum(self.executions), 1) for count in self.executions]

    @property
    def rows_an_execution(self) -> float:
        """Mean size of a batch."""
        return self.rows / max(sum(self.executions), 1)


class Simulation:
    """One model with some instances, `slowness` of each relative to `cost`."""

    def __init__(
        self,
        policy: ModelPolicy,
        *,
        slowness: Sequence[float] = (1.0, 1.0),
        cost: Cost | None = None,
        seed: int = 1,
        warm: bool = True,
    ) -> None:
        self.clock = ManualClock()
        self.version = fake_version()
        self.cost = cost or Cost()
        self._chance = random.Random(seed)  # noqa: S311  nothing secret
        chance = random.Random(seed)  # noqa: S311
        self.scheduler = Scheduler(self.clock, self.clock.call_later, call_soon=self.clock.call_soon, chance=chance)
        self.group = FakeGroup(
            self.version,
            self.clock,
            len(slowness),
            on_change=lambda group: self.scheduler.wake(group.version.key),
        )
        for instance, factor in zip(self.group.all_instances(), slowness, strict=True):
            instance.service_ns = _Service(self.cost, factor, self._chance)
        self.scheduler.attach(self.version.key, self.group, policy)
        self._outcome = Outcome(0.0)
        self._sent = 0
        self._retries = ""
        if warm:
            self._warm_up()

    def run(
        self,
        trace: Sequence[Arrival],
        seconds: float,
        changes: Sequence[tuple[float, ModelPolicy]] = (),
        *,
        retries: str = "",
        settle: bool = True,
    ) -> Outcome:
        """Play `trace`, changing the policy at the given seconds; then wait until everyone is answered.

        `retries`: who is refused comes back up to three times, `at once` (10 ms) or after the `hint`. Without `settle`
        the next run begins while the last one's requests still wait; they count in neither.
        """
        self._retries = retries
        before = [instance.executions for instance in self.group.all_instances()]
        outcome = self._outcome = Outcome(seconds)
        begin_ns = self.clock.now_ns()
        for at_s, policy in changes:
            self.clock.call_later(at_s, lambda policy=policy: self._change(policy))  # type: ignore[misc]
        for arrival in trace:
            self.clock.advance(begin_ns + arrival.at_ns - self.clock.now_ns())
            self._send(arrival)
        self.clock.advance(max(begin_ns + int(seconds * NS_PER_S) - self.clock.now_ns(), 0))
        outcome.lane = self.scheduler.statistics()[self.version.key]
        outcome.in_time = outcome.answered()
        if settle:
            self.clock.advance(30 * NS_PER_S)
        instances = self.group.all_instances()
        outcome.executions = [instance.executions - old for instance, old in zip(instances, before, strict=True)]
        batches = [batch for instance, old in zip(instances, before, strict=True) for batch in instance.batches[old:]]
        outcome.rows = sum(batch.rows for batch in batches)
        outcome.unanswered = sum(outcome.offered.values()) - outcome.answered() - sum(outcome.errors.values())
        return outcome

    def _send(self, arrival: Arrival, planned_ns: int | None = None, tries_left: int = 3) -> None:
        outcome = self._outcome
        self._sent += 1
        now_ns = self.clock.now_ns()
        data = self._sent.to_bytes(8, "little") * arrival.rows
        tensor = Tensor("x", "FP32", (arrival.rows, 2), data)
        request = InferenceRequest(
            self.version,
            (tensor,),
            arrival.rows,
            now_ns,
            now_ns + arrival.timeout_ns,
            priority=arrival.priority,
            principal_id=arrival.key,
            weight=arrival.weight,
        )
        if planned_ns is None:
            planned_ns = now_ns
            outcome.offered[arrival.key] += 1
        outcome.attempts += 1

        def done(request: InferenceRequest, result: InferenceResult | ProxyError) -> None:
            hint_ns = result.retry_after_ns if isinstance(result, ProxyError) else None
            if self._retries and tries_left and hint_ns is not None:
                wait_ns = hint_ns if self._retries == "hint" else 10 * NS_PER_MS
                self.clock.call_later(wait_ns / NS_PER_S, lambda: self._send(arrival, planned_ns, tries_left - 1))
                return
            self._done(outcome, request, planned_ns, result)

        self.scheduler.submit(request, done)
        if arrival.leaves_after_ns:
            self.clock.call_later(arrival.leaves_after_ns / NS_PER_S, lambda: self.scheduler.cancel(request))

    def _done(
        self, outcome: Outcome, request: InferenceRequest, planned_ns: int, result: InferenceResult | ProxyError
    ) -> None:
        key = request.principal_id
        if isinstance(result, ProxyError):
            outcome.errors[(key, result.reason.value)] += 1
            if result.retry_after_ns is not None:
                outcome.retry_after_ns.append(result.retry_after_ns)
            return
        tensor = result.outputs.tensors[0]
        share = result.outputs.rows_of(tensor, result.first_row, result.rows)
        outcome.wrong += bytes(share) != bytes(request.inputs[0].data)
        outcome.latencies_ns.setdefault(key, []).append(self.clock.now_ns() - planned_ns)

    def _change(self, policy: ModelPolicy) -> None:
        self.scheduler.update_policy(self.version.key, policy)

    def _warm_up(self) -> None:
        """Let the lane learn what an execution takes, at several sizes and on each instance."""
        for rows in (1, 8, 32, 3, 16, 1, 8, 32):
            for _ in self.group.all_instances():
                self._send(Arrival(0, "warm", rows, timeout_ns=10 * NS_PER_S))
            self.clock.advance(NS_PER_S // 4)


class _Service:
    """Service times of one instance; the same batch is asked for twice and takes the same time."""

    def __init__(self, cost: Cost, factor: float, chance: random.Random) -> None:
        self._cost = cost
        self._factor = factor
        self._chance = chance
        self._batch_id = 0
        self._service_ns = 0

    def __call__(self, batch: Batch) -> int:
        if batch.batch_id != self._batch_id:
            self._batch_id = batch.batch_id
            cost = self._cost
            noise = 1 + cost.noise * (2 * self._chance.random() - 1)
            rows = batch.padded_rows or batch.rows
            self._service_ns = int((cost.fixed_ns + cost.row_ns * rows) * self._factor * noise)
        return self._service_ns
