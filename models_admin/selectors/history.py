"""Reads of measurements over time, per second or per minute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from models_admin.models import MachineSample, MetricSample
from models_admin.models.measurements import MINUTE_S, SECOND_S

LONGEST_SECONDS_RANGE = timedelta(hours=1)
"""Longest range answered per second when the caller leaves the choice: 3,600 points, about what a chart can show."""

Sample = TypeVar("Sample", bound=models.Model)


@dataclass(frozen=True, slots=True)
class History(Generic[Sample]):
    """Samples from oldest to newest, each over `resolution_s` seconds."""

    resolution_s: int
    samples: Sequence[Sample]


def choose_resolution_s(start: datetime, end: datetime, now: datetime, keep_seconds_h: int) -> int:
    """The finest resolution that the range allows: seconds while they are still kept and fit a chart. Pure."""
    kept = start >= now - timedelta(hours=keep_seconds_h)
    return SECOND_S if kept and end - start <= LONGEST_SECONDS_RANGE else MINUTE_S


def metric_history(
    model_name: str = "", *, start: datetime, end: datetime, resolution_s: int | None = None
) -> History[MetricSample]:
    """One model's measurements ('' for all together) with `start <= at <= end`."""
    chosen = resolution_s or _auto(start, end)
    rows = MetricSample.objects.filter(model_name=model_name, resolution_s=chosen, at__gte=start, at__lte=end).defer(
        "histogram"
    )
    return History(chosen, list(rows.order_by("at")))


def machine_history(*, start: datetime, end: datetime, resolution_s: int | None = None) -> History[MachineSample]:
    """The host's measurements with `start <= at <= end`."""
    chosen = resolution_s or _auto(start, end)
    rows = MachineSample.objects.filter(resolution_s=chosen, at__gte=start, at__lte=end)
    return History(chosen, list(rows.order_by("at")))


def _auto(start: datetime, end: datetime) -> int:
    return choose_resolution_s(start, end, timezone.now(), settings.DLPROXY_KEEP_SECONDS_H)
