"""Who waits for which answer: every request that was taken on, from its place in the queue to its one answer.

Rules: each request is answered exactly once; whatever comes for it later is dropped; nothing of it is kept after that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from functools import partial

from proxy.core.batches import Batch, BatchResult
from proxy.core.errors import ProxyError, Reason
from proxy.core.own_faults import Place
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.scheduler import refusals
from proxy.scheduler.admission import retry_after_ns
from proxy.scheduler.entries import DONE, RETRYING, RUNNING, WAITING, Entry, OnDone
from proxy.scheduler.forecast import drain_ns
from proxy.scheduler.joining import is_better
from proxy.scheduler.lane import Lane
from proxy.scheduler.ports import Chance
from proxy.scheduler.splitting import Split, cut


class Register:
    """The unanswered requests of all lanes. `entries` has parts of split requests, too.

    `on_fault` is told of exceptions that are handled here: where, in words, and which.
    """

    def __init__(self, on_fault: Callable[[Place, str, Exception], None]) -> None:
        self._on_fault = on_fault
        self.entries: dict[InferenceRequest, tuple[Lane, Entry]] = {}
        self.splits: dict[InferenceRequest, Split] = {}
        self._displaced: deque[tuple[Lane, Entry, ProxyError]] = deque()
        self._is_telling = False

    def queue(self, lane: Lane, entry: Entry, request: InferenceRequest, level: int, key: str, now_ns: int) -> None:
        """Let `entry` wait in `level` under `key`."""
        self.entries[request] = (lane, entry)
        self._push(lane, entry, lane.shape_key(request, now_ns), level, key, request.weight)
        lane.deadlines.add(entry, lane.queue.depth + lane.retrying + lane.in_flight)

    def join(self, leader: InferenceRequest, follower: InferenceRequest, now_ns: int) -> None:
        """`follower` waits for the execution of `leader`: it waits where the better placed of the two would."""
        lane, entry = self.entries.get(leader, (None, None))
        if lane is not None and entry is not None and is_better(lane, entry, follower, now_ns):
            shape = lane.shape_key(entry.request, now_ns)  # first what may fail: it must not stand in no queue
            lane.queue.discard(entry)
            self._push(lane, entry, shape, *lane.place_of(follower), follower.weight)

    def _push(self, lane: Lane, entry: Entry, shape: Hashable, level: int, key: str, weight: int) -> None:
        queue = lane.queue
        group = queue.push(entry, shape, level, key, weight)
        if lane.waits_for_company and not group.is_noted_full:
            most = queue.contention.bound(lane.max_rows)
            if group.rows >= most:
                lane.full_groups.note(group, most, queue.depth)

    def queue_parts(
        self,
        lane: Lane,
        request: InferenceRequest,
        on_done: OnDone,
        level: int,
        key: str,
        now_ns: int,
        *,
        is_part: bool = False,
    ) -> Split:
        """More rows than one execution holds: its parts wait as requests, in order. `is_part`: of a larger one."""
        split = self.splits[request] = Split(request, on_done, partial(self._take_back, lane, is_part=is_part))
        lane.measured.splits += 1
        for part in cut(request, lane.max_rows):
            self.queue(lane, split.part(part), part, level, key, now_ns)
        return split

    def cut_again(self, lane: Lane, entry: Entry, now_ns: int) -> None:
        """Let a request whose execution ran out of memory wait again, in parts of what an execution may hold now."""
        request = entry.request
        lane.move(entry, DONE)
        del self.entries[request], entry.request

        def joined(whole: InferenceRequest, outcome: InferenceResult | ProxyError) -> None:
            entry.split = None
            entry.on_done(whole, outcome)

        try:
            entry.split = self.queue_parts(lane, request, joined, *lane.place_of(request), now_ns, is_part=entry.part)
        except Exception as error:
            self._on_fault(Place.CUTTING, f"a request of {lane.key} could not be cut", error)
            self.splits[request].end(refusals.not_recovered())

    def displace(self, lane: Lane, entry: Entry, now_ns: int, chance: Chance) -> None:
        """A waiting request gives its place up to one that stands in the queue already, and is told so now.

        One behind the other: an answer may bring a request (who waited for the same execution) that displaces another.
        """
        hint_ns = retry_after_ns(drain_ns(lane, now_ns), chance)  # first what may fail
        error = refusals.displaced(lane.version, lane.policy.queue, hint_ns)
        lane.queue.discard(entry)
        lane.measured.displaced += 1
        self._displaced.append((lane, entry, error))
        if self._is_telling:
            return
        self._is_telling = True
        try:
            while self._displaced:
                self.end(*self._displaced.popleft())
        finally:
            self._is_telling = False

    def without_killers(self, lane: Lane, entries: list[Entry], now_ns: int, chance: Chance) -> list[Entry]:
        """Those of `entries`, about to run, whose inputs are not known to end instances; the others are answered.

        A part that is not run takes the others of its request with it, which may be among `entries`.
        """
        harmless = []
        for entry in entries:
            until_ns = lane.offenders.killer_until_ns(entry.request, now_ns) if entry.state is not DONE else 0
            if until_ns:
                self.end(lane, entry, refusals.killer(lane.version, retry_after_ns(until_ns - now_ns, chance)))
            else:
                harmless.append(entry)
        return [entry for entry in harmless if entry.state is not DONE]

    def end_stranded(self, lane: Lane, expired: list[Entry], error: ProxyError) -> None:
        """Answer those of a lane that were taken to run and do not: a fault came between. If none was, all that wait.

        Not those `expired`, whom their deadline has ended. Looks through all that is open.
        """
        others = {*lane.again.entries(), *expired}
        stranded = [
            entry
            for of, entry in self.entries.values()
            if of is lane
            and (entry.state is RETRYING or (entry.state is WAITING and entry.line is None))
            and entry not in others
        ]
        self.end_all(lane, stranded or lane.abandon(), error)

    def deliver(self, lane: Lane, entries: list[Entry], batch: Batch, outcome: BatchResult) -> None:
        """Answer each that waits for its rows of an execution that gave outputs."""
        first_row = 0
        outputs, compute_ns, version = outcome.outputs, outcome.compute_ns, batch.version
        for entry, request in zip(entries, batch.requests, strict=True):
            rows = request.rows
            if entry.state is RUNNING:
                queue_ns = request.dispatched_ns - request.queued_ns
                result = InferenceResult(
                    version, outputs, first_row, rows, queue_ns=queue_ns, compute_ns=compute_ns, execution=outcome
                )
                self.end(lane, entry, result)
            first_row += rows

    def cancel(self, request: InferenceRequest) -> None:
        """The client left. Ignored if it was answered already."""
        split = self.splits.get(request)
        if split is not None:
            split.end(refusals.client_left())
            return
        found = self.entries.get(request)
        if found is not None:
            lane, entry = found
            lane.measured.cancelled += 1
            self.end(lane, entry, refusals.client_left())

    def end_all(self, lane: Lane, entries: Iterable[Entry], error: ProxyError) -> None:
        """Answer each with the same error."""
        for entry in entries:
            self.end(lane, entry, error)

    def end(self, lane: Lane, entry: Entry, outcome: InferenceResult | ProxyError) -> None:
        """Answer once; of a request that was cut again for memory, what still waits or runs of it ends."""
        if entry.state is DONE:
            if entry.split is not None:
                entry.split.end(outcome)
            return
        lane.move(entry, DONE)
        request = entry.request
        del self.entries[request], entry.request
        if isinstance(outcome, ProxyError) and not entry.part:
            lane.measured.count(outcome.reason)
        try:
            entry.on_done(request, outcome)
        except Exception as error:
            self._on_fault(Place.DELIVERING, f"the answer of a request of {lane.key} could not be delivered", error)

    def _take_back(
        self, lane: Lane, split: Split, outcome: InferenceResult | ProxyError, *, is_part: bool = False
    ) -> None:
        """A split request ends: with an error, its other parts are not executed any more."""
        del self.splits[split.request]
        if isinstance(outcome, InferenceResult):
            return
        measured = lane.measured
        if not is_part:
            measured.count(outcome.reason)
            measured.cancelled += outcome.reason is Reason.CANCELLED
            measured.expired += outcome.reason is Reason.DEADLINE_EXCEEDED and not split.request.attempts
        self.end_all(lane, split.entries, refusals.client_left())
