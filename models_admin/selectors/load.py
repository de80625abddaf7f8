"""Reads of the last seconds of one model's load, with idle seconds filled in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from models_admin.models import MetricSample
from models_admin.models.measurements import ALL_MODELS, SECOND_S, WHOLE_MODEL


def recent_load(model_name: str, *, now: datetime, window_s: int) -> list[MetricSample]:
    """One model's seconds in the window, oldest first: one for each second in which anything was measured.

    Idle models write few rows; a measured second without the model's row is a row of zeros with the instances of the
    nearest row before it (after it, at the window's start). No row at all in the window: nothing is known.
    """
    rows = MetricSample.objects.filter(
        resolution_s=SECOND_S,
        model_name__in=[ALL_MODELS, model_name],
        version=WHOLE_MODEL,
        at__gt=now - timedelta(seconds=window_s),
        at__lte=now + timedelta(seconds=window_s),
    ).order_by("at")
    measured = [row.at for row in rows if row.model_name == ALL_MODELS]
    own = {row.at: row for row in rows if row.model_name == model_name}
    return fill(measured, own, model_name)


def fill(measured: Sequence[datetime], own: dict[datetime, MetricSample], model_name: str) -> list[MetricSample]:
    """The model's rows with idle seconds in between. Pure."""
    if not own:
        return []
    instances = own[min(own)].instances
    filled = []
    for at in measured:
        row = own.get(at)
        if row is None:
            row = MetricSample(model_name=model_name, resolution_s=SECOND_S, at=at, instances=instances)
        instances = row.instances
        filled.append(row)
    return filled
