"""Requests as the page draws them: bars in thousandths of the width, parts in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from proxy.core.request_reports import PARTS, RequestReport

WIDTH = 1_000
# A request's bar is no shorter than this, and neither is a part of it that has any time at all.
LEAST_BAR = 40
LEAST_PART = 3

# Part → (its name, what happens in it, its colour: several parts of one kind share one).
KINDS: dict[str, tuple[Promise, Promise, str]] = {
    "body": (_("Body"), _("the body came in"), "own"),
    "parse": (_("Read"), _("the body was read"), "own"),
    "cache": (_("Cache"), _("the cache was asked"), "cache"),
    "queue": (_("Queue"), _("no instance was free"), "queue"),
    "batch": (_("Batch wait"), _("waiting for company"), "batch"),
    "input": (_("Transfer in"), _("inputs on their way into the instance"), "transfer"),
    "compute": (_("Compute"), _("the model ran"), "compute"),
    "output": (_("Transfer out"), _("outputs on their way back"), "transfer"),
    "message": (_("Messages"), _("messages between the processes, and waiting for a core"), "message"),
    "pieces": (_("Pieces"), _("several executions of a request that is larger than one may be"), "compute"),
    "shared": (_("Shared"), _("an identical request’s execution was awaited"), "cache"),
    "failed": (_("Failed"), _("an execution that gave no answer"), "failed"),
    "write": (_("Write"), _("the answer was written"), "own"),
}
LEGEND: tuple[tuple[str, Promise], ...] = (
    ("own", _("read and write")),
    ("cache", _("cache, shared")),
    ("queue", _("queue")),
    ("batch", _("batch wait")),
    ("transfer", _("transfer")),
    ("message", _("messages")),
    ("compute", _("compute")),
    ("failed", _("failed")),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of a bar. `x` and `width` are thousandths of the bar's track; `share` of the request's time."""

    name: str
    label: Promise
    words: Promise
    kind: str
    ms: float
    share: float
    x: int
    width: int


@dataclass(frozen=True, slots=True)
class Row:
    """One request."""

    report: RequestReport
    caller: str
    at: datetime
    pieces: tuple[Piece, ...]
    is_open: bool

    @property
    def is_good(self) -> bool:
        """True if it was answered."""
        return self.report.status == 200

    @property
    def unkept(self) -> int:
        """How many of its batch are not among those that are named."""
        return max(self.report.batch_requests - 1 - len(self.report.companions), 0)


def rows_of(
    reports: Sequence[RequestReport], names: Mapping[str, str], *, is_common: bool, opened: int = 0
) -> list[Row]:
    """The rows. `is_common`: bars are as long as their request's share of the longest; else all are the full width."""
    longest_ms = max((report.total_ms for report in reports), default=0.0)
    return [
        Row(
            report,
            names.get(report.principal_id, report.principal_id),
            datetime.fromtimestamp(report.at_unix_s, UTC),
            pieces_of(report, longest_ms if is_common else report.total_ms),
            report.number == opened,
        )
        for report in reports
    ]


def pieces_of(report: RequestReport, full_ms: float) -> tuple[Piece, ...]:
    """The bar of one request on a track that stands for `full_ms`. Pieces touch each other and stay on the track."""
    total_ms = report.total_ms or 1.0
    length = max(round(WIDTH * report.total_ms / full_ms), LEAST_BAR) if full_ms else LEAST_BAR
    parts = [(name, part_ms) for name, part_ms in report.parts_ms if name in PARTS]
    wanted = [max(length * part_ms / total_ms, LEAST_PART) for _name, part_ms in parts]
    stretch = length / sum(wanted) if wanted else 1.0
    pieces, end = [], 0.0
    for (name, part_ms), width in zip(parts, wanted, strict=True):
        x, end = round(end), end + width * stretch
        label, words, kind = KINDS[name]
        pieces.append(Piece(name, label, words, kind, part_ms, part_ms / total_ms, x, round(end) - x))
    return tuple(pieces)
