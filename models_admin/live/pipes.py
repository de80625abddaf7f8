"""The way to one socket: frames straight to its transport where the server offers that, otherwise messages by ASGI.

Rules: a reader that is behind is written nothing (W7): whoever holds the pipe looks at `is_behind` first, and
`on_caught_up` says when to look again. Nothing waits here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from models_admin.live.frames import Message

EXTENSION = "dlproxy.frames"
"""dlproxy_site.dashboard_websocket puts the socket's protocol there; daphne (development) has nothing like it."""


class Pipe(Protocol):
    """What a live socket needs of its connection."""

    @property
    def is_behind(self) -> bool:
        """Whether the reader has yet to take what was sent."""

    def write(self, message: Message) -> None:
        """Send the message."""

    def stop(self) -> None:
        """Send nothing more of what was written and has not left."""

    def abort(self) -> None:
        """End the connection without a word to its peer, where the server can."""


def pipe_to(scope: Mapping[str, Any], send: Callable[[str], Awaitable[None]], on_caught_up: Callable[[], None]) -> Pipe:
    """The cheapest pipe that the socket's server offers; `send` sends a text by ASGI."""
    protocol = scope.get("extensions", {}).get(EXTENSION)
    return AsgiPipe(send, on_caught_up) if protocol is None else FramePipe(protocol, on_caught_up)


class FramePipe:
    """Writes frames to the transport: microseconds a second and socket, and no task."""

    def __init__(self, protocol: Any, on_caught_up: Callable[[], None]) -> None:
        self._protocol = protocol
        protocol.on_caught_up = on_caught_up

    @property
    def is_behind(self) -> bool:
        """Whether the transport holds more than it should."""
        return bool(self._protocol.is_behind)

    def write(self, message: Message) -> None:
        """Hand the frame to the transport."""
        self._protocol.write_frame(message.frame)

    def stop(self) -> None:
        """Forget the socket; what the transport holds has left."""
        self._protocol.on_caught_up = None

    def abort(self) -> None:
        """End the connection at once."""
        self._protocol.abort()


class AsgiPipe:
    """Sends texts, one at a time, by a task: the reader is behind until the server has taken the last."""

    def __init__(self, send: Callable[[str], Awaitable[None]], on_caught_up: Callable[[], None]) -> None:
        self._send = send
        self._on_caught_up = on_caught_up
        self._sending: asyncio.Task[None] | None = None

    @property
    def is_behind(self) -> bool:
        """Whether the last text is still being sent."""
        return self._sending is not None

    def write(self, message: Message) -> None:
        """Begin to send the text."""
        self._sending = asyncio.get_running_loop().create_task(self._send_one(message.text.decode()))

    def stop(self) -> None:
        """Give up what is being sent."""
        if self._sending is not None:
            self._sending.cancel()

    def abort(self) -> None:
        """Nothing: ASGI has no word for it, and a server that keeps what it sends has taken the close frame by now."""

    async def _send_one(self, text: str) -> None:
        await self._send(text)
        self._sending = None
        self._on_caught_up()
