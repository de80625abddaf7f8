"""Audit events as CSV or as lines of JSON, row by row, so that a long log is never in memory as a whole.

Rule: a cell of the CSV that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, CSV
injection): names of users, keys and models are written by people.
"""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice

from asgiref.sync import sync_to_async
from django.db.models import QuerySet

from models_admin.models import AuditEvent

# Rows of one export. Larger: longer answers; narrower filters give the rest.
MAX_ROWS = 100_000
ROWS_AT_ONCE = 1_000
COLUMNS = ("id", "at", "actor", "action", "object_type", "object_id", "details", "remote_addr")
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")  # a spreadsheet reads the wide ones, too


class _Line:
    """What csv.writer writes to: it hands each row back."""

    def write(self, text: str) -> str:
        """The row as it stands in the file."""
        return text


def csv_lines(events: QuerySet[AuditEvent]) -> Iterator[str]:
    """A head and one line an event; RFC 4180."""
    writer = csv.writer(_Line())
    yield _row(writer.writerow, list(COLUMNS))
    for event in events[:MAX_ROWS].iterator(ROWS_AT_ONCE):
        details = json.dumps(event.details, ensure_ascii=False) if event.details else ""
        values = (
            str(event.pk),
            event.at.isoformat(),
            event.actor,
            event.action,
            event.object_type,
            event.object_id,
            details,
            event.remote_addr or "",
        )
        yield _row(writer.writerow, [safe_cell(value) for value in values])


def json_lines(events: QuerySet[AuditEvent]) -> Iterator[str]:
    """One object a line."""
    for event in events[:MAX_ROWS].iterator(ROWS_AT_ONCE):
        row = {name: getattr(event, name) for name in COLUMNS} | {"at": event.at.isoformat()}
        yield json.dumps(row, ensure_ascii=False) + "\n"


async def streamed(lines: Iterator[str]) -> AsyncIterator[str]:
    """The lines, so many at once, read in a thread. Django makes one list of an iterator that is not asynchronous."""

    def read() -> str:
        return "".join(islice(lines, ROWS_AT_ONCE))

    while part := await sync_to_async(read)():
        yield part


def safe_cell(text: str) -> str:
    """`text`, never a formula."""
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def _row(write: Callable[[list[str]], object], values: list[str]) -> str:
    return str(write(values))
