"""Kept requests as a table that other programs read: a line a request, a column a part of its time. Pure.

Rule: ids are written by clients, so a cell that a spreadsheet would take for a formula gets an apostrophe before it.
Units: milliseconds; an empty cell is a part that the request did not have. Times are UTC.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from io import StringIO

from models_admin.services.audit_export import safe_cell
from proxy.core.request_reports import PARTS, RequestReport

COLUMNS = (
    "at",
    "id",
    "model",
    "version",
    "instance",
    "caller",
    "status",
    "reason",
    "cache",
    "rows",
    "batch_requests",
    "batch_rows",
    "total_ms",
    *(f"{part}_ms" for part in PARTS),
)


def as_csv(reports: Iterable[RequestReport], names: Mapping[str, str]) -> str:
    """The table; `names` are the callers' by their ids."""
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for one in reports:
        parts = dict(one.parts_ms)
        values = (
            datetime.fromtimestamp(one.at_unix_s, UTC).isoformat(timespec="milliseconds"),
            one.request_id,
            one.model,
            one.version,
            one.instance_id,
            names.get(one.principal_id, one.principal_id),
            one.status,
            one.reason,
            one.cache,
            one.rows,
            one.batch_requests,
            one.batch_rows,
            one.total_ms,
            *(parts.get(part, "") for part in PARTS),
        )
        writer.writerow([safe_cell(str(value)) for value in values])
    return text.getvalue()
