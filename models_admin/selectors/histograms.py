"""Latency histograms of many rows merged by the database: two hours of seconds come as some dozens of numbers."""

from __future__ import annotations

from django.db import connection
from django.db.models import QuerySet

from models_admin.models import MetricSample
from proxy.metrics import histogram

# One row for each bucket of each sample. A histogram is {"<bucket>": count}.
EACH = {"postgresql": "jsonb_each_text(sample.histogram)", "sqlite": "json_each(sample.histogram)"}


def merged(rows: QuerySet[MetricSample]) -> dict[int, int]:
    """The counts of all histograms of `rows` by bucket, added up. ValueError for what is no histogram."""
    samples, parameters = rows.order_by().values("histogram").query.sql_with_params()
    statement = (  # the text is Django's own and ours; every value is a parameter
        "SELECT bucket.key, SUM(CAST(bucket.value AS bigint)) "  # noqa: S608
        f"FROM ({samples}) AS sample, {EACH[connection.vendor]} AS bucket GROUP BY bucket.key"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return histogram.from_json({bucket: int(count) for bucket, count in cursor.fetchall()})
