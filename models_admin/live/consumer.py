"""One live socket: logged-in people only, read only, always the newest state.

Rules: closes with 4401 without a login (at once) or after it ended (within RECHECK_S, W3); 4429 above the caps (W8).
What the page sends is small, rare JSON ("resync", "pause", "resume"); anything else is ignored or ends the socket (W4,
W6), and nothing that it sends changes anything (W12). A reader that does not keep up is written nothing; when it has
caught up it gets the difference from what it last got to the newest second (W7), and one that takes nothing for
STALL_S is closed. Seconds come by a call and leave by a pipe (pipes.py): no task, no queue and no channel layer.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from models_admin.live import pipes, sessions, views
from models_admin.live.limits import MAX_MESSAGE_BYTES, Allowance, Places
from models_admin.live.logins import CLOSE_FAULT, CLOSE_LOGGED_OUT, Logins
from models_admin.live.messages import State
from models_admin.live.publisher import publisher

log = logging.getLogger(__name__)

STALL_S = 20.0
CLOSE_WAIT_S = 2.0
"""How long a peer that does not read may keep its close frame waiting; then the connection ends without one."""

CLOSE_UNSUPPORTED = 1003
CLOSE_POLICY = 1008
CLOSE_TOO_BIG = 1009
CLOSE_STALLED = 1013
CLOSE_TOO_MANY = 4429

places = Places()
logins = Logins()


class LiveConsumer(AsyncWebsocketConsumer):
    """Sends a snapshot, then a difference each second."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._leaving: list[Callable[[], None]] = []
        self._closing: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One socket. However it ends, its place is free."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._release()

    async def connect(self) -> None:
        """Accept first, so that the close code reaches the page."""
        loop = asyncio.get_running_loop()
        self._sent: State | None = None
        self._paused = False
        self._behind_since_s: float | None = None
        self._allowance = Allowance(loop.time())
        session = self.scope.get("session")
        session_key = session.session_key if session is not None else None
        await self.accept()
        login = await database_sync_to_async(sessions.login)(session_key)
        if login is None:
            await self.close(CLOSE_LOGGED_OUT)
        elif (view := views.asked(self.scope["query_string"])) is None:
            await self.close(CLOSE_POLICY)
        elif not places.take(login.who[0]):
            await self.close(CLOSE_TOO_MANY)
        else:
            self._view, self._pipe = view, pipes.pipe_to(self.scope, self._send_text, self._tell)
            self._leaving = [
                lambda: places.leave(login.who[0]),
                publisher.watch(self._tell),
                logins.hold(self._end, session_key, login),
                self._pipe.stop,
            ]
            self._tell()

    async def disconnect(self, code: int) -> None:
        """Give the place back."""
        del code
        await self._release()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """A message of the page."""
        if bytes_data is not None or text_data is None:
            await self.close(CLOSE_UNSUPPORTED)
            return
        if len(text_data) > MAX_MESSAGE_BYTES:
            await self.close(CLOSE_TOO_BIG)
            return
        if not self._allowance.spend(asyncio.get_running_loop().time()):
            await self.close(CLOSE_POLICY)
            return
        self._obey(_kind(text_data))

    async def _release(self) -> None:
        """Give everything back, once."""
        self._leave()
        closing, self._closing = self._closing, None
        if closing is not None:
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)

    def _leave(self) -> None:
        leaving, self._leaving = self._leaving, []
        for leave in leaving:
            leave()

    def _obey(self, kind: str | None) -> None:
        if kind == "pause":
            self._paused = True
            self._sent = None  # a hidden tab may stay for days; the next second it gets is a snapshot
        elif kind in {"resume", "resync"}:
            self._paused = False
            self._sent = None
            self._tell()

    def _tell(self) -> None:
        """A second is over, or the reader has caught up. A fault ends this socket only."""
        if not self._leaving:
            return
        try:
            self._send_newest()
        except Exception:  # whatever it is, the next socket is told
            log.exception("live socket ended by a fault")
            self._end(CLOSE_FAULT)

    def _send_newest(self) -> None:
        if self._paused:
            self._behind_since_s = None
        elif self._pipe.is_behind:
            self._wait_for_reader()
        else:
            self._behind_since_s = None
            message = publisher.message_after(self._sent, self._view)
            if message is not None:
                self._sent = publisher.newest
                self._pipe.write(message)

    def _wait_for_reader(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._behind_since_s is None:
            self._behind_since_s = now_s
        elif now_s - self._behind_since_s >= STALL_S:
            self._end(CLOSE_STALLED)

    async def _send_text(self, text: str) -> None:
        """By ASGI, where the server has no other way."""
        try:
            await self.send(text_data=text)
        except Exception:
            log.exception("live socket ended by a fault")
            self._end(CLOSE_FAULT)

    def _end(self, code: int) -> None:
        """Close from outside of the socket's own messages. No second is sent any more, whenever its peer reads."""
        if self._leaving:
            self._leave()
            self._closing = asyncio.get_running_loop().create_task(self._close(code))

    async def _close(self, code: int) -> None:
        """Say the code; end the connection of a peer that does not take it."""
        try:
            async with asyncio.timeout(CLOSE_WAIT_S):
                await self.close(code)
        except TimeoutError:
            self._pipe.abort()


def _kind(text: str) -> str | None:
    """The message's type; None for what is not a JSON object with one."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    kind = message.get("type") if isinstance(message, dict) else None
    return kind if isinstance(kind, str) else None
