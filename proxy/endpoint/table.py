"""Which route a head leads to: path and method matched, headers that routes need picked out. Depends on the head only.

Rules: paths match byte for byte (no decoding, no trailing slash, no dot segments), so two spellings never mean one
model. Where a word of the protocol stands in a model's place (`WORDS`), the head alone cannot tell: the route names the
word as the model, too, and `routes` takes the model if there is one that the caller may ask.
Source: Open Inference Protocol, REST; Triton's statistics and model repository extensions; `GET /v2/models` is ours.
"""

from __future__ import annotations

from proxy.core import request_ids
from proxy.core.errors import MethodNotAllowed, NotFound, ProxyError, Reason
from proxy.protocol.media import PLAIN, body_form, sticky_key

Headers = list[tuple[bytes, bytes]]


class Head:
    """A request without its body. Header names are in lower case. `route` is kept once it was found.

    `request_id`: what the client calls the request, if it says so in a way that may be repeated (request_ids).
    """

    __slots__ = ("headers", "method", "raw_path", "request_id", "route")

    def __init__(self, method: str, raw_path: bytes, headers: Headers) -> None:
        self.method = method
        self.raw_path = raw_path
        self.headers = headers
        self.request_id = request_ids.of_headers(headers)
        self.route: Route | None = None


class Route:
    """Where a head leads: `kind` is a row of the table, or empty with the `error` that refuses it."""

    __slots__ = ("authorization", "error", "form", "kind", "media_error", "model", "sticky", "version")

    def __init__(self, kind: str, model: str = "", version: str | None = None) -> None:
        self.kind = kind
        self.model = model
        self.version = version
        self.authorization: bytes | None = None
        self.error: ProxyError | None = None
        self.form = PLAIN
        self.sticky: bytes | None = None
        self.media_error: ProxyError | None = None


CHANGES = ("load", "unload")
WORDS = {"stats": "all_stats"}  # words in a model's place, by their kind of route
POSTS = ("infer", "index", *CHANGES)  # every other row answers GET


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
    allowed = "POST" if route.kind in POSTS else "GET"
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
        route.sticky = sticky_key(head.headers)
    return route


def _match(parts: list[str]) -> Route | None:
    match parts:
        case ["metrics" as kind] | ["v2", "models" as kind] | ["v2", "health", "live" | "ready" as kind]:
            return Route(kind)
        case ["v2"]:
            return Route("server")
        case ["v2", "models", word] if word in WORDS:
            return Route(WORDS[word], word)
        case ["v2", "repository", "index" as kind]:
            return Route(kind)
        case ["v2", "repository", "models", model, "load" | "unload" as kind]:
            return Route(kind, model)
        case ["v2", "models", model, *rest]:
            return _match_model(model, rest)
    return None


_OF_MODEL = {(): "model", ("ready",): "model_ready", ("infer",): "infer", ("stats",): "stats", ("config",): "config"}


def _match_model(model: str, rest: list[str]) -> Route | None:
    version = None
    if len(rest) >= 2 and rest[0] == "versions":
        version, rest = rest[1], rest[2:]
    kind = _OF_MODEL.get(tuple(rest))
    return None if kind is None else Route(kind, model, version)
