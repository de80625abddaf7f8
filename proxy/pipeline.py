"""The line that every inference request walks: read this page first.

    HTTP → head → authorise → version → body → cache → admit/queue → batch → instance → answer → metrics
           `open` (before the body is read)      `run` (ends in exactly one `respond`)

Rules: rights and version are checked before the body is read, so that a stranger cannot spend our parser; the version
is chosen before the cache, since the key contains its digest; `respond` is called exactly once for every `run`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from proxy.answering import Answering
from proxy.authorization.authorization import Recognised, authorise, unknown_model
from proxy.authorization.quota import Quotas
from proxy.cache.cache import ResultCache
from proxy.call import Cancel, Respond
from proxy.core import request_ids
from proxy.core.clock import Clock
from proxy.core.errors import Cancelled, NotReady, ProxyError, Reason
from proxy.core.own_faults import Place
from proxy.core.principals import Principal
from proxy.core.requests import Answer
from proxy.core.snapshot import EMPTY_SNAPSHOT
from proxy.core.units import NS_PER_S
from proxy.metrics.metrics import Metrics
from proxy.model_manager.model_manager import ModelManager
from proxy.model_manager.routing import choose_version
from proxy.offload import Offload
from proxy.open_call import OpenCall
from proxy.openings import Openings
from proxy.protocol import v2_request
from proxy.protocol.limits import Limits
from proxy.protocol.media import PLAIN, BodyForm, Headers, body_form, sticky_key
from proxy.protocol.parsed import ParsedRequest
from proxy.protocol.v2_request import Body
from proxy.rollout.rollout import Shadows
from proxy.scheduler.scheduler import Scheduler
from proxy.system import draw
from proxy.views import Views


class Pipeline(Views):
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
        super().__init__(manager, metrics)
        self.keys_used: set[str] = set()  # since the runtime last took them for its report
        self._clock = clock
        self._unix_time_s = unix_time_s
        self._offload = Offload()
        self.shadows = Shadows(clock, scheduler, self.ready_version, self._offload, draw, metrics.own_faults)
        self._answering = Answering(clock, cache, scheduler, metrics, self._offload, self.shadows)
        self._limits = limits
        self._recognised = Recognised()
        self._openings = Openings()
        self._quotas = Quotas(draw)

    def open(
        self, model: str, version: str | None, authorization: bytes | None, arrival_ns: int, sticky: bytes | None = None
    ) -> OpenCall:
        """Head → who calls, within its rate → authorise → version. Raises ProxyError."""
        asked = (model, version, authorization)
        known = self._openings.find(asked, self.snapshot, self._manager.routes)
        if known is not None:
            principal, chosen = known
            self.keys_used.add(principal.principal_id)
            return OpenCall(principal, chosen, version, arrival_ns, self._limits.max_body_bytes, sticky)
        principal = self.authenticate(authorization)
        if principal.requests_per_s:
            self._quotas.spend(principal, arrival_ns)
        call = self.open_as(principal, model, version, arrival_ns, sticky)
        if self._recognised.is_lasting(authorization):
            self._openings.keep(asked, principal, call.version)
        return call

    def authenticate(self, authorization: bytes | None) -> Principal:
        """Who calls. Raises Unauthenticated; NotReady before the first snapshot, when every key would look unknown."""
        if self.snapshot is EMPTY_SNAPSHOT:
            raise NotReady(Reason.NOT_READY, "The server is starting and has not read its keys yet.", NS_PER_S)
        principal = self._recognised.authenticate(authorization, self.snapshot, self._unix_time_s())
        self.keys_used.add(principal.principal_id)
        return principal

    def open_as(
        self, principal: Principal, model: str, version: str | None, arrival_ns: int, sticky: bytes | None = None
    ) -> OpenCall:
        """As `open`, for a caller who is known and whose request was counted."""
        authorise(principal, model)
        if model not in self.snapshot.models:
            raise unknown_model(model)
        try:
            chosen = choose_version(self._manager.routes, self.snapshot.models, model, version, sticky, draw())
        except NotReady:
            woken = self._manager.wake(model, version)
            if woken is None:
                raise
            chosen = woken
        return OpenCall(principal, chosen, version, arrival_ns, self._limits.max_body_bytes, sticky)

    def run(self, call: OpenCall, body: Body, respond: Respond, form: BodyForm = PLAIN) -> Cancel | None:
        """Body → cache → scheduler → answer. The returned function takes the request back (its client left)."""
        if not call.received_ns:
            call.received_ns = self._clock.now_ns()
        try:
            if not self._manager.routes.answers(call.version):  # it left while the body was on its way
                before, model = call, call.version.model
                call = self.open_as(call.principal, model, call.asked_version, call.arrival_ns, call.sticky)
                call.received_ns, call.header_id = before.received_ns, before.header_id
            if form is PLAIN and type(body) is bytes:
                repeated = self._answering.repeat(call, body)
                if repeated is not None:
                    respond(repeated)
                    return None
            if v2_request.is_heavy(body, form, call.version):
                read = partial(v2_request.parse, body, call.version, self._limits, form)
                return self._offload.begin(read, len(body), partial(self._after_reading, call, body, respond, form))
            parsed = v2_request.parse(body, call.version, self._limits, form)
        except ProxyError as error:
            return self._go_on(call, respond, form, error)
        return self._go_on(call, respond, form, parsed, body if form is PLAIN and type(body) is bytes else None)

    def _after_reading(
        self, call: OpenCall, body: Body, respond: Respond, form: BodyForm, read: ParsedRequest | ProxyError
    ) -> Cancel | None:
        """The thread has read the body; if its version left meanwhile, it is read again for the one that answers."""
        if isinstance(read, ProxyError) or self._manager.routes.answers(call.version):
            return self._go_on(call, respond, form, read)
        return self.run(call, body, respond, form)

    def _go_on(
        self,
        call: OpenCall,
        respond: Respond,
        form: BodyForm,
        read: ParsedRequest | ProxyError,
        body: bytes | None = None,
    ) -> Cancel | None:
        """The body was read, or refused. `body` is given where the next one like it need not be read again."""
        model = call.version.model
        if isinstance(read, ProxyError):
            answer = self._answering.refuse_body(call, read, self._known(model))
            if not isinstance(read, Cancelled):
                respond(answer)
            return None
        request = call.request(read, self.snapshot.models[model].policy.queue)
        if self._manager.waking:  # a request waits no longer for a version to wake than its policy says
            limit_ns = self._manager.waking.get(call.version.key, request.deadline_ns)
            request.deadline_ns = min(request.deadline_ns, request.arrival_ns + limit_ns)
        return self._answering.begin(request, respond, call.received_ns, body, with_timing=form.with_timing)

    def refuse(self, error: ProxyError, model: str | None, arrival_ns: int, header_id: str | None = None) -> Answer:
        """An error as the answer that its client sees, counted under `model` where that is a registered one."""
        return self._answering.refuse(error, self._known(model), arrival_ns, header_id)

    def on_fault(self, place: Place, words: str, error: Exception) -> None:
        """Count a fault of our own that is being answered, and say so unless that was said lately."""
        self._answering.on_fault(place, words, error)

    def _known(self, model: str | None) -> str:
        return model if model is not None and model in self.snapshot.models else ""

    async def answer(
        self, principal: Principal, model: str, version: str | None, body: bytes, headers: Headers = ()
    ) -> Answer:
        """`open` and `run` for a caller that Django has authenticated. A cancelled one takes its request with it."""
        arrival_ns, header_id = self._clock.now_ns(), request_ids.of_headers(headers)
        try:
            if principal.requests_per_s:
                self._quotas.spend(principal, arrival_ns)
            call = self.open_as(principal, model, version, arrival_ns, sticky_key(headers))
            call.header_id = header_id
            form = body_form(headers)
        except ProxyError as error:
            return self.refuse(error, model, arrival_ns, header_id)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def respond(answer: Answer) -> None:
            if not future.done():  # else the caller left while its answer was written
                future.set_result(answer)

        cancel = self.run(call, body, respond, form)
        try:
            return await future
        except asyncio.CancelledError:
            if cancel is not None:
                cancel()
            raise

    def close(self) -> None:
        """End the thread for heavy bodies; nothing may be running any more."""
        self._offload.close()
