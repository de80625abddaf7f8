"""The line that every inference request walks: read this page first.

    HTTP → head → authorise → version → body → cache → admit/queue → batch → instance → answer → metrics
           `open` (before the body is read)      `run` (ends in exactly one `respond`)

Rules: rights and version are checked before the body is read, so that a stranger cannot spend our parser; the version
is chosen before the cache, since the key contains its digest; `respond` is called exactly once for every `run`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.answering import Answering, Cancel, Respond
from proxy.authorization.authorization import authenticate, authorise, unknown_model
from proxy.cache.cache import ResultCache
from proxy.core.clock import Clock
from proxy.core.errors import NotReady, ProxyError, Reason
from proxy.core.principals import Principal
from proxy.core.reports import SecondReport
from proxy.core.requests import Answer, InferenceRequest
from proxy.core.snapshot import EMPTY_SNAPSHOT, Snapshot, VersionSnapshot
from proxy.core.units import NS_PER_S, NS_PER_US
from proxy.metrics.metrics import Metrics
from proxy.model_manager.model_manager import ModelManager
from proxy.model_manager.routing import choose_version
from proxy.protocol import v2_json
from proxy.protocol.limits import Limits
from proxy.scheduler.scheduler import Scheduler


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
        self.latest_report: SecondReport | None = None
        self.keys_used: set[str] = set()  # since the runtime last took them for its report
        self._clock = clock
        self._unix_time_s = unix_time_s
        self._manager = manager
        self._metrics = metrics
        self._answering = Answering(clock, cache, scheduler, metrics)
        self._limits = limits

    def open(self, model: str, version: str | None, authorization: bytes | None, arrival_ns: int) -> OpenCall:
        """Head → authorise → version. Raises ProxyError."""
        return self.open_as(self.authenticate(authorization), model, version, arrival_ns)

    def authenticate(self, authorization: bytes | None) -> Principal:
        """Who calls. Raises Unauthenticated; NotReady before the first snapshot, when every key would look unknown."""
        if self.snapshot is EMPTY_SNAPSHOT:
            raise NotReady(Reason.NOT_READY, "The server is starting and has not read its keys yet.", NS_PER_S)
        principal = authenticate(authorization, None, self.snapshot, self._unix_time_s())
        self.keys_used.add(principal.principal_id)
        return principal

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
        return self._answering.begin(request, respond)

    def refuse(self, error: ProxyError, model: str | None, arrival_ns: int) -> Answer:
        """An error as the answer that its client sees, counted under `model` where that is a registered one."""
        known = model if model is not None and model in self.snapshot.models else ""
        return self._answering.refuse(error, known, arrival_ns)

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

    def is_ready(self) -> bool:
        """True once the wanted state was read and every version in it answers or has failed."""
        return self.snapshot.generation > 0 and self._manager.is_settled()

    def is_live(self) -> bool:
        """True while this process answers at all."""
        return True

    def model_ready(self, name: str, number: int | None) -> bool:
        """True if a request for it (None: the default version) would be taken now."""
        routes = self._manager.routes
        return name in routes.defaults if number is None else number in routes.ready.get(name, {})

    def exposition(self) -> bytes:
        """Everything measured, as Prometheus text."""
        return self._metrics.exposition(self.latest_report)

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
