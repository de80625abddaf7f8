"""A request's place in the scheduler: who is answered, where it stands, how often its instance was lost."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING

from proxy.core.errors import ProxyError
from proxy.core.requests import InferenceRequest, InferenceResult

if TYPE_CHECKING:
    from proxy.scheduler.queue import ShapeGroup

OnDone = Callable[[InferenceRequest, InferenceResult | ProxyError], None]


class EntryState(IntEnum):
    """Where a request stands. WAITING and RETRYING → RUNNING → DONE; each may go to DONE at once."""

    WAITING = 0
    RETRYING = 1
    RUNNING = 2
    DONE = 3


# Plain names: an attribute look-up on the enum class costs as much as the comparison itself on the data path.
WAITING, RETRYING, RUNNING, DONE = EntryState


class Entry:
    """One submitted request. `rows` is what it counts in a batch (1 where the version is not batchable)."""

    __slots__ = ("deadline_ns", "group", "losses", "on_done", "request", "rows", "state")

    def __init__(self, request: InferenceRequest, rows: int, on_done: OnDone) -> None:
        self.request: InferenceRequest = request
        self.rows = rows
        self.deadline_ns = request.deadline_ns
        self.on_done: OnDone = on_done
        self.state: EntryState = WAITING
        self.losses = 0
        self.group: ShapeGroup | None = None
