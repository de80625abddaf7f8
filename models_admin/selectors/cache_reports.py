"""What the data plane said of each model's cache just now, as the values that it said it with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from datetime import datetime, timedelta
from typing import Any

from models_admin.models import NodeStatus
from models_admin.selectors.load import WEB_NODE
from proxy import gateway
from proxy.core.reports import CacheReport, CurvePoint, OrderEstimate, SecondLevelReport
from proxy.core.units import BYTES_PER_MIB
from proxy.tuner.tuning_estimates import on_curve

NEXT_MIB = 64
"""The next step of a cache's size that page and API speak of."""

FRESH_FOR = timedelta(seconds=15)
"""A report that is older says nothing of now. Larger: a data plane that hangs is believed for longer."""


def fresh_info(now: datetime) -> Mapping[str, Any]:
    """What the data plane says of itself; empty where its last word is too old, or lies in the future."""
    node = NodeStatus.objects.filter(name=WEB_NODE).first()
    return node.info if node is not None and -FRESH_FOR <= now - node.at <= FRESH_FOR else {}


def cache_reports(now: datetime) -> dict[str, CacheReport]:
    """The fresh report of each model's cache that was ever asked, by model."""
    return reports_in(fresh_info(now))


def cache_report(name: str, now: datetime) -> CacheReport | None:
    """One model's: of this process's data plane, else of the one that wrote its heartbeat last."""
    here = gateway.latest_report()
    return here.caches.get(name) if here is not None else cache_reports(now).get(name)


def reports_in(info: Mapping[str, Any]) -> dict[str, CacheReport]:
    """The report of each model's cache in what the data plane says of itself.

    A report of another release that lacks a field is left out, and fields that are not known here are ignored.
    """
    found = {str(model): _report(said) for model, said in info.get("caches", {}).items()}
    return {model: report for model, report in found.items() if report is not None}


def at_size(points: Sequence[CurvePoint], size_bytes: int) -> CurvePoint:
    """What a cache of this size would give: between two known sizes in proportion; beyond the last, no more than it."""
    largest_bytes = points[-1].size_bytes if points else 0
    found = on_curve(tuple(points), min(size_bytes, largest_bytes) / BYTES_PER_MIB)
    return CurvePoint(size_bytes, 0.0, 0.0) if found is None else replace(found, size_bytes=size_bytes)


def next_saves_ms_per_s(report: CacheReport) -> float | None:
    """Model time a second that NEXT_MIB more would save, by the curve; None without one."""
    if not report.curve:
        return None
    here, there = (
        at_size(report.curve, report.max_bytes + more_mib * BYTES_PER_MIB).saved_ms_per_s for more_mib in (0, NEXT_MIB)
    )
    return there - here


def _report(said: Mapping[str, Any]) -> CacheReport | None:
    values = _known(CacheReport, said)
    if values is None:
        return None
    points = [_known(CurvePoint, point) for point in said.get("curve") or ()]
    values["curve"] = tuple(CurvePoint(**point) for point in points if point is not None)
    orders = [_known(OrderEstimate, one) for one in said.get("orders") or ()]
    values["orders"] = tuple(OrderEstimate(**one) for one in orders if one is not None)
    second = said.get("second_level")
    shared = _known(SecondLevelReport, second) if isinstance(second, Mapping) else None
    values["second_level"] = None if shared is None else SecondLevelReport(**shared)
    return CacheReport(**values)


def _known(
    kind: type[CacheReport | CurvePoint | OrderEstimate | SecondLevelReport], said: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The values that `kind` has; None if one that it needs is missing."""
    needed = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}
    if not needed <= said.keys():
        return None
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in said.items() if name in names}
