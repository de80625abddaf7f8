"""Second half of the line: cache → admit/queue → … → answer, so that each call is answered exactly once.

Place: the pipeline hands a parsed request over; this asks the cache, lets identical requests share one execution,
submits to the scheduler and writes the answer. Nothing here creates a task or a future.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from proxy.cache.cache import ResultCache
from proxy.cache.coalescing import InFlight
from proxy.call import Call, Cancel, Respond
from proxy.core.batches import BatchOutputs
from proxy.core.clock import Clock
from proxy.core.errors import Cancelled, ExecutionFailed, ProxyError, Reason
from proxy.core.own_faults import Place
from proxy.core.requests import Answer, InferenceRequest, InferenceResult
from proxy.core.units import BYTES_PER_MIB
from proxy.metrics import request_records as records
from proxy.metrics.metrics import Metrics
from proxy.metrics.requests import Mark
from proxy.offload import Offload
from proxy.protocol import v2_answer, v2_errors
from proxy.rollout.rollout import Shadows
from proxy.scheduler.scheduler import Scheduler

log = logging.getLogger(__name__)

Keep = Callable[[], None]
# Outputs of a batch larger than this are written as JSON beside the event loop: 1 MiB of FP32 takes it about 10 ms.
HEAVY_OUTPUT_BYTES = BYTES_PER_MIB
# Classified outputs of more strings than this, too: they take the loop about 10 ms.
HEAVY_TEXTS = 8_192


class Answering:
    """Cache, single flight, scheduler and the writing of answers."""

    def __init__(
        self,
        clock: Clock,
        cache: ResultCache,
        scheduler: Scheduler,
        metrics: Metrics,
        offload: Offload,
        shadows: Shadows,
    ) -> None:
        self._clock, self._cache = clock, cache
        self._in_flight: InFlight[Call] = InFlight()
        self._scheduler = scheduler
        self._metrics, self._requests = metrics, metrics.requests
        self._offload, self._shadows = offload, shadows

    def repeat(self, call: records.OpenView, body: bytes) -> Answer | None:
        """The answer that the tenant's very same body had from the cache, while what it was written from is kept.

        Counted. `body` is that of a plain request (JSON, no coding, no wish for timing), not read yet. No shadow misses
        it: they copy no hits.
        """
        version, arrival_ns = call.version, call.arrival_ns
        answer = self._cache.reply(version, call.principal.tenant, body, arrival_ns)
        if answer is not None:
            now_ns = self._clock.now_ns()
            self._metrics.totals_of(version.key).looked_up(now_ns - call.received_ns, is_hit=True)
            self._metrics.on_answer(version.key, 200, None, now_ns - arrival_ns, 0, 0, True)
            if self._requests.wants(version.model, None, now_ns - arrival_ns, now_ns):
                mark, body_id = self._requests.next_mark(), v2_answer.id_of(answer)
                self._requests.keep(records.repeated(mark, call, body_id, now_ns), now_ns)
        return answer

    def begin(
        self,
        request: InferenceRequest,
        respond: Respond,
        received_ns: int = 0,
        body: bytes | None = None,
        *,
        with_timing: bool = False,
    ) -> Cancel | None:
        """Answer from the cache at once, or when an execution ends. The returned function takes the request back.

        `received_ns`: when its body was complete. With `with_timing` the answer says where the time went. With `body`,
        as `repeat` takes it, a hit's answer is kept for the next who sends the same.
        """
        this = Call(self, request, respond, received_ns, body, with_timing)
        version = request.version
        if version.cacheable and self._cache.is_enabled(version.model):
            this.asked_ns = self._clock.now_ns()
            this.key = self._cache.key(request)
            hit = self._cache.get(version.model, this.key, request.arrival_ns)
            if hit is not None or self._cache.is_in_use(version.model):
                this.looked_ns = self._clock.now_ns()
                self._metrics.totals_of(version.key).looked_up(this.looked_ns - this.asked_ns, is_hit=hit is not None)
            if hit is not None:
                self._answer(this, InferenceResult(version, hit, 0, request.rows, cache_hit=True))
                return None
        self._join_or_submit(this, may_look_further=True)
        return this.leave

    def refuse(self, error: ProxyError, key: str, arrival_ns: int, request_id: str | None = None) -> Answer:
        """An error as the answer to the request of that id (None: it has none yet), counted under `key`."""
        now_ns = self._clock.now_ns()
        self._metrics.on_answer(key, error.status, error.reason, now_ns - arrival_ns, 0, 0, None)
        request_id = request_id or self._requests.next_mark().made_id
        if error.status >= 500 and (line := self._metrics.fault_lines.line(request_id, key, error, now_ns)):
            log.warning("%s", line)
        return v2_errors.encode(error, request_id)

    def refuse_body(self, call: records.OpenView, error: ProxyError, key: str) -> Answer:
        """As `refuse`, for a body that was refused or whose client left meanwhile; remembered."""
        mark, now_ns = self._requests.next_mark(), self._clock.now_ns()
        self._metrics.totals_of(call.version.key).failed(now_ns - call.arrival_ns)
        if self._requests.wants_error(now_ns):
            self._requests.keep(records.unread(mark, call, error, now_ns), now_ns)
        return self.refuse(error, key, call.arrival_ns, call.header_id or mark.made_id)

    def _join_or_submit(self, this: Call, *, may_look_further: bool = False) -> None:
        """Wait for an identical request's execution, or execute. One with an earlier deadline executes by itself.

        One of a better place in the queue lends it to the execution that it waits for. Who leads asks other servers
        before it executes, once for all who wait for the same.
        """
        if this.key is not None:
            leader = self._in_flight.leader(this.key)
            if leader is not None and leader.request.deadline_ns > this.request.deadline_ns:
                this.key = None
            elif not self._in_flight.join(this.key, this):
                this.leader = leader
                if leader is not None:
                    self._lend_place(leader, this)
                if may_look_further:  # it comes from its look-up
                    self._cache.joined(this.request.version.model)
                return
        this.leader = None
        self._execute(this, may_look_further=may_look_further)

    def _lend_place(self, leader: Call, follower: Call) -> None:
        """The execution takes the better place of the two; where that fails, the follower waits for it all the same."""
        try:
            self._scheduler.join(leader.request, follower.request)
        except Exception as error:
            self.on_fault(
                Place.LENDING, f"a place in the queue of {follower.request.version.key} could not be lent", error
            )

    def _execute(self, this: Call, *, may_look_further: bool = False) -> None:
        """Ask other servers, or the scheduler. What goes wrong there is an answer, too: no flight stays open."""
        request = this.request
        try:
            if may_look_further and this.key is not None:
                found = partial(self._looked_further, this, this.key)
                if self._cache.look_further(request, this.key, found):
                    self._scheduler.expected.add(request.version.key)  # its lane stays open meanwhile
                    return
            self._scheduler.submit(request, this.done)
        except Exception as error:
            self.on_fault(Place.SCHEDULING, f"a request of {request.version.key} could not be scheduled", error)
            fault = ExecutionFailed(Reason.INTERNAL, "The request was not scheduled; the server's log says why.")
            this.done(request, fault)
            self._scheduler.cancel(request)  # it may stand in the queue already

    def _looked_further(self, this: Call, key: bytes, outputs: BatchOutputs | None) -> None:
        """Other servers were asked: answer all who wait, or execute, unless all have left meanwhile."""
        self._scheduler.expected.remove(this.request.version.key)
        if self._in_flight.leader(key) is not this:
            return
        if outputs is None:
            self._execute(this)
            return
        request = this.request
        self._deliver(this, key, InferenceResult(request.version, outputs, 0, request.rows, cache_hit=True), None)

    def done(self, this: Call, outcome: InferenceResult | ProxyError) -> None:
        """The scheduler is through with `this`: answer it and all who waited for the same, or hand the lead over."""
        if this.key is None:
            self._answer(this, outcome)
            return
        keep = partial(self._keep, this, outcome) if isinstance(outcome, InferenceResult) else None
        self._deliver(this, this.key, outcome, keep)

    def _deliver(self, this: Call, key: bytes, outcome: InferenceResult | ProxyError, keep: Keep | None) -> None:
        for waiter in self._in_flight.settle(key, this):
            try:
                if waiter is this or isinstance(outcome, InferenceResult) or outcome.reason is Reason.MODEL_ERROR:
                    self._answer(waiter, outcome, keep)
                else:
                    self._join_or_submit(waiter)  # the leader's misfortune is not the follower's
            except Exception as error:  # nor is one that cannot be reached the others'
                words = f"an answer of {waiter.request.version.key} could not be delivered"
                self.on_fault(Place.DELIVERING, words, error)

    def _keep(self, this: Call, result: InferenceResult) -> None:
        """Remember what was answered well, once however many waited for it."""
        if this.key is None or this.kept:
            return
        this.kept = True
        if not self._cache.is_wanted(this.request.version.model, this.key):
            return
        share = result.outputs.share(result.first_row, result.rows)
        version = this.request.version
        saved_ns = result.compute_ns * result.rows // max(result.outputs.rows, 1)  # its rows' part of the execution
        self._cache.put(
            version.model,
            this.key,
            share,
            self._clock.now_ns(),
            version_digest=version.digest,
            saved_ns=saved_ns,
        )

    def leave(self, this: Call) -> None:
        """The client has left: nothing is written to it, and what only it waited for is not executed."""
        if this.answered:
            return
        this.answered = True
        request, now_ns = this.request, self._clock.now_ns()
        waited_ns = now_ns - request.arrival_ns
        self._metrics.on_answer(request.version.key, Cancelled.status, Reason.CANCELLED, waited_ns, 0, 0, None)
        self._remember_error(this, self._requests.next_mark(), Cancelled.status, Reason.CANCELLED, now_ns)
        last = this if this.key is None else self._in_flight.leave(this.key, this)
        if last is not None:
            self._scheduler.cancel(last.request)

    def _answer(self, this: Call, outcome: InferenceResult | ProxyError, keep: Keep | None = None) -> None:
        """Write the one answer; `keep` is called if it was a good one."""
        if this.answered:
            return
        this.answered = True
        request = this.request
        if isinstance(outcome, ProxyError):
            self._fail(this, outcome)
            return
        if this.with_timing or request.run is None:
            this.executed_ns = self._clock.now_ns()
        is_heavy = outcome.outputs.size_bytes > HEAVY_OUTPUT_BYTES and v2_answer.is_encoded(request)
        if is_heavy or (request.top_classes and v2_answer.texts(request) > HEAVY_TEXTS):
            send = partial(self._send_later, this, outcome, keep)
            share_bytes = outcome.outputs.size_bytes * outcome.rows // outcome.outputs.rows
            self._offload.begin(partial(v2_answer.write, outcome, request), share_bytes, send)
            return
        try:
            answer = v2_answer.write(outcome, request)
        except ProxyError as error:
            self._fail(this, error)
        except Exception as error:
            self.on_fault(Place.ENCODING, f"an answer of {request.version.key} could not be encoded", error)
            fault = ExecutionFailed(Reason.INTERNAL, "The answer could not be written; the server's log says why.")
            self._fail(this, fault)
        else:
            self._send(this, outcome, keep, answer)

    def _send_later(self, this: Call, result: InferenceResult, keep: Keep | None, written: Answer | ProxyError) -> None:
        if isinstance(written, ProxyError):
            self._fail(this, written)
        else:
            self._send(this, result, keep, written)

    def _fail(self, this: Call, error: ProxyError) -> None:
        """Count and send a refusal or fault."""
        request, now_ns = this.request, self._clock.now_ns()
        self._metrics.totals_of(request.version.key).failed(now_ns - request.arrival_ns)
        mark = self._requests.next_mark()
        self._remember_error(this, mark, error.status, error.reason, now_ns)
        request_id = records.ids_of(request, mark.made_id).answered()
        this.respond(self.refuse(error, request.version.key, request.arrival_ns, request_id))

    def on_fault(self, place: Place, words: str, error: Exception) -> None:
        """Count a fault of our own that is being answered, and say so unless that was said lately."""
        if line := self._metrics.own_faults.line(place, words, error, self._clock.now_ns()):
            log.error("%s", line, exc_info=error)

    def _remember_error(self, this: Call, mark: Mark, status: int, reason: Reason, now_ns: int) -> None:
        if self._requests.wants_error(now_ns):
            self._requests.keep(records.failed(mark, this, status, reason, now_ns), now_ns)

    def _send(self, this: Call, result: InferenceResult, keep: Keep | None, answer: Answer) -> None:
        """Count, send and keep a good answer."""
        request = this.request
        version, now_ns = request.version, self._clock.now_ns()
        latency_ns = now_ns - request.arrival_ns
        coalesced = this.leader is not None and not result.cache_hit
        cached = result.cache_hit if this.looked_ns and not coalesced else None
        times = latency_ns, result.queue_ns, result.compute_ns
        self._metrics.on_answer(version.key, 200, None, *times, cached, coalesced)
        if self._requests.wants(version.model, request.run, latency_ns, now_ns):
            self._requests.keep(records.answered(self._requests.next_mark(), this, result, now_ns), now_ns)
        if this.with_timing:
            timing = v2_answer.server_timing(result, request, this.received_ns, this.executed_ns, now_ns)
            answer.headers = (*answer.headers, timing)
        if cached and this.key is not None and this.body is not None:
            self._cache.add_reply(request, this.body, this.key, answer)
        this.respond(answer)
        if keep is not None:
            keep()
        if self._shadows.is_active:
            self._shadows.offer(request, result)
