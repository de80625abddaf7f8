"""Reads of the last seconds of one version's load, with idle seconds filled in, and of what its instances take."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, Sum

from models_admin.models import MachineSample, MetricSample, NodeStatus
from models_admin.models.measurements import ALL_MODELS, SECOND_S, WHOLE_MODEL

WEB_NODE = "web"
"""The node whose heartbeat carries what instances take."""


def recent_load(model_name: str, *, now: datetime, window_s: int, version: int = WHOLE_MODEL) -> list[MetricSample]:
    """The seconds of a model, or of one of its versions, in the window, oldest first: one for each measured second.

    While one version is loaded, the model's rows are that version's; in seconds in which versions have rows of their
    own, only those of `version` count. Idle ones write few rows; a measured second without one is a row of zeros with
    the instances and the kept answers of the nearest row before it (after it, at the window's start): an idle model has
    both. No row at all: nothing is known.
    """
    rows = list(
        MetricSample.objects.filter(
            resolution_s=SECOND_S,
            model_name__in=[ALL_MODELS, model_name],
            at__gt=now - timedelta(seconds=window_s),
            at__lte=now + timedelta(seconds=window_s),
        ).order_by("at")
    )
    measured = [row.at for row in rows if row.model_name == ALL_MODELS]
    whole = {row.at: row for row in rows if row.model_name == model_name and row.version == WHOLE_MODEL}
    if version == WHOLE_MODEL:
        return fill(measured, whole, model_name)
    apart = {row.at for row in rows if row.model_name == model_name and row.version != WHOLE_MODEL}
    own = {at: row for at, row in whole.items() if at not in apart}
    own |= {row.at: row for row in rows if row.model_name == model_name and row.version == version}
    return fill(measured, own, model_name)


def fill(measured: Sequence[datetime], own: dict[datetime, MetricSample], model_name: str) -> list[MetricSample]:
    """The model's rows with idle seconds in between. Pure."""
    if not own:
        return []
    last = own[min(own)]
    filled = []
    for at in measured:
        row = own.get(at)
        if row is None:
            stands = {"instances": last.instances, "cache_bytes": last.cache_bytes}
            row = MetricSample(model_name=model_name, resolution_s=SECOND_S, at=at, **stands)
        last = row
        filled.append(row)
    return filled


def last_request_at(model_name: str) -> datetime | None:
    """The end of the newest measured time in which anyone asked for the model; None: nobody, while rows are kept."""
    asked = Q(requests__gt=0) | Q(errors__gt=0) | Q(rejections__gt=0)
    rows = MetricSample.objects.filter(asked, model_name=model_name, version=WHOLE_MODEL).order_by("-at")
    newest = [row for row in (rows.filter(resolution_s=SECOND_S).first(), rows.first()) if row is not None]
    return max((row.at + timedelta(seconds=row.resolution_s) for row in newest), default=None)


def refused_since(names: Collection[str], since: datetime) -> dict[str, int]:
    """How many requests of each of these models were refused or expired; those without any are left out.

    The rows of all models together say first whether there is anything to look for: mostly there is not.
    """
    seconds = MetricSample.objects.filter(resolution_s=SECOND_S, version=WHOLE_MODEL, at__gte=since, rejections__gt=0)
    if not seconds.filter(model_name=ALL_MODELS).exists():
        return {}
    own = seconds.filter(model_name__in=names).order_by().values_list("model_name").annotate(Sum("rejections"))
    return dict(own)


def machine_now(now: datetime, *, within_s: float) -> MachineSample | None:
    """The host's newest second; None if that is older than `within_s`."""
    row = MachineSample.objects.filter(resolution_s=SECOND_S, at__lte=now + timedelta(seconds=within_s)).last()
    return row if row is not None and now - row.at <= timedelta(seconds=within_s) else None


def measured_now() -> dict[str, dict[str, Any]]:
    """What an instance of each version takes, by `model/number`: load_s, instance_bytes, device, gpu_instance_bytes."""
    node = NodeStatus.objects.filter(name=WEB_NODE).first()
    return dict(node.info.get("measured", {})) if node is not None else {}
