"""The line that every inference request walks: read this page first.

    HTTP → head → authorise → version → body → cache → admit/queue → batch → instance → answer → metrics
           `open` (before the body is read)      `run` (ends in exactly one `respond`)

Rules: rights and version are checked before the body is read, so that a stranger cannot spend our parser; the version
is chosen before the cache, since the key contains its digest; `respond` is called exactly once for every `run`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from proxy.authorization.authorization import authenticate, authorise, unknown_model
from proxy.cache.cache import ResultCache
from proxy.cache.coalescing import InFlight
from proxy.core.clock import Clock
from proxy.core.errors import Cancelled, ExecutionFailed, ProxyError, Reason
from proxy.core.principals import Principal
from proxy.core.requests import Answer, InferenceRequest, InferenceResult
from proxy.core.snapshot import EMPTY_SNAPSHOT, Snapshot, VersionSnapshot
from proxy.core.units import NS_PER_US
from proxy.metrics.metrics import Metrics
from proxy.model_manager.model_manager import ModelManager
from proxy.model_manager.routing import choose_version
from proxy.protocol import v2_errors, v2_json, v2_response
from proxy.protocol.limits import Limits
from proxy.scheduler.scheduler import Scheduler

log = logging.getLogger(__name__)

Respond = Callable[[Answer], None]
Cancel = Callable[[], None]
MISS_HEADERS = ((b"content-type", b"application/json"),)
HIT_HEADERS = (*MISS_HEADERS, (b"x-dlproxy-cache", b"hit"))


class OpenCall:
    """A call whose head was accepted: who asks which version, and how long its body may be."""

    __slots__ = ("arrival_ns", "asked_version", "max_body_bytes", "principal", "version")

    def __init__(
        self,
        principal: Principal,
        version: VersionSnapshot,
        asked_version: str | None,
        arrival_ns: int,
        max_body_bytes: int,
    ) -> None:
        self.principal = principal
        self.version = version
        self.asked_version = asked_version
        self.arrival_ns = arrival_ns
        self.max_body_bytes = max_body_bytes


class _Call:
    """A parsed request on its way, and whom to answer. `key` is its cache key, None where nothing may be shared."""

    __slots__ = ("answered", "key", "request", "respond")

    def __init__(self, request: InferenceRequest, respond: Respond) -> None:
        self.request = request
        self.respond = respond
        self.key: bytes | None = None
        self.answered = False


class Pipeline:
    """The rooms of the data plane in the order in which a request meets them."""

    def __init__(
        self,
        clock: Clock,
        unix_time_s: Callable[[], float],
        manager: ModelManager,
        cache: ResultCache,
        scheduler: Scheduler,
        metrics: Metrics,
        limits: Limits,
    ) -> None:
        self.snapshot: Snapshot = EMPTY_SNAPSHOT
        self._clock = clock
        self._unix_time_s = unix_time_s
        self._manager = manager
        self._cache = cache
        self._in_flight: InFlight[_Call] = InFlight()
        self._scheduler = scheduler
        self._metrics = metrics
        self._limits = limits

    def open(self, model: str, version: str | None, authorization: bytes | None, arrival_ns: int) -> OpenCall:
        """Head → authorise → version. Raises ProxyError."""
        return self.open_as(self.authenticate(authorization), model, version, arrival_ns)

    def authenticate(self, authorization: bytes | None) -> Principal:
        """Who calls. Raises Unauthenticated."""
        return authenticate(authorization, None, self.snapshot, self._unix_time_s())

    def open_as(self, principal: Principal, model: str, version: str | None, arrival_ns: int) -> OpenCall:
        """As `open`, for a caller that Django has authenticated."""
        authorise(principal, model)
        if model not in self.snapshot.models:
            raise unknown_model(model)
        chosen = choose_version(self._manager.routes, self.snapshot.models, model, version)
        return OpenCall(principal, chosen, version, arrival_ns, self._limits.max_body_bytes)

    def run(self, call: OpenCall, body: bytes | bytearray | memoryview, respond: Respond) -> Cancel | None:
        """Body → cache → scheduler → answer. The returned function takes the request back (its client left)."""
        try:
            if not self._manager.routes.answers(call.version):  # it left while the body was on its way
                call = self.open_as(call.principal, call.version.model, call.asked_version, call.arrival_ns)
            request = self._parse(call, body)
        except ProxyError as error:
            respond(self.refuse(error, call.version.model, call.arrival_ns))
            return None
        this = _Call(request, respond)
        if call.version.cacheable and self._cache.is_enabled(call.version.model):
            this.key = self._cache.key(request)
            hit = self._cache.get(call.version.model, this.key, call.arrival_ns)
            if hit is not None:
                self._answer(this, InferenceResult(call.version, hit, 0, request.rows, cache_hit=True))
                return None
        self._join_or_submit(this)
        return lambda: self._leave(this)

    def refuse(self, error: ProxyError, model: str | None, arrival_ns: int) -> Answer:
        """An error as the answer that its client sees, counted under `model` where that is a registered one."""
        known = model if model is not None and model in self.snapshot.models else ""
        waited_ns = self._clock.now_ns() - arrival_ns
        self._metrics.on_answer(known, error.status, error.reason, waited_ns, 0, 0, None)
        return v2_errors.encode(error)

    async def answer(self, principal: Principal, model: str, version: str | None, body: bytes) -> Answer:
        """`open_as` and `run` for a coroutine. A cancelled caller takes its request with it."""
        arrival_ns = self._clock.now_ns()
        try:
            call = self.open_as(principal, model, version, arrival_ns)
        except ProxyError as error:
            return self.refuse(error, model, arrival_ns)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        cancel = self.run(call, body, future.set_result)
        try:
            return await future
        except asyncio.CancelledError:
            if cancel is not None:
                future.cancel()
                cancel()
            raise

    def _parse(self, call: OpenCall, body: bytes | bytearray | memoryview) -> InferenceRequest:
        parsed = v2_json.parse(body, call.version, self._limits)
        queue = self.snapshot.models[call.version.model].policy.queue
        timeout_ns = queue.default_timeout_ns if parsed.timeout_us is None else parsed.timeout_us * NS_PER_US
        return InferenceRequest(
            call.version,
            parsed.inputs,
            parsed.rows,
            call.arrival_ns,
            call.arrival_ns + min(timeout_ns, queue.max_timeout_ns),
            request_id=parsed.request_id,
            outputs=parsed.outputs,
            priority=parsed.priority,
            principal_id=call.principal.principal_id,
        )

    def _join_or_submit(self, this: _Call) -> None:
        """Wait for an identical request's execution, or execute. One that must answer sooner than it executes itself."""
        if this.key is not None:
            leader = self._in_flight.leader(this.key)
            if leader is not None and leader.request.deadline_ns > this.request.deadline_ns:
                this.key = None
            elif not self._in_flight.join(this.key, this):
                return
        self._scheduler.submit(this.request, lambda _, outcome: self._done(this, outcome))

    def _done(self, this: _Call, outcome: InferenceResult | ProxyError) -> None:
        """The scheduler is through with `this`: answer it and all who waited for the same, or hand the lead over."""
        if this.key is None:
            self._answer(this, outcome)
            return
        if isinstance(outcome, InferenceResult):
            share = outcome.outputs.share(outcome.first_row, outcome.rows)
            self._cache.put(this.request.version.model, this.key, share, self._clock.now_ns())
        for waiter in self._in_flight.settle(this.key, this):
            if waiter is this or isinstance(outcome, InferenceResult) or outcome.reason is Reason.MODEL_ERROR:
                self._answer(waiter, outcome)
            else:
                self._join_or_submit(waiter)  # the leader's misfortune is not the follower's

    def _leave(self, this: _Call) -> None:
        """The client has left: nothing is written to it, and what only it waited for is not executed."""
        if this.answered:
            return
        this.answered = True
        self._metrics.on_answer(
            this.request.version.model,
            Cancelled.status,
            Reason.CANCELLED,
            self._clock.now_ns() - this.request.arrival_ns,
            0,
            0,
            None,
        )
        last = this if this.key is None else self._in_flight.leave(this.key, this)
        if last is not None:
            self._scheduler.cancel(last.request)

    def _answer(self, this: _Call, outcome: InferenceResult | ProxyError) -> None:
        if this.answered:
            return
        this.answered = True
        request = this.request
        model = request.version.model
        try:
            if isinstance(outcome, ProxyError):
                raise outcome
            body = v2_response.encode(outcome, request)
        except ProxyError as error:
            this.respond(self.refuse(error, model, request.arrival_ns))
            return
        except Exception:
            log.exception("an answer of %s could not be encoded", request.version.key)
            fault = ExecutionFailed(Reason.INTERNAL, "The answer could not be written; the server's log says why.")
            this.respond(self.refuse(fault, model, request.arrival_ns))
            return
        latency_ns = self._clock.now_ns() - request.arrival_ns
        cached = outcome.cache_hit if this.key is not None else None
        self._metrics.on_answer(model, 200, None, latency_ns, outcome.queue_ns, outcome.compute_ns, cached)
        this.respond(Answer(200, body, HIT_HEADERS if outcome.cache_hit else MISS_HEADERS))
