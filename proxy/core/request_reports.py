"""One answered request as the page of requests shows it: who, what, with whom, and where its time went."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

PARTS = (
    "body",
    "parse",
    "cache",
    "queue",
    "batch",
    "input",
    "compute",
    "output",
    "message",
    "pieces",
    "shared",
    "failed",
    "write",
)
"""Names of the parts of a request's time, in the order in which they follow each other (metrics.request_parts)."""


class Sort(StrEnum):
    """Which requests are asked for: the newest of those that are kept, or the slowest of the last minutes."""

    RECENT = "recent"
    SLOWEST = "slowest"


@dataclass(frozen=True, slots=True)
class RequestQuery:
    """What a page or call asks for. `text` is looked for in the ids; `status` 0 is any; `cache` empty is any.

    `only_errors`: no 200. `number`: only that one. With `text` or `number` all that is kept is searched, in `sort`.
    """

    model: str | None = None
    sort: Sort = Sort.RECENT
    text: str = ""
    status: int = 0
    only_errors: bool = False
    cache: str = ""
    number: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Companion:
    """Another kept request of the same batch."""

    number: int
    request_id: str


@dataclass(frozen=True, slots=True)
class RequestReport:
    """One kept request. No inputs and no outputs are ever among it.

    `number` is unique in this process; `request_id` and `other_ids` are what it is called (request_ids).
    `principal_id` is `key:<id>` or `user:<id>`. `cache` is hit, miss or empty (not asked). `batch_requests` and
    `batch_rows` count the batch that it ran in, itself included (0: none); `companions` are those of it that are kept,
    too. `shared_with`: the id of the identical request whose execution answered this one. `parts_ms` sum to `total_ms`.
    """

    number: int
    request_id: str
    model: str
    version: int
    principal_id: str
    at_unix_s: float
    status: int
    total_ms: float
    parts_ms: tuple[tuple[str, float], ...]
    reason: str = ""
    cache: str = ""
    rows: int = 0
    attempts: int = 0
    instance_id: str = ""
    batch_rows: int = 0
    batch_requests: int = 0
    companions: tuple[Companion, ...] = field(default=())
    shared_with: str = ""
    other_ids: tuple[str, ...] = ()
