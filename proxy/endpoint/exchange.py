"""One request of a connection and its answer; and what a connection can be waiting for."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from proxy.core.requests import Answer
from proxy.endpoint.heads import WireHead
from proxy.endpoint.routes import Body, Cancel, PendingBody

if TYPE_CHECKING:
    from proxy.endpoint.connection import Connection


class Phase(Enum):
    """What a connection waits for."""

    HEAD = auto()
    BODY = auto()
    RUNNING = auto()  # the answer
    DISCARD = auto()  # the rest of a refused request's body
    LINGER = auto()  # the client to read the last answer and leave
    CLOSED = auto()


class Exchange:
    """A request whose head was accepted. An answer for an exchange that is over is dropped, whoever sends it.

    `cancel` refers to whom it answers, so to this: it is dropped with the answer, or only the collector could free the
    two and the body between them.
    """

    __slots__ = ("_connection", "cancel", "pending", "wire")

    def __init__(self, connection: Connection, wire: WireHead, pending: PendingBody) -> None:
        self._connection = connection
        self.wire = wire
        self.pending = pending
        self.cancel: Cancel | None = None

    def begin(self, body: Body) -> None:
        """The body is here: run the call."""
        cancel = self.pending.complete(body, self.respond)
        if self._connection.exchange is self:
            self.cancel = cancel

    def respond(self, answer: Answer) -> None:
        """Called exactly once by the pipeline, maybe before `complete` returns."""
        if self._connection.exchange is self:
            self._connection.answered(answer)

    def take_back(self) -> None:
        """The client has left, or its request turned out to be none."""
        cancel, self.cancel = self.cancel, None
        if cancel is not None:
            cancel()
