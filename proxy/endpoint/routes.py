"""The routes of the data plane, the same for both listeners: a head in, an answer or a call awaiting its body out.

Rules: rights are checked before the body is read; paths match byte for byte (no decoding, no trailing slash, no dot
segments), so two spellings never mean one model; live, ready and server metadata need no key, everything else does;
metrics need a key that may ask every model, since their labels are model names.
Source: Open Inference Protocol, REST; `GET /v2/models` is ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
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
from proxy.core.principals import Principal
from proxy.core.requests import Answer
from proxy.core.snapshot import ModelSnapshot, Snapshot, VersionSnapshot
from proxy.protocol import v2_metadata
from proxy.protocol.media import PLAIN, BodyForm, body_form

if TYPE_CHECKING:
    from proxy.open_call import OpenCall

log = logging.getLogger(__name__)

Body = bytes | bytearray | memoryview
Respond = Callable[[Answer], None]
Cancel = Callable[[], None]
Headers = list[tuple[bytes, bytes]]
METRICS_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
SERVER_VERSION = "0.1.0"


class Line(Protocol):
    """What the endpoint needs of the pipeline."""

    @property
    def snapshot(self) -> Snapshot:
        """The wanted state."""
        ...

    def open(self, model: str, version: str | None, authorization: bytes | None, arrival_ns: int) -> OpenCall:
        """Head → authorise → version."""
        ...

    def run(self, call: OpenCall, body: Body, respond: Respond, form: BodyForm = ...) -> Cancel | None:
        """Body → answer, exactly one."""
        ...

    def refuse(self, error: ProxyError, model: str | None, arrival_ns: int) -> Answer:
        """An error as an answer, counted."""
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

    def exposition(self) -> bytes:
        """Prometheus text."""
        ...


class Head:
    """A request without its body. Header names are in lower case. `route` is kept once it was found."""

    __slots__ = ("headers", "method", "raw_path", "route")

    def __init__(self, method: str, raw_path: bytes, headers: Headers) -> None:
        self.method = method
        self.raw_path = raw_path
        self.headers = headers
        self.route: Route | None = None


class Route:
    """Where a head leads: `kind` is a row of the table, or empty with the `error` that refuses it."""

    __slots__ = ("authorization", "error", "form", "kind", "media_error", "model", "version")

    def __init__(self, kind: str, model: str = "", version: str | None = None) -> None:
        self.kind = kind
        self.model = model
        self.version = version
        self.authorization: bytes | None = None
        self.error: ProxyError | None = None
        self.form = PLAIN
        self.media_error: ProxyError | None = None


class PendingBody:
    """An accepted head that waits for its body of at most `max_body_bytes`."""

    __slots__ = ("_call", "_form", "_line", "_model", "max_body_bytes")

    def __init__(self, line: Line, call: OpenCall, model: str, form: BodyForm) -> None:
        self._line = line
        self._call = call
        self._model = model
        self._form = form
        self.max_body_bytes = call.max_body_bytes

    def complete(self, body: Body, respond: Respond) -> Cancel | None:
        """Run the call. `respond` is called exactly once, maybe before this returns; the result takes the call back."""
        return self._line.run(self._call, body, respond, self._form)

    def refuse(self, error: ProxyError) -> Answer:
        """The answer to a body that cannot be read."""
        return self._line.refuse(error, self._model, self._call.arrival_ns)


METHODS = {"infer": "POST"}  # every other row answers GET


def find_route(head: Head) -> Route:
    """The route of a head; depends on nothing but the head."""
    path = head.raw_path.partition(b"?")[0].decode("latin-1")
    route = _match(path.split("/")[1:]) if path.startswith("/") else None
    if head.method in ("CONNECT", "TRACE"):
        route = route or Route("none")
    if route is None:
        route = Route("")
        message = "There is no such route; inference is POST /v2/models/{name}/infer."
        route.error = NotFound(Reason.UNKNOWN_ROUTE, message)
        return route
    allowed = METHODS.get(route.kind, "GET")
    if head.method != allowed or route.kind == "none":
        route.kind, route.version = "", allowed
        route.error = MethodNotAllowed(Reason.METHOD_NOT_ALLOWED, f"This route answers {allowed}.")
        return route
    credentials = [value for name, value in head.headers if name == b"authorization"]
    route.authorization = credentials[0] if credentials else None
    if route.kind == "infer":
        try:
            route.form = body_form(head.headers)
        except ProxyError as error:
            route.media_error = error
    return route


def _match(parts: list[str]) -> Route | None:
    match parts:
        case ["metrics" as kind] | ["v2", "models" as kind] | ["v2", "health", "live" | "ready" as kind]:
            return Route(kind)
        case ["v2"]:
            return Route("server")
        case ["v2", "models", model, *rest]:
            return _match_model(model, rest)
    return None


def _match_model(model: str, rest: list[str]) -> Route | None:
    version = None
    if len(rest) >= 2 and rest[0] == "versions":
        version, rest = rest[1], rest[2:]
    kind = {(): "model", ("ready",): "model_ready", ("infer",): "infer"}.get(tuple(rest))
    return None if kind is None else Route(kind, model, version)


class Routes:
    """Opens heads against one pipeline."""

    def __init__(self, line: Line, clock: Clock) -> None:
        self.line = line
        self.clock = clock

    def open(self, head: Head) -> Answer | PendingBody:
        """The answer, or the call that waits for its body. Never raises."""
        arrival_ns = self.clock.now_ns()
        route = head.route
        if route is None:
            route = head.route = find_route(head)
        try:
            if route.kind == "infer":
                return self._infer(route, arrival_ns)
            if route.error is not None:
                return self._refuse(route, route.error, arrival_ns)
            return self._read(route)
        except ProxyError as error:
            return self.line.refuse(error, route.model, arrival_ns)
        except Exception:
            log.exception("a request's head could not be answered")
            fault = ExecutionFailed(Reason.INTERNAL, "The server failed; its log says why.")
            return self.line.refuse(fault, route.model, arrival_ns)

    def _infer(self, route: Route, arrival_ns: int) -> Answer | PendingBody:
        call = self.line.open(route.model, route.version, route.authorization, arrival_ns)
        if route.media_error is not None:
            return self.line.refuse(route.media_error, route.model, arrival_ns)
        return PendingBody(self.line, call, route.model, route.form)

    def _refuse(self, route: Route, error: ProxyError, arrival_ns: int) -> Answer:
        answer = self.line.refuse(error, None, arrival_ns)
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
            return Answer(200, v2_metadata.server(SERVER_VERSION))
        principal = line.authenticate(route.authorization)
        if route.kind == "metrics":
            if principal.models is not None:
                raise Forbidden(Reason.FORBIDDEN, "Metrics need a key that may ask every model.")
            return Answer(200, line.exposition(), (METRICS_TYPE,))
        if route.kind == "models":
            return self._models(principal)
        authorise(principal, route.model)
        model = line.snapshot.models.get(route.model)
        if model is None:
            raise unknown_model(route.model)
        if route.kind == "model":
            return Answer(200, v2_metadata.model(model, _version(model, route.version)))
        number = None if route.version is None else _version(model, route.version).number
        is_ready = line.model_ready(model.name, number)
        return Answer(200 if is_ready else 503, v2_metadata.ready(model.name, is_ready=is_ready))

    def _models(self, principal: Principal) -> Answer:
        models = sorted(self.line.snapshot.models.items())
        allowed = [(m, self.line.model_ready(name, None)) for name, m in models if principal.may_infer(name)]
        return Answer(200, v2_metadata.models(allowed))


def _version(model: ModelSnapshot, version: str | None) -> VersionSnapshot:
    if version is None:
        if model.default_version is None or model.default_version not in model.versions:
            raise NotReady(Reason.NOT_READY, f"The model {model.name} has no version to serve yet.")
        return model.versions[model.default_version]
    for number, found in model.versions.items():
        if str(number) == version:
            return found
    raise NotFound(Reason.UNKNOWN_VERSION, f"The model {model.name} has no such version loaded.")
