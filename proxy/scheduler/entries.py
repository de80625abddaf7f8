"""A request's place in the scheduler: who is answered, where it stands, how often its instance was lost."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING

from proxy.core.errors import ProxyError
from proxy.core.requests import InferenceRequest, InferenceResult

if TYPE_CHECKING:
    from proxy.scheduler.flows import Line
    from proxy.scheduler.splitting import Split

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
    """One submitted request, or a part of one that was split.

    `rows` is what it counts in a batch (1 where the version is not batchable). `line` is where it waits: None just
    when it is not in the queue. `isolated`: it ran among other keys' requests when all failed. `part`: it was cut out
    of a larger request, which is counted by itself. `split`: what it was cut into when it ran out of memory, until that
    has ended. `suspect_until_ns`: it may have ended its instance, and runs again by then at the latest; 0: not so.
    `crashes`: how many of the instances that it lost nobody killed from outside. `results_at_loss`: executions of the
    lane that had given outputs at the first of those.
    """

    __slots__ = (
        "crashes",
        "deadline_ns",
        "isolated",
        "line",
        "losses",
        "on_done",
        "part",
        "request",
        "results_at_loss",
        "rows",
        "split",
        "state",
        "suspect_until_ns",
    )

    def __init__(self, request: InferenceRequest, rows: int, on_done: OnDone) -> None:
        self.request: InferenceRequest = request
        self.rows = rows
        self.deadline_ns = request.deadline_ns
        self.on_done: OnDone = on_done
        self.state: EntryState = WAITING
        self.losses = self.crashes = self.suspect_until_ns = self.results_at_loss = 0
        self.isolated = False
        self.part = False
        self.line: Line | None = None
        self.split: Split | None = None
