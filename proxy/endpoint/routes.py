"""The routes of the data plane, the same for both listeners: a head in, an answer or a call awaiting its body out.

Rules: rights are checked before the body is read; live, ready and server metadata need no key, everything else does;
metrics need a key that may ask every model, since their labels are model names; the repository needs an admin's key.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from proxy.authorization.authorization import authorise, unknown_model
from proxy.core.clock import Clock
from proxy.core.errors import (
    ExecutionFailed,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    NotReady,
    ProxyError,
    Reason,
)
from proxy.core.own_faults import Place
from proxy.core.principals import Principal
from proxy.core.release import VERSION
from proxy.core.requests import Answer
from proxy.core.snapshot import ModelSnapshot, Snapshot, VersionSnapshot
from proxy.endpoint.extensions import Extensions, check_admin
from proxy.endpoint.table import CHANGES, WORDS, Head, Route, find_route
from proxy.protocol import v2_config, v2_metadata, v2_repository
from proxy.protocol.media import PLAIN, BodyForm

if TYPE_CHECKING:
    from proxy.open_call import OpenCall

Body = bytes | bytearray | memoryview
Respond = Callable[[Answer], None]
Cancel = Callable[[], None]
Complete = Callable[[Body, Respond], Cancel | None]
METRICS_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


class Line(Protocol):
    """What the endpoint needs of the pipeline."""

    @property
    def snapshot(self) -> Snapshot:
        """The wanted state."""
        ...

    def open(
        self, model: str, version: str | None, authorization: bytes | None, arrival_ns: int, sticky: bytes | None = None
    ) -> OpenCall:
        """Head → authorise → version."""
        ...

    def run(self, call: OpenCall, body: Body, respond: Respond, form: BodyForm = ...) -> Cancel | None:
        """Body → answer, exactly one."""
        ...

    def refuse(self, error: ProxyError, model: str | None, arrival_ns: int, header_id: str | None = None) -> Answer:
        """An error as an answer, counted."""
        ...

    def on_fault(self, place: Place, words: str, error: Exception) -> None:
        """Count a fault of our own, and say so unless that was said lately."""
        ...

    def authenticate(self, authorization: bytes | None) -> Principal:
        """Who calls."""
        ...

    def is_live(self) -> bool:
        """The process answers."""
        ...

    def is_ready(self) -> bool:
        """Every wanted model can answer."""
        ...

    def model_ready(self, name: str, number: int | None) -> bool:
        """A model's version (None: the default one) can answer."""
        ...

    def labelled(self, model: ModelSnapshot, label: str) -> int | None:
        """Number of the version that a label of the model means now."""
        ...

    def exposition(self) -> bytes:
        """Prometheus text."""
        ...


class PendingBody:
    """An accepted head that waits for its body of at most `max_body_bytes`.

    `complete(body, respond)` runs the call: `respond` is called exactly once, maybe before it returns; what it returns
    takes the call back.
    """

    __slots__ = ("_arrival_ns", "_header_id", "_line", "_model", "complete", "max_body_bytes")

    def __init__(
        self,
        line: Line,
        model: str,
        arrival_ns: int,
        max_body_bytes: int,
        complete: Complete,
        header_id: str | None,
    ) -> None:
        self._line = line
        self._model = model
        self._arrival_ns = arrival_ns
        self._header_id = header_id
        self.complete = complete
        self.max_body_bytes = max_body_bytes

    def refuse(self, error: ProxyError) -> Answer:
        """The answer to a body that cannot be read."""
        return self._line.refuse(error, self._model, self._arrival_ns, self._header_id)


class Routes:
    """Opens heads against one pipeline."""

    def __init__(self, line: Line, clock: Clock, extensions: Extensions | None = None) -> None:
        self.line = line
        self.clock = clock
        self.extensions = extensions

    def open(self, head: Head) -> Answer | PendingBody:
        """The answer, or the call that waits for its body. Never raises."""
        arrival_ns = self.clock.now_ns()
        route = head.route
        if route is None:
            route = head.route = find_route(head)
        try:
            if route.kind == "infer":
                return self._infer(route, arrival_ns, head.request_id)
            if route.kind in CHANGES or route.kind == "index":
                return self._repository(route, arrival_ns, head.request_id)
            if route.error is not None:
                return self._refuse(route, route.error, arrival_ns, head.request_id)
            return self._read(route)
        except ProxyError as error:
            return self.line.refuse(error, route.model, arrival_ns, head.request_id)
        except Exception as error:
            self.line.on_fault(Place.HEAD, "a request's head could not be answered", error)
            fault = ExecutionFailed(Reason.INTERNAL, "The server failed; its log says why.")
            return self.line.refuse(fault, route.model, arrival_ns, head.request_id)

    def _infer(self, route: Route, arrival_ns: int, header_id: str | None) -> Answer | PendingBody:
        call = self.line.open(route.model, route.version, route.authorization, arrival_ns, route.sticky)
        call.header_id = header_id
        if route.media_error is not None:
            return self.line.refuse(route.media_error, route.model, arrival_ns, header_id)
        form = route.form
        run = partial(self.line.run, call) if form is PLAIN else partial(self.line.run, call, form=form)
        return PendingBody(self.line, route.model, arrival_ns, call.max_body_bytes, run, header_id)

    def _repository(self, route: Route, arrival_ns: int, header_id: str | None) -> PendingBody:
        """The model repository extension: rights now, the rest when the body is there."""
        extensions = self._extensions()
        principal = self.line.authenticate(route.authorization)
        check_admin(principal)
        if route.kind in CHANGES and route.model not in self.line.snapshot.models:
            raise unknown_model(route.model)

        def complete(body: Body, respond: Respond) -> Cancel | None:
            def answer(outcome: Answer | ProxyError) -> None:
                if isinstance(outcome, ProxyError):
                    outcome = self.line.refuse(outcome, route.model, arrival_ns, header_id)
                respond(outcome)

            try:
                if route.kind == "index":
                    respond(Answer(200, extensions.index(principal, bytes(body))))
                    return None
                v2_repository.check_change(route.kind, bytes(body))
            except ProxyError as error:
                answer(error)
                return None
            return extensions.change(principal, route.model, loaded=route.kind == "load", respond=answer)

        return PendingBody(self.line, route.model, arrival_ns, v2_repository.MAX_BODY_BYTES, complete, header_id)

    def _extensions(self) -> Extensions:
        if self.extensions is None:
            raise NotFound(Reason.UNKNOWN_ROUTE, "This server has no such extension.")
        return self.extensions

    def _refuse(self, route: Route, error: ProxyError, arrival_ns: int, header_id: str | None) -> Answer:
        answer = self.line.refuse(error, None, arrival_ns, header_id)
        if isinstance(error, MethodNotAllowed):
            allow = (b"allow", (route.version or "GET").encode())
            return Answer(answer.status, answer.body, (*answer.headers, allow))
        return answer

    def _read(self, route: Route) -> Answer:
        """Every route but inference."""
        line = self.line
        if route.kind == "live":
            is_live = line.is_live()
            return Answer(200 if is_live else 503, v2_metadata.live(is_live=is_live))
        if route.kind == "ready":
            is_ready = line.is_ready()
            return Answer(200 if is_ready else 503, v2_metadata.server_ready(is_ready=is_ready))
        if route.kind == "server":
            return Answer(200, v2_metadata.server(VERSION))
        principal = line.authenticate(route.authorization)
        if route.kind == "metrics":
            if principal.models is not None:
                raise Forbidden(Reason.FORBIDDEN, "Metrics need a key that may ask every model.")
            return Answer(200, line.exposition(), (METRICS_TYPE,))
        if route.kind == "models":
            return self._models(principal)
        is_model = route.model in line.snapshot.models and principal.may_infer(route.model)
        if route.kind == "all_stats" and not is_model:
            return Answer(200, self._extensions().statistics(principal, None, None))
        return self._read_model(route, principal)

    def _read_model(self, route: Route, principal: Principal) -> Answer:
        """Metadata, readiness and statistics of one model."""
        line = self.line
        authorise(principal, route.model)
        model = line.snapshot.models.get(route.model)
        if model is None:
            raise unknown_model(route.model)
        if route.kind == "model" or route.kind == WORDS.get(route.model):
            return Answer(200, v2_metadata.model(model, self._version(model, route.version)))
        if route.kind == "config":
            return Answer(200, v2_config.encode(model, self._version(model, route.version)))
        number = None if route.version is None else self._version(model, route.version).number
        if route.kind == "stats":
            return Answer(200, self._extensions().statistics(principal, model.name, number))
        is_ready = line.model_ready(model.name, number)
        return Answer(200 if is_ready else 503, v2_metadata.ready(model.name, is_ready=is_ready))

    def _models(self, principal: Principal) -> Answer:
        models = sorted(self.line.snapshot.models.items())
        allowed = [(m, self.line.model_ready(name, None)) for name, m in models if principal.may_infer(name)]
        return Answer(200, v2_metadata.models(allowed))

    def _version(self, model: ModelSnapshot, version: str | None) -> VersionSnapshot:
        """The version that a path names by number or label, ready or not; the default one where it names none."""
        if version is None:
            if model.default_version is None or model.default_version not in model.versions:
                raise NotReady(Reason.NOT_READY, f"The model {model.name} has no version to serve yet.")
            return model.versions[model.default_version]
        named = self.line.labelled(model, version)
        for number, found in model.versions.items():
            if number == named or str(number) == version:
                return found
        raise NotFound(Reason.UNKNOWN_VERSION, f"The model {model.name} has no such version loaded.")
