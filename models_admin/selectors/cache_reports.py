"""What the data plane said of each model's cache just now, as the values that it said it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import datetime, timedelta
from typing import Any

from models_admin.models import NodeStatus
from models_admin.selectors.load import WEB_NODE
from proxy import gateway
from proxy.core.reports import CacheReport, CurvePoint, SecondLevelReport

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


def _report(said: Mapping[str, Any]) -> CacheReport | None:
    values = _known(CacheReport, said)
    if values is None:
        return None
    points = [_known(CurvePoint, point) for point in said.get("curve") or ()]
    values["curve"] = tuple(CurvePoint(**point) for point in points if point is not None)
    second = said.get("second_level")
    shared = _known(SecondLevelReport, second) if isinstance(second, Mapping) else None
    values["second_level"] = None if shared is None else SecondLevelReport(**shared)
    return CacheReport(**values)


def _known(kind: type[CacheReport | CurvePoint | SecondLevelReport], said: Mapping[str, Any]) -> dict[str, Any] | None:
    """The values that `kind` has; None if one that it needs is missing."""
    needed = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}
    if not needed <= said.keys():
        return None
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in said.items() if name in names}
