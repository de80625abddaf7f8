"""The scaling tick: lease, last window of measurements, pure decision, Decision row and wanted state.

Rules: one controller acts at a time, and a stale one's writes are refused (fencing number); nothing depends on how
often or how late the tick comes, since each decision starts from the database; without ticks the last number holds.
Time in which nobody looked is no time of low load: a new holder of the lease begins to count it anew.
"""

from __future__ import annotations

import logging
import os
import socket
from datetime import UTC, datetime

from celery import shared_task
from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone

from models_admin.models import MetricSample, Model
from models_admin.publishing.snapshot import policy_snapshot
from models_admin.selectors.load import recent_load
from models_admin.services import leases, scaling
from models_admin.services.errors import Conflict, NotFound
from proxy.core.units import NS_PER_S
from proxy.tuner.instance_count import CountDecision, core_limit, instance_count
from proxy.tuner.signals import MeasuredSecond, signals_from

log = logging.getLogger(__name__)

LEASE_S = 15.0
"""Three ticks: a controller that missed three is replaced by another."""
WINDOW_S = 15
"""Seconds of measurements that a decision is taken on. Larger: calmer, and slower to see a burst."""


@shared_task(name="models_admin.scale")
def scale() -> None:
    """Decide the number of instances of every loaded model."""
    run_tick(holder=f"{socket.gethostname()}:{os.getpid()}", now=timezone.now())


def run_tick(*, holder: str, now: datetime) -> None:
    """One tick as `holder`; does nothing while another holds the lease."""
    fence = leases.acquire(name=scaling.LEASE, holder=holder, ttl_s=LEASE_S, now=now)
    if fence is None:
        return
    loaded = Model.objects.filter(loaded=True, default_version__isnull=False).select_related("policy", "scaling")
    for model in loaded:
        try:
            _decide(model, fence, now)
        except Conflict as lost:
            log.warning("the scaling lease was lost during the tick: %s", lost)
            return
        except (NotFound, ObjectDoesNotExist):
            log.info("%s was deleted during the tick", model.name)


def _decide(model: Model, fence: int, now: datetime) -> None:
    state = model.scaling
    seconds = [_measured(row) for row in recent_load(model.name, now=now, window_s=WINDOW_S)]
    outcome = instance_count(
        signals_from(seconds, now.timestamp()),
        policy_snapshot(model.policy).scaling,
        state.wanted_instances,
        _to_ns(state.low_since) if state.fence == fence else None,
        _to_ns(now) or 0,
        cores_carry=core_limit(len(os.sched_getaffinity(0)), model.policy.threads_per_instance),
    )
    low_since = _to_time(outcome.low_since_ns)
    if isinstance(outcome, CountDecision):
        decision = scaling.apply_decision(
            fence=fence,
            model=model,
            from_instances=state.wanted_instances,
            to_instances=outcome.count,
            reason=outcome.reason.value,
            explanation=outcome.words,
            expected=outcome.expected,
            evidence=dict(outcome.evidence),
            low_since=low_since,
            now=now,
        )
        if decision is not None:
            log.info("%s: %s → %s (%s)", model.name, decision.from_value, decision.to_value, outcome.words)
    elif low_since != state.low_since:
        scaling.note_low_since(fence=fence, model=model, low_since=low_since)


def _measured(row: MetricSample) -> MeasuredSecond:
    return MeasuredSecond(
        at_unix_s=row.at.timestamp(),
        requests=row.requests,
        cache_hits=row.cache_hits,
        rejections=row.rejections,
        queue_depth=row.queue_depth,
        instances=row.instances,
        busy_ratio=row.busy_ratio,
    )


def _to_ns(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * NS_PER_S)


def _to_time(value_ns: int | None) -> datetime | None:
    return None if value_ns is None else datetime.fromtimestamp(value_ns / NS_PER_S, UTC)
