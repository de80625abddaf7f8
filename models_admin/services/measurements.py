"""Keeping measurements small: seconds are rolled up to minutes, and both are dropped when they are old.

Rules: a roll-up may run twice or late with the same outcome; each minute is one short transaction, so that the second's
report never waits long for the database.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models, transaction
from django.db.models import Max, Min

from models_admin.models import MachineSample, MetricSample
from models_admin.models.measurements import ALL_MODELS, MINUTE_S, SECOND_S, WHOLE_MODEL
from models_admin.services import rollup

SETTLE_S = 5
"""A minute is rolled up this long after its end, when its last reports have been written."""
MINUTES_A_CALL = 180
"""Bounds one call after a long stop of the control loop; the next call goes on."""
DELETE_ROWS = 5_000
METRIC_FIELDS = [
    *rollup.SUMS,
    *rollup.PEAKS,
    *rollup.QUANTILES,
    "mean_ms",
    "queue_mean_ms",
    "busy_ratio",
    "histogram",
    "compute_mean_ms",
    "rows_by_bits",
]
MACHINE_FIELDS = ["cpu_percent", "per_core_percent", "memory_used_bytes", "memory_total_bytes", "gpus"]


def roll_up(*, now: datetime) -> int:
    """Write the minutes that have ended since the last call, the last one again; how many were written."""
    end = _minute(now - timedelta(seconds=SETTLE_S))
    start = _first_minute()
    written = 0
    while start is not None and start < end and written < MINUTES_A_CALL:
        if _roll_minute(start):
            written += 1
            start += timedelta(seconds=MINUTE_S)
        else:
            start = _next_measured_minute(start)
    return written


def drop_old(*, now: datetime) -> int:
    """Delete what is older than the retention settings; how many rows went."""
    ages = {
        SECOND_S: timedelta(hours=settings.DLPROXY_KEEP_SECONDS_H),
        MINUTE_S: timedelta(days=settings.DLPROXY_KEEP_MINUTES_D),
    }
    return sum(
        _delete_before(kind, resolution_s, now - age)
        for kind in (MetricSample, MachineSample)
        for resolution_s, age in ages.items()
    )


@transaction.atomic
def _roll_minute(at: datetime) -> bool:
    """False if nothing was measured in this minute."""
    until = at + timedelta(seconds=MINUTE_S)
    whole = MetricSample.objects.filter(version=WHOLE_MODEL)
    seconds = whole.filter(resolution_s=SECOND_S, at__gte=at, at__lt=until).order_by("at")
    by_model: dict[str, list[MetricSample]] = defaultdict(list)
    for second in seconds:
        by_model[second.model_name].append(second)
    if not by_model:
        return False
    measured = len(by_model.get(ALL_MODELS, ()))
    MetricSample.objects.bulk_create(
        [rollup.roll_metrics(name, at, rows, measured) for name, rows in by_model.items()],
        update_conflicts=True,
        unique_fields=["resolution_s", "model_name", "version", "at"],
        update_fields=METRIC_FIELDS,
    )
    machine = list(MachineSample.objects.filter(resolution_s=SECOND_S, at__gte=at, at__lt=until).order_by("at"))
    if machine:
        MachineSample.objects.bulk_create(
            [rollup.roll_machine(at, machine)],
            update_conflicts=True,
            unique_fields=["resolution_s", "at"],
            update_fields=MACHINE_FIELDS,
        )
    return True


def _first_minute() -> datetime | None:
    """Where to begin: the last minute that was written (again, for late reports), else the first second kept."""
    samples = MetricSample.objects.filter(model_name=ALL_MODELS)
    last = samples.filter(resolution_s=MINUTE_S).aggregate(at=Max("at"))["at"]
    if last is not None:
        return last
    first = samples.filter(resolution_s=SECOND_S).aggregate(at=Min("at"))["at"]
    return _minute(first) if first is not None else None


def _next_measured_minute(after: datetime) -> datetime | None:
    later = MetricSample.objects.filter(
        model_name=ALL_MODELS, resolution_s=SECOND_S, at__gte=after + timedelta(seconds=MINUTE_S)
    ).aggregate(at=Min("at"))["at"]
    return _minute(later) if later is not None else None


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _delete_before(kind: type[models.Model], resolution_s: int, before: datetime) -> int:
    """Delete in pieces, so that no other writer waits long."""
    removed = 0
    while True:
        batch = kind._base_manager.filter(resolution_s=resolution_s, at__lt=before).values("pk")[:DELETE_ROWS]
        count, _ = kind._base_manager.filter(pk__in=list(batch.values_list("pk", flat=True))).delete()
        removed += count
        if count < DELETE_ROWS:
            return removed
