"""One look for all live sockets, every RECHECK_S: whose login has ended, whose role has changed (W3).

Rules: rights fail closed, so a look that fails ends every socket; a socket that left is forgotten at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from channels.db import database_sync_to_async

from models_admin.live import sessions
from models_admin.live.sessions import Login

log = logging.getLogger(__name__)

RECHECK_S = 3.0

End = Callable[[int], None]
"""Closes a socket with this code."""
CLOSE_FAULT = 1011
CLOSE_LOGGED_OUT = 4401


class Logins:
    """The open sockets with the logins that they began with."""

    def __init__(self) -> None:
        self._held: dict[End, tuple[str, Login]] = {}
        self._looking: asyncio.Task[None] | None = None

    def hold(self, end: End, session_key: str, login: Login) -> Callable[[], None]:
        """Call `end` with a code once the session is no longer this person's; returns what forgets the socket."""
        self._held[end] = (session_key, login)
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look_on())
        return lambda: self._leave(end)

    def _leave(self, end: End) -> None:
        self._held.pop(end, None)
        if not self._held and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_S)
            await self._look()

    async def _look(self) -> None:
        held = dict(self._held)
        try:
            now = await database_sync_to_async(sessions.still)(dict(held.values()))
        except Exception:  # a database may fail in any way
            log.exception("the logins of the live sockets cannot be looked up, so the sockets are closed")
            self._end(held, CLOSE_FAULT)
        else:
            for end, (key, login) in held.items():
                if key not in now or now[key].who != login.who:
                    self._end([end], CLOSE_LOGGED_OUT)
                elif end in self._held:  # it may have left since
                    self._held[end] = (key, now[key])

    def _end(self, ends: Iterable[End], code: int) -> None:
        """Each once, however long its peer takes to answer."""
        for end in ends:
            if self._held.pop(end, None) is not None:
                end(code)
