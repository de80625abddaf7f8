"""The data plane's routes as an ASGI application, for the dashboard's port (uvicorn, or daphne in development).

Place: called by the site's ASGI application ahead of Django. Framing is the server's; meaning is `routes`, so both
ports give the same answers. One task more for each request than the inference port: it watches for the client leaving.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from proxy.core import request_ids
from proxy.core.clock import Clock
from proxy.core.errors import InvalidRequest, Reason
from proxy.core.requests import Answer
from proxy.endpoint.answers import with_content_type, without_id
from proxy.endpoint.extensions import Extensions
from proxy.endpoint.refusals import too_large
from proxy.endpoint.routes import Line, PendingBody, Routes
from proxy.endpoint.table import Head
from proxy.system import SystemClock

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ONCE = (b"authorization", b"content-type", b"host", b"content-length")


class _ClientLeft(Exception):
    """The client closed before it was answered."""


class InferenceApp:
    """Answers `http` scopes."""

    def __init__(self, pipeline: Line, extensions: Extensions | None = None, clock: Clock | None = None) -> None:
        self._line = pipeline
        self._clock = clock or SystemClock()
        self._routes = Routes(pipeline, self._clock, extensions)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        head = Head(scope["method"], _raw_path(scope), list(scope["headers"]))
        opened: Answer | PendingBody
        if _given_twice(head):
            error = InvalidRequest(Reason.INVALID_REQUEST, "A header that may stand once is given twice.")
            opened = self._line.refuse(error, None, self._clock.now_ns(), head.request_id)
        else:
            opened = self._routes.open(head)
        if isinstance(opened, PendingBody) and _declared_bytes(head) > opened.max_body_bytes:
            opened = opened.refuse(too_large(opened.max_body_bytes))
        try:
            answer = await self._complete(opened, receive) if isinstance(opened, PendingBody) else opened
        except _ClientLeft:
            return
        headers = with_content_type(answer.headers)
        if head.request_id:
            echo = (request_ids.HEADER, head.request_id.encode())
            headers = (*with_content_type(without_id(answer).headers), echo)
        length = (b"content-length", b"%d" % len(answer.body))
        await send({"type": "http.response.start", "status": answer.status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": answer.body})

    async def _complete(self, pending: PendingBody, receive: Receive) -> Answer:
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientLeft
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > pending.max_body_bytes:
                return pending.refuse(too_large(pending.max_body_bytes))
        return await self._run(pending, body, receive)

    async def _run(self, pending: PendingBody, body: bytearray, receive: Receive) -> Answer:
        """Wait for the answer or for the client to leave, whichever is first."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def respond(answer: Answer) -> None:
            if not future.done():
                future.set_result(answer)

        cancel = pending.complete(body, respond)
        if future.done():
            return future.result()
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait((future, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not future.done():
                future.cancel()
                if cancel is not None:
                    cancel()
        if future.cancelled():
            raise _ClientLeft
        return future.result()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _given_twice(head: Head) -> bool:
    names = [name for name, _ in head.headers]
    return any(names.count(name) > 1 for name in ONCE)


def _declared_bytes(head: Head) -> int:
    """Content-Length, so that a body over the limit is refused before it is sent; 0 where there is none."""
    lengths = [value for name, value in head.headers if name == b"content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdigit() else 0


def _raw_path(scope: Scope) -> bytes:
    """The path as it was sent, where the server says; else as it was decoded."""
    raw: bytes | None = scope.get("raw_path")
    return raw if raw else str(scope["path"]).encode()
