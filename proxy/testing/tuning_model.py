"""A model on a clock that stands still: what settings do with a trace, fast enough for a grid search.

The decisions are the real ones: `form_batch` and `await_callers` (when a batch leaves), `place` (where), `admit` (who
may wait), `LatencyModel`, `Callers` and the eviction orders. Around them stands a plain queue instead of the shell with
its priorities, keys, shapes, retries and deadlines by request, none of which a tuned knob touches: that makes a request
cost some 36 µs instead of 60 to 110. `tests/simulation/test_tuning_machine.py` holds it against the real scheduler.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from proxy.core.policies import BatchingPolicy, Placement
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.metrics.histogram import index as bucket_of
from proxy.scheduler.admission import Bounds, admit
from proxy.scheduler.batching import TIMER_NS, Dispatch, Waiting, await_callers, form_batch
from proxy.scheduler.callers import Callers
from proxy.scheduler.latency_model import LatencyModel
from proxy.scheduler.measurements import GAP_WEIGHT
from proxy.scheduler.placement import Records, place
from proxy.scheduler.ports import InstancePort
from proxy.testing.tuning_cache import SimulatedCache
from proxy.testing.tuning_traces import Request, Trace
from proxy.tuner.knobs import Settings
from proxy.tuner.windows import TuningSecond

HIT_NS = NS_PER_MS // 10
MAX_WAITING = 1_000


@dataclass(frozen=True, slots=True)
class Kind:
    """A model: an execution takes `fixed_ms` + `row_ms` a row, give or take `noise`, times its instance's slowness.

    `slowness` is by instance, the last one for all further ones. `load_s`: from wanted to ready.
    """

    fixed_ms: float = 4.0
    row_ms: float = 0.5
    noise: float = 0.1
    slowness: tuple[float, ...] = (1.0,)
    load_s: float = 3.0
    timeout_s: float = 2.0


class Instance:
    """Satisfies what placement asks of an instance."""

    __slots__ = ("idle", "instance_id", "outstanding", "service_ms", "slowness")

    def __init__(self, number: int, slowness: float) -> None:
        self.instance_id = f"i{number}"
        self.slowness = slowness
        self.outstanding = 0
        self.idle = True
        self.service_ms = 0.0


class SimulatedModel:
    """One model: queue, instances and cache, under `settings`. `tell` gives each second's measurements."""

    def __init__(self, kind: Kind, trace: Trace, settings: Settings, seed: int, *, with_curve: bool = True) -> None:
        self.kind, self.trace, self.seed = kind, trace, seed
        self.settings = settings
        self.cache = SimulatedCache(settings.cache_max_mib, settings.cache_eviction, with_curve=with_curve)
        self.chance = random.Random(f"model {trace.name} {seed}")  # noqa: S311  a simulation
        self.queue: deque[Request] = deque()
        self.rows_waiting = 0
        self.pace = LatencyModel()
        self.callers = Callers()
        self.records = Records()
        self.turn = 0
        self.gap_ns = 0.0
        self.arrived_ns = 0
        self.timer_ns = 0
        self.instances: list[Instance] = []
        self.starting: list[tuple[int, Instance]] = []
        self._numbers = 0
        self.running = 0
        self.in_flight = 0
        self.busy_ns = 0
        self._follow(settings, 0, at_once=True)
        self._clear()

    def apply(self, settings: Settings, now_ns: int) -> None:
        """Follow other settings from now on."""
        self._follow(settings, now_ns, at_once=False)
        self.cache.apply(settings.cache_max_mib, settings.cache_eviction)

    def _follow(self, settings: Settings, now_ns: int, *, at_once: bool) -> None:
        self.settings = settings
        self.batching = BatchingPolicy(settings.max_batch_rows, int(settings.max_queue_delay_ms * NS_PER_MS))
        self.placement = Placement(settings.placement)
        while len(self.instances) + len(self.starting) > settings.instances:
            if self.starting:
                self.starting.pop()
            else:
                self.instances.pop()
        while len(self.instances) + len(self.starting) < settings.instances:
            place_in_row = len(self.instances) + len(self.starting)
            self._numbers += 1
            slowness = self.kind.slowness[min(place_in_row, len(self.kind.slowness) - 1)]
            instance = Instance(self._numbers, slowness)
            if at_once:
                self.instances.append(instance)
            else:
                self.starting.append((now_ns + int(self.kind.load_s * NS_PER_S), instance))

    def become_ready(self, now_ns: int) -> None:
        """Instances whose load is over take part."""
        while self.starting and self.starting[0][0] <= now_ns:
            self.instances.append(self.starting.pop(0)[1])

    def service_times_ms(self) -> tuple[float, ...]:
        """Each instance's own average of service time over what the line says, in milliseconds of a mean execution."""
        return tuple(one.service_ms for one in self.instances if one.service_ms)

    def refuse(self, request: Request, now_ns: int) -> bool:
        """True if admission refuses it."""
        if not self.queue and self.running < len(self.instances):
            return False
        most = self.settings.max_batch_rows
        pace = self.pace
        ahead_ns = self.rows_waiting * pace.predict_ns(most) // most + self.running * pace.mean_ns // 2
        wait_ns = ahead_ns // max(len(self.instances), 1)  # the mean: its deadlines are many executions away
        joined = min(max(self.rows_waiting % most + request.rows, pace.mean_rows), most)
        bounds = Bounds(
            len(self.queue),
            MAX_WAITING,
            in_lane=len(self.queue) + self.in_flight,
            limit=self.settings.concurrency_limit,
        )
        deadline_ns = now_ns + int(self.kind.timeout_s * NS_PER_S)
        return admit(bounds, wait_ns, pace.predict_ns(joined), deadline_ns, now_ns) is not None

    def enqueue(self, request: Request, now_ns: int) -> None:
        """It waits; the mean gap between arrivals moves."""
        self.callers.came(now_ns)
        if self.arrived_ns:
            self.gap_ns += GAP_WEIGHT * (now_ns - self.arrived_ns - self.gap_ns)
        self.arrived_ns = now_ns
        self.queue.append(request)
        self.rows_waiting += request.rows

    def next_batch(self, idle: int, now_ns: int) -> list[Request] | int:
        """What leaves now, or when to look again."""
        most = self.settings.max_batch_rows
        head = self.queue[0]
        deadline_ns = head.at_ns + int(self.kind.timeout_s * NS_PER_S)
        if self.batching.max_delay_ns > 0:
            waiting = Waiting(
                self.rows_waiting,
                len(self.queue),
                head.at_ns,
                deadline_ns - TIMER_NS,
                int(self.gap_ns),
                self.arrived_ns,
                idle,
            )
            decision = form_batch(waiting, self.pace, most, self.batching, now_ns)
        elif idle == 1 and most > 1 and (expected := self.callers.expected(now_ns)):
            rows, service_ns = self.rows_waiting, self.pace.predict_ns(self.rows_waiting + expected)
            until_ns = self.callers.until_ns
            decision = await_callers(rows, expected, until_ns, deadline_ns, service_ns, most, now_ns)
        else:
            return self._take(most)
        if isinstance(decision, Dispatch):
            return self._take(decision.rows or most)
        return decision.at_ns

    def _take(self, most: int) -> list[Request]:
        taken: list[Request] = []
        rows = 0
        while self.queue and (not taken or rows + self.queue[0].rows <= most):
            request = self.queue.popleft()
            rows += request.rows
            taken.append(request)
        self.rows_waiting -= rows
        return taken

    def choose(self, idle: Sequence[Instance], now_ns: int) -> Instance | None:
        """The instance that runs what is next; None: a busy one is worth waiting for."""
        if len(self.instances) == 1:
            return idle[0]
        batches = self.rows_waiting / self.settings.max_batch_rows
        return cast(
            "Instance | None",
            place(
                cast("Sequence[InstancePort]", self.instances),
                cast("Sequence[InstancePort]", idle),
                self.placement,
                self.records,
                batches,
                now_ns,
                self.chance,
            ),
        )

    def answered(self, latency_ns: int) -> None:
        """Count one answer."""
        self.requests += 1
        self.latency_ns += latency_ns
        bucket = bucket_of(latency_ns)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def tell(self, at_s: int, now_ns: int, running_ns: int) -> TuningSecond:
        """What was measured since the last call; `running_ns` of it by executions that still run."""
        executed = self.requests - self.hits
        instances = len(self.instances)
        busy_ns = self.busy_ns + running_ns
        second = TuningSecond(
            float(at_s),
            requests=self.requests,
            rejections=self.rejections,
            cache_hits=self.hits,
            cache_misses=executed + self.rejections,
            inferences=self.rows,
            executions=self.executions,
            queue_depth=len(self.queue),
            in_flight=self.in_flight,
            instances=instances,
            busy_ratio=min(max(busy_ns / (instances * NS_PER_S), 0.0), 1.0) if instances else 0.0,
            mean_ms=self.latency_ns / self.requests / NS_PER_MS if self.requests else None,
            queue_mean_ms=self.queue_ns / executed / NS_PER_MS if executed else None,
            compute_mean_ms=self.compute_ns / executed / NS_PER_MS if executed else None,
            cache_bytes=self.cache.size_bytes,
            histogram=self.counts,
            rows_by_bits=self.rows_by_bits,
        )
        self.cache.tick(now_ns)
        self._clear()
        self.busy_ns = -running_ns
        return second

    def _clear(self) -> None:
        self.requests = self.hits = self.rejections = self.rows = self.executions = 0
        self.latency_ns = self.queue_ns = self.compute_ns = 0
        self.counts: dict[int, int] = {}
        self.rows_by_bits: dict[int, int] = {}
