"""A parsed request on its way through answering, with the moments that are noted for whoever asks where time went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from proxy.core.errors import ProxyError
from proxy.core.requests import Answer, InferenceRequest, InferenceResult

Respond = Callable[[Answer], None]
Cancel = Callable[[], None]


class Room(Protocol):
    """Whom a call tells what becomes of it: proxy.answering.Answering."""

    def done(self, this: Call, outcome: InferenceResult | ProxyError) -> None:
        """The scheduler is through with it."""

    def leave(self, this: Call) -> None:
        """Its client has left."""


class Call:
    """A parsed request on its way, and whom to answer. `key` is its cache key, None where nothing may be shared.

    `*_ns` are points in time, 0 where it did not come to that: the body was complete, the cache's look-up began and
    ended, the result was there (noted only where no batch of its own says so). `leader` is the call whose execution
    answers this one, too. `with_timing`: the answer says where the time went. `body` is the whole of what the client
    asked, where that may be kept beside the answer of a hit, else None.
    """

    __slots__ = (
        "_room",
        "answered",
        "asked_ns",
        "body",
        "executed_ns",
        "kept",
        "key",
        "leader",
        "looked_ns",
        "received_ns",
        "request",
        "respond",
        "with_timing",
    )

    def __init__(
        self,
        room: Room,
        request: InferenceRequest,
        respond: Respond,
        received_ns: int,
        body: bytes | None,
        with_timing: bool,
    ) -> None:
        self._room = room
        self.request = request
        self.respond = respond
        self.received_ns = received_ns
        self.body = body
        self.with_timing = with_timing
        self.asked_ns = self.looked_ns = self.executed_ns = 0
        self.leader: Call | None = None
        self.key: bytes | None = None
        self.answered = False
        self.kept = False

    def done(self, _: InferenceRequest, outcome: InferenceResult | ProxyError) -> None:
        """The scheduler's answer."""
        self._room.done(self, outcome)

    def leave(self) -> None:
        """The client has left."""
        self._room.leave(self)
