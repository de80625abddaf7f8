"""One live socket: logged-in people only, read only, always the newest state.

Rules: closes with 4401 without a login (at once) or after it ended (within RECHECK_S, W3); 4429 above the caps (W8).
What the page sends is small, rare JSON ("resync", "pause", "resume"); anything else is ignored or ends the socket (W4,
W6), and nothing that it sends changes anything (W12). A reader that does not keep up holds one pending second, whose
difference is then made against what it last got (W7); one that takes nothing for STALL_S is closed. No channel layer
carries the seconds: publisher and sockets live in one process, and a call costs a tenth of a message through a layer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from models_admin.live import sessions
from models_admin.live.limits import MAX_MESSAGE_BYTES, Allowance, Places
from models_admin.live.logins import CLOSE_FAULT, CLOSE_LOGGED_OUT, Logins
from models_admin.live.messages import State
from models_admin.live.publisher import publisher

log = logging.getLogger(__name__)

STALL_S = 20.0

CLOSE_UNSUPPORTED = 1003
CLOSE_POLICY = 1008
CLOSE_TOO_BIG = 1009
CLOSE_STALLED = 1013
CLOSE_TOO_MANY = 4429

places = Places()
logins = Logins()


class LiveConsumer(AsyncWebsocketConsumer):
    """Sends a snapshot, then a difference each second."""

    stall_s = STALL_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving: list[Callable[[], None]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One socket. However it ends, so do its tasks, and its place is free."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._release()

    async def connect(self) -> None:
        """Accept first, so that the close code reaches the page."""
        self._sent: State | None = None
        self._fresh = asyncio.Event()
        self._paused = False
        loop = asyncio.get_running_loop()
        self._allowance = Allowance(loop.time())
        session = self.scope.get("session")
        session_key = session.session_key if session is not None else None
        await self.accept()
        who = await database_sync_to_async(sessions.identity)(session_key)
        if who is None:
            await self.close(CLOSE_LOGGED_OUT)
            return
        if not places.take(who[0]):
            await self.close(CLOSE_TOO_MANY)
            return
        self._leaving = [
            lambda: places.leave(who[0]),
            publisher.watch(self._fresh.set),
            logins.hold(self._end, session_key, who),
        ]
        self._fresh.set()
        self._tasks = [loop.create_task(self._guard(self._send_newest()))]

    async def disconnect(self, code: int) -> None:
        """Give the place back and end the socket's tasks."""
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
        leaving, self._leaving = self._leaving, []
        for leave in leaving:
            leave()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, code: int) -> None:
        """Close from outside of the socket's own tasks. No second is sent any more, whenever its peer reads again."""
        for task in self._tasks:
            task.cancel()
        self._tasks.append(asyncio.get_running_loop().create_task(self.close(code)))

    def _obey(self, kind: str | None) -> None:
        if kind == "pause":
            self._paused = True
        elif kind in {"resume", "resync"}:
            self._paused = False
            self._sent = None
            self._fresh.set()

    async def _send_newest(self) -> None:
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            text = None if self._paused else publisher.text_after(self._sent)
            if text is None:
                continue
            self._sent = publisher.newest
            try:
                async with asyncio.timeout(self.stall_s):
                    await self.send(text_data=text)
            except TimeoutError:
                await self._give_up(CLOSE_STALLED)
                return

    async def _guard(self, work: Any) -> None:
        """Run a task of this socket; a fault in it is logged and ends this socket only. Rights fail closed."""
        try:
            await work
        except Exception:
            log.exception("live socket ended by a fault")
            await self._give_up(CLOSE_FAULT)

    async def _give_up(self, code: int) -> None:
        """Close without waiting for a peer that does not read."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.close(code), 2)


def _kind(text: str) -> str | None:
    """The message's type; None for what is not a JSON object with one."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    kind = message.get("type") if isinstance(message, dict) else None
    return kind if isinstance(kind, str) else None
