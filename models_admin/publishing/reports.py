"""The data plane's second → rows: measurements of each model with something to say, of the host, and the heartbeat.

Rules: one transaction a second; the row of all models together is always written, so that a second without a model's
row means that the model was idle, and a second without any row means that nothing was measured. An idle model with
instances has a row each few seconds, so that scaling knows how many stand idle.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from models_admin.models import ApiKey, MachineSample, MetricSample, NodeStatus
from models_admin.models.measurements import ALL_MODELS, IDLE_ROW_EACH_S, SECOND_S, WHOLE_MODEL
from models_admin.publishing.connections import looked_after
from models_admin.publishing.nodes import beside, own_node
from models_admin.publishing.quarantine import note_quarantines
from proxy.core.reports import CacheReport, ModelSecond, SecondReport

WEB_NODE = "web"
HEARD_WITHIN_S = 5
"""A heartbeat that is older was left behind. Larger: a node that has ended may be taken for one that serves."""


def write_report(report: SecondReport) -> None:
    """Write one second. Writing the same second again changes nothing. Blocking; call it in a thread."""
    with looked_after():
        at = datetime.fromtimestamp(report.at_unix_s, UTC)
        samples = [_sample(ALL_MODELS, at, report.total)]
        samples += [
            _sample(name, at, second)
            for name, second in report.models.items()
            if says_something(second) or (second.instances and report.sequence % IDLE_ROW_EACH_S == 0)
        ]
        samples += _by_version(at, report)
        with transaction.atomic():
            MetricSample.objects.bulk_create(samples, ignore_conflicts=True)
            MachineSample.objects.bulk_create([_machine(at, report)], ignore_conflicts=True)
            if report.keys_used:
                ApiKey.objects.filter(pk__in=report.keys_used).update(last_used_at=at)
            note_quarantines(report.versions)
            _hear_others()
            NodeStatus.objects.update_or_create(name=WEB_NODE, defaults={"at": timezone.now(), "info": _info(report)})


def says_something(second: ModelSecond) -> bool:
    """False for a model that neither answered, ran nor held anything in this second."""
    return bool(
        second.requests
        or second.errors
        or second.rejections
        or second.executions
        or second.queue_depth
        or second.in_flight
        or second.busy_ratio
    )


def _by_version(at: datetime, report: SecondReport) -> list[MetricSample]:
    """Rows of each version, for models with more than one loaded: what a rollout and scaling are judged by."""
    loaded = Counter(version.model for version in report.versions)
    look_at_idle = report.sequence % IDLE_ROW_EACH_S == 0
    return [
        _sample(model, at, second, int(number))
        for model, _, number in (key.rpartition("/") for key in report.by_version)
        if loaded[model] > 1
        and (says_something(second := report.by_version[f"{model}/{number}"]) or (second.instances and look_at_idle))
    ]


def _sample(name: str, at: datetime, second: ModelSecond, version: int = WHOLE_MODEL) -> MetricSample:
    return MetricSample(
        model_name=name,
        version=version,
        resolution_s=SECOND_S,
        at=at,
        requests=second.requests,
        errors=second.errors,
        rejections=second.rejections,
        cache_hits=second.cache_hits,
        cache_misses=second.cache_misses,
        coalesced=second.coalesced,
        inferences=second.inferences,
        executions=second.executions,
        p50_ms=second.p50_ms,
        p95_ms=second.p95_ms,
        p99_ms=second.p99_ms,
        mean_ms=second.mean_ms,
        queue_mean_ms=second.queue_mean_ms,
        queue_depth=second.queue_depth,
        in_flight=second.in_flight,
        instances=second.instances,
        busy_ratio=second.busy_ratio,
        histogram={str(index): count for index, count in second.histogram.items()},
        compute_mean_ms=second.compute_mean_ms,
        cache_bytes=second.cache_bytes,
        rows_by_bits={str(bits): count for bits, count in second.rows_by_bits.items()},
    )


def _hear_others() -> None:
    """Whose heartbeat stands where this node's goes. Called before it is written."""
    newest = NodeStatus.objects.filter(name=WEB_NODE).values_list("at", "info__node").first()
    if newest is None:
        return
    at, node = newest
    is_alive = timezone.now() - at <= timedelta(seconds=HEARD_WITHIN_S)
    if node and node != own_node() and is_alive:
        beside.hear(node, time.monotonic())


def _machine(at: datetime, report: SecondReport) -> MachineSample:
    machine = report.machine
    return MachineSample(
        resolution_s=SECOND_S,
        at=at,
        cpu_percent=machine.cpu_percent,
        per_core_percent=list(machine.per_core_percent),
        memory_used_bytes=machine.memory_used_bytes,
        memory_total_bytes=machine.memory_total_bytes,
        gpus=[asdict(gpu) for gpu in machine.gpus],
    )


def _info(report: SecondReport) -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "node": own_node(),
        "sequence": report.sequence,
        "generation": report.generation,
        "instances": len(report.instances),
        "versions": {f"{version.model}/{version.version}": version.state for version in report.versions},
        "gpu_note": report.machine.gpu_note,
        "measured": _measured(report),
        "service_ms": _service_ms(report),
        "shadows": [asdict(shadow) for shadow in report.shadows],
        "stopped_rollouts": [asdict(rollout) for rollout in report.stopped],
        "caches": {model: asdict(cache) for model, cache in report.caches.items() if _was_asked(cache)},
        "troubles": {
            f"{version.model}/{version.version}": {"message": version.message[:500], "restarts": version.restarts}
            for version in report.versions
            if version.message or version.restarts
        },
    }


def _service_ms(report: SecondReport) -> dict[str, list[float]]:
    """Each ready instance's average of an execution, by version: where they differ, placement matters."""
    found: dict[str, list[float]] = {}
    for instance in report.instances:
        if instance.state == "ready" and instance.service_ewma_ms is not None:
            found.setdefault(f"{instance.model}/{instance.version}", []).append(round(instance.service_ewma_ms, 4))
    return found


def _was_asked(cache: CacheReport) -> bool:
    """False for one that nobody ever asked: a thousand of those are not written each second."""
    return bool(cache.hits or cache.misses or cache.insertions or cache.state in {"bypassed", "probing"})


def _measured(report: SecondReport) -> dict[str, dict[str, object]]:
    """What an instance of each version takes: time to be ready, memory, and its share of its GPU's."""
    devices = Counter(instance.device for instance in report.instances)
    gpu_bytes = {gpu.device: gpu.memory_used_bytes for gpu in report.machine.gpus if gpu.device}
    measured: dict[str, dict[str, object]] = {
        f"{version.model}/{version.version}": {"load_s": version.load_s} for version in report.versions
    }
    for instance in report.instances:
        of = measured.setdefault(f"{instance.model}/{instance.version}", {})
        of["instance_bytes"] = max(instance.memory_bytes, int(str(of.get("instance_bytes", 0))))
        of["device"] = instance.device or of.get("device", "")  # one that is not ready does not say yet
        used_bytes = gpu_bytes.get(instance.device)
        if used_bytes is not None:
            of["gpu_instance_bytes"] = used_bytes // devices[instance.device]
    return measured
