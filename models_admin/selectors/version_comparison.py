"""Two versions of one model beside each other: everything that is known of them without running either.

Rules: a fact that nobody measured is None, never zero; of a file only what is written down in plain is compared
(inspection.contents), so two files with the same tensors may still hold other weights: the digest says that.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q, Sum

from models_admin.inspection import Refused
from models_admin.inspection.contents import Contents, contents_of
from models_admin.models import MetricSample, ModelVersion
from models_admin.models.measurements import SECOND_S
from models_admin.selectors.artifacts import artifact_path
from models_admin.selectors.comparison import Section, section, unreadable
from models_admin.selectors.histograms import merged
from proxy.core.units import NS_PER_MS
from proxy.metrics import histogram

log = logging.getLogger(__name__)

MEASURED_OVER_S = 3_600
"""The seconds that served figures are of. Larger: more requests count, older ones among them."""
MOST_PARTS = 200
"""Differing tensors or members of the file that are listed; all are counted."""


def compare_versions(before: ModelVersion, after: ModelVersion, *, now: datetime) -> list[Section]:
    """The sections in the order in which they are read."""
    sections = [
        section(name, facts(before), facts(after))
        for name, facts in (
            ("artifact", _artifact),
            ("inputs", lambda version: _tensors(version, "inputs")),
            ("outputs", lambda version: _tensors(version, "outputs")),
            ("options", _options),
            ("validation", _validation),
            ("golden", _golden),
            ("notes", lambda version: {"notes": version.notes}),
        )
    ]
    sections.append(section("measured", _measured(before, now), _measured(after, now)))
    return [*sections, _contents(before, after)]


def _artifact(version: ModelVersion) -> dict[str, Any]:
    return {
        "format": version.format,
        "size_bytes": version.size_bytes,
        "digest": version.digest,
        "original_filename": version.original_filename or None,
    }


def _tensors(version: ModelVersion, side: str) -> dict[str, Any]:
    signature = version.signature or version.declared_signature or {}
    return {
        tensor["name"]: {"datatype": tensor["datatype"], "shape": tensor["shape"]} for tensor in signature.get(side, ())
    }


def _options(version: ModelVersion) -> dict[str, Any]:
    flags = {name: getattr(version, name) for name in ("batchable", "stateful", "cacheable")}
    return {**flags, **version.options}


def _validation(version: ModelVersion) -> dict[str, Any]:
    return {"state": version.state, **{step.name: step.status for step in version.steps.all()}}


def _golden(version: ModelVersion) -> dict[str, Any]:
    return {"samples": version.golden_samples.count(), "golden_digest": version.golden_digest}


def _measured(version: ModelVersion, now: datetime) -> dict[str, Any]:
    rows = MetricSample.objects.filter(
        resolution_s=SECOND_S,
        model_name=version.model.name,
        version=version.number,
        at__gte=now - timedelta(seconds=MEASURED_OVER_S),
    ).order_by()
    sums = rows.aggregate(
        answered=Sum("requests"),
        ran=Sum("executions", filter=Q(compute_mean_ms__isnull=False)),
        ran_ms=Sum(F("compute_mean_ms") * F("executions")),
    )
    p50, p99 = histogram.quantiles(merged(rows), (0.5, 0.99)) if sums["answered"] else (None, None)
    service_ms = sums["ran_ms"] / sums["ran"] if sums["ran"] and sums["ran_ms"] is not None else None
    return {
        "load_time_ms": version.load_time_ms,
        "sample_latency_ms": version.sample_latency_ms,
        "memory_bytes": version.memory_bytes,
        "served_requests": sums["answered"],
        "service_ms": service_ms,
        "p50_ms": None if p50 is None else p50 / NS_PER_MS,
        "p99_ms": None if p99 is None else p99 / NS_PER_MS,
    }


def _contents(before: ModelVersion, after: ModelVersion) -> Section:
    """What lies in the files; nothing where one cannot be read or they are of different kinds."""
    ours, theirs = _read(before), _read(after)
    if ours is None or theirs is None or ours.kind != theirs.kind:
        return unreadable("contents")
    return section(ours.kind, ours.parts, theirs.parts, only_differing=True, most=MOST_PARTS)


def _read(version: ModelVersion) -> Contents | None:
    try:
        return contents_of(artifact_path(version), version.format)
    except (OSError, Refused) as error:
        log.warning("the file of %s cannot be compared: %s", version, error)
        return None
