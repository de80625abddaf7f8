"""The room's shell: takes answered requests, has some of them executed by the candidate, compares, and throws away.

Place: answering offers each good answer after it was sent; the candidate's lane executes the copy at the lowest
priority; the runtime puts `reports` into each second.
Rules: never delays or displaces real work: a copy is made only while the candidate's lane has nothing to do and fewer
than MAX_IN_FLIGHT copies run, else it is skipped and counted; large outputs are compared in the thread beside the loop;
no copy is ever answered, counted as a client's request, or cached.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from proxy.core.batches import BatchOutputs
from proxy.core.clock import Clock
from proxy.core.errors import ProxyError, Reason
from proxy.core.own_faults import OwnFaults, Place
from proxy.core.reports import ShadowReport
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.snapshot import RolloutMode, Snapshot, VersionSnapshot
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_S
from proxy.metrics.window import REJECTIONS
from proxy.offload import Offload
from proxy.rollout.comparison import difference
from proxy.rollout.statistics import ShadowStatistics

log = logging.getLogger(__name__)

# Copies at once, over all models. Larger: more comparisons a second, more of the machine for them.
MAX_IN_FLIGHT = 4
# A copy waits no longer than this for its answer; then the candidate has failed it.
TIMEOUT_NS = 30 * NS_PER_S
# Below every level that a client can ask for: the scheduler takes it for the lowest one.
LOWEST_PRIORITY = 1 << 30
# Outputs larger than this are compared beside the loop.
LIGHT_BYTES = 65_536
# Not the candidate's fault: the copy never ran. One that did not end in time is its fault.
_NOT_RUN = (REJECTIONS - {Reason.DEADLINE_EXCEEDED}) | {Reason.REPEAT_OFFENDER, Reason.OVERSIZE, Reason.CANCELLED}


class Lanes(Protocol):
    """What shadows need of the scheduler."""

    def submit(self, request: InferenceRequest, on_done: Callable[[InferenceRequest, Any], None]) -> None:
        """Execute a request."""

    def cancel(self, request: InferenceRequest) -> None:
        """Take it back; ignored if it was answered."""

    def is_idle(self, version_key: str) -> bool:
        """True if nothing waits and nothing runs."""


class Shadows:
    """The shadows that run in this process."""

    def __init__(
        self,
        clock: Clock,
        lanes: Lanes,
        ready_version: Callable[[str, int], VersionSnapshot | None],
        offload: Offload,
        draw: Callable[[], float],
        faults: OwnFaults | None = None,
    ) -> None:
        self.is_active = False
        self._faults = faults or OwnFaults()
        self._clock = clock
        self._lanes = lanes
        self._ready_version = ready_version
        self._offload = offload
        self._draw = draw
        self._statistics: dict[str, ShadowStatistics] = {}
        self._in_flight: set[InferenceRequest] = set()

    def apply(self, snapshot: Snapshot) -> None:
        """Follow a new wanted state: a rollout keeps its statistics through changes of its weight or tolerance."""
        old, self._statistics = self._statistics, {}
        for name, model in snapshot.models.items():
            rollout = model.rollout
            if rollout is None or rollout.mode is not RolloutMode.SHADOW:
                continue
            known = old.get(name)
            if known is not None and known.rollout.rollout_id == rollout.rollout_id:
                known.rollout = rollout
                self._statistics[name] = known
            else:
                self._statistics[name] = ShadowStatistics(name, rollout)
        self.is_active = bool(self._statistics)

    def reports(self) -> tuple[ShadowReport, ...]:
        """One report a shadow."""
        return tuple(one.report() for one in self._statistics.values())

    def offer(self, request: InferenceRequest, result: InferenceResult) -> None:
        """A request was answered with `result`: maybe have the candidate answer a copy. Never raises."""
        statistics = self._statistics.get(request.version.model)
        if statistics is None or result.cache_hit or request.version.number == statistics.rollout.candidate:
            return
        rollout = statistics.rollout
        if self._draw() * 100 >= rollout.weight_percent:
            return
        candidate = self._ready_version(request.version.model, rollout.candidate)
        if candidate is None or len(self._in_flight) >= MAX_IN_FLIGHT or not self._lanes.is_idle(candidate.key):
            statistics.skipped()
            return
        inputs = in_order(request, candidate)
        if inputs is None:
            statistics.failed()
            return
        now_ns = self._clock.now_ns()
        copy = InferenceRequest(candidate, inputs, request.rows, now_ns, now_ns + TIMEOUT_NS, priority=LOWEST_PRIORITY)
        expected = result.outputs.share(result.first_row, result.rows)
        self._in_flight.add(copy)
        try:
            self._lanes.submit(copy, partial(self._answered, statistics, expected, result.compute_ns))
        except Exception as error:
            words = f"a copy for {candidate.key} could not be scheduled"
            if line := self._faults.line(Place.SCHEDULING, words, error, now_ns):
                log.exception("%s", line)
            self._in_flight.discard(copy)
            statistics.skipped()
            self._lanes.cancel(copy)  # it may stand in the queue already

    def _answered(
        self,
        statistics: ShadowStatistics,
        expected: BatchOutputs,
        expected_ns: int,
        request: InferenceRequest,
        outcome: InferenceResult | ProxyError,
    ) -> None:
        """The candidate is through with the copy."""
        if request not in self._in_flight:  # it was given up
            return
        self._in_flight.remove(request)
        if isinstance(outcome, ProxyError):
            if outcome.reason in _NOT_RUN:
                statistics.skipped()
            else:
                statistics.failed()
            return
        actual = outcome.outputs.share(outcome.first_row, outcome.rows)
        work = partial(difference, expected, actual)
        size_bytes = expected.size_bytes + actual.size_bytes
        if size_bytes > LIGHT_BYTES:
            self._offload.begin(work, size_bytes, partial(self._compared, statistics, expected_ns, outcome.compute_ns))
            return
        self._compared(statistics, expected_ns, outcome.compute_ns, work())

    def _compared(
        self, statistics: ShadowStatistics, expected_ns: int, candidate_ns: int, apart: float | ProxyError
    ) -> None:
        if isinstance(apart, ProxyError):
            statistics.skipped()  # too much waits for the thread
        else:
            statistics.compared(apart, expected_ns, candidate_ns)


def in_order(request: InferenceRequest, candidate: VersionSnapshot) -> tuple[Tensor, ...] | None:
    """The request's inputs in the candidate's order, or None if it does not take them."""
    given = {tensor.name: tensor for tensor in request.inputs}
    specs = candidate.signature.inputs
    if len(specs) != len(given) or candidate.batchable != request.version.batchable:
        return None
    ordered = []
    for spec in specs:
        tensor = given.get(spec.name)
        if tensor is None or tensor.datatype != spec.datatype or not spec.accepts_shape(tensor.shape):
            return None
        ordered.append(tensor)
    return tuple(ordered)
