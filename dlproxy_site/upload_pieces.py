"""Cuts a long PATCH of a resumable upload into short ones, so that what came before a lost connection is kept.

Place: between the body guard and Django's handler, which would take a whole body in before any view runs, and drop it
when the connection ends early.
Rules: each piece is a request of its own to Django, judged and acknowledged as such; a request with a checksum stays
whole, since none of its bytes may be kept before all are verified. The sender waits while a piece is written.
Source: tus 1.0.0, "PATCH" (a server should keep as much of a broken request as it can) and X-HTTP-Method-Override.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

UPLOAD = re.compile(r"^/api/v1/uploads/[^/]+/?$")
PIECE_BYTES = 4_194_304
"""Larger: fewer flushes and look-ups of the caller a second; smaller: less memory for each upload under way, and less
that the end of this process loses. A lost connection loses nothing: its last piece is what has come."""
NO_CONTENT = 204
OVERRIDES = frozenset({b"PATCH", b"DELETE"})


class UploadPieces:
    """ASGI middleware around Django's handler."""

    def __init__(self, application: Application, piece_bytes: int = PIECE_BYTES) -> None:
        self._application = application
        self._piece_bytes = piece_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request: passed on untouched, or in pieces."""
        if UPLOAD.match(scope["path"]):
            headers = dict(scope["headers"])
            scope = {**scope, "method": _method(scope["method"], headers)}
            if _may_be_cut(scope["method"], headers):
                await self._in_pieces(scope, int(headers[b"upload-offset"]), receive, send)
                return
        await self._application(scope, receive, send)

    async def _in_pieces(self, scope: Scope, offset: int, receive: Receive, send: Send) -> None:
        body = _Body(receive)
        while True:
            piece = await body.read(self._piece_bytes)
            if body.broke_off and not piece:
                return
            answer = await self._ask(_scope_of(scope, offset, len(piece)), piece)
            offset += len(piece)
            if body.ended or answer[0]["status"] != NO_CONTENT:
                break
        if body.broke_off:
            return
        if not body.ended:  # the rest is not wanted
            answer[0]["headers"] = [*answer[0]["headers"], (b"connection", b"close")]
        for message in answer:
            await send(message)

    async def _ask(self, scope: Scope, piece: bytes) -> list[Message]:
        """The application's whole answer to one piece."""
        answer: list[Message] = []
        pending = [{"type": "http.request", "body": piece, "more_body": False}]

        async def receive() -> Message:
            if not pending:
                await asyncio.Event().wait()  # the sender's going does not undo a piece that is here
            return pending.pop()

        async def send(message: Message) -> None:
            answer.append(message)

        await self._application(scope, receive, send)
        return answer


class _Body:
    """A request's body, read in pieces."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept = bytearray()
        self._more = True
        self.broke_off = False

    @property
    def ended(self) -> bool:
        """Whether nothing is left to read."""
        return not self._more and not self._kept

    async def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer only where the body ends or breaks off."""
        while self._more and len(self._kept) < size:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._more, self.broke_off = False, True
            else:
                self._kept += message.get("body", b"")
                self._more = message.get("more_body", False)
        piece = bytes(self._kept[:size])
        del self._kept[:size]
        return piece


def stays_whole(scope: Scope) -> bool:
    """True for a request to an upload that Django takes in whole, before any view runs. Pure."""
    headers = dict(scope["headers"])
    return UPLOAD.match(scope["path"]) is not None and not _may_be_cut(_method(scope["method"], headers), headers)


def _method(method: str, headers: dict[bytes, bytes]) -> str:
    """The method that is meant. Pure."""
    override = headers.get(b"x-http-method-override", b"")
    return override.decode() if method == "POST" and override in OVERRIDES else method


def _may_be_cut(method: str, headers: dict[bytes, bytes]) -> bool:
    """A piece whose place is known and whose bytes may be kept one by one. Pure."""
    offset = headers.get(b"upload-offset", b"")
    return method == "PATCH" and b"upload-checksum" not in headers and offset.isdigit() and len(offset) < 16


def _scope_of(scope: Scope, offset: int, size_bytes: int) -> Scope:
    """The scope of the request that one piece is. Pure."""
    own = {b"upload-offset": str(offset).encode(), b"content-length": str(size_bytes).encode()}
    return {**scope, "headers": [(name, own.get(name, value)) for name, value in scope["headers"]]}
