"""The scaling tick: lease, last window of measurements, pure decision, Decision row and wanted state.

Rules: one controller acts at a time, and a stale one's writes are refused (fencing number); nothing depends on how
often or how late the tick comes, since each decision starts from the database; without ticks the last number holds.
Where a policy only lets it advise, what it would do is a card for people, which goes when it is no longer true; while
all tuning is frozen it does nothing.
Time in which nobody looked is no time of low load: a new holder of the lease begins to count it anew. A fault in one
model's look is logged and costs no other model its own. What is the same for all models is read once a tick.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from celery import shared_task
from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone

from models_admin.models import Decision, MachineSample, MetricSample, Model
from models_admin.publishing.snapshot import policy_snapshot
from models_admin.selectors.load import last_request_at, machine_now, measured_now, recent_load
from models_admin.selectors.tuning import advised_on, is_frozen, mode_of
from models_admin.services import leases, scaling, tuning_trials
from models_admin.services.errors import Conflict, NotFound
from models_admin.tasks.outages import DATABASE_AWAY, through_outages
from proxy.core.policies import Knob, TuningMode
from proxy.core.units import NS_PER_S
from proxy.core.words import parts_of, say
from proxy.tuner.bounds import Bound, core_bound, memory_bound
from proxy.tuner.instance_count import CountDecision, CountReason, Hold, instance_count
from proxy.tuner.signals import MeasuredSecond, ScalingSignals, signals_from

log = logging.getLogger(__name__)

LEASE_S = 15.0
"""Three ticks: a controller that missed three is replaced by another."""
WINDOW_S = 15
"""Seconds of measurements that a decision is taken on. Larger: calmer, and slower to see a burst."""
NOT_KNOWN = (CountReason.MISSING_SIGNALS, CountReason.STALE_SIGNALS, CountReason.IMPOSSIBLE_SIGNALS)
"""Holds that say nothing of the load, so that a proposal made before stands."""


@shared_task(name="models_admin.scale")
@through_outages
def scale() -> None:
    """Decide the number of instances of every loaded model."""
    run_tick(holder=f"{socket.gethostname()}:{os.getpid()}", now=timezone.now())


def run_tick(*, holder: str, now: datetime) -> None:
    """One tick as `holder`; does nothing while another holds the lease."""
    fence = leases.acquire(name=scaling.LEASE, holder=holder, ttl_s=LEASE_S, now=now)
    if fence is None:
        return
    loaded = Model.objects.filter(loaded=True, default_version__isnull=False).select_related(
        "policy", "scaling", "default_version"
    )
    tick = _Tick(fence, now, machine_now(now, within_s=WINDOW_S), measured_now(), is_frozen(), advised_on())
    for model in loaded:
        try:
            _look(model, tick)
        except Conflict as lost:
            log.warning("the scaling lease was lost during the tick: %s", lost)
            return
        except (NotFound, ObjectDoesNotExist):
            log.info("%s was deleted during the tick", model.name)
        except DATABASE_AWAY:
            raise
        except Exception:
            log.exception("%s could not be looked at; its number holds", model.name)


@dataclass(frozen=True, slots=True)
class _Tick:
    """What all looks of a tick have in common. `cards`: models with an open proposal of their number."""

    fence: int
    now: datetime
    host: MachineSample | None
    versions: Mapping[str, dict[str, Any]]
    frozen: bool
    cards: Collection[int]


def _look(model: Model, tick: _Tick) -> None:
    state, advises = model.scaling, not tick.frozen and mode_of(model.policy, Knob.INSTANCES) == TuningMode.ADVISE
    asked_at = _last_request_at(model) if model.policy.scale_to_zero_after_s else state.last_request_at
    if tick.frozen:
        outcome: CountDecision | Hold = Hold(CountReason.DISABLED, say("All tuning is frozen; the number stays."))
    else:
        outcome = _decide(model, tick, asked_at, advises=advises)
    low_since = _to_time(outcome.low_since_ns)
    if advises and isinstance(outcome, CountDecision):
        low_since = state.low_since  # nothing is done, so low load goes on
    scaling.note_look(
        fence=tick.fence, model=model, low_since=low_since, signals=_shown(outcome, tick.now), last_request_at=asked_at
    )
    if advises and isinstance(outcome, CountDecision):
        tuning_trials.advise(fence=tick.fence, card=_card(model, outcome, tick.fence), lease=scaling.LEASE)
    elif isinstance(outcome, CountDecision):
        _apply(model, outcome, low_since, tick)
    elif model.pk in tick.cards and outcome.reason not in NOT_KNOWN:
        tuning_trials.expire(fence=tick.fence, model=model, knob=scaling.KNOB, words=outcome.words, lease=scaling.LEASE)


def _decide(model: Model, tick: _Tick, asked_at: datetime | None, *, advises: bool) -> CountDecision | Hold:
    state, policy = model.scaling, policy_snapshot(model.policy).scaling
    measured = tick.versions.get(f"{model.name}/{model.default_version.number}", {})
    return instance_count(
        _signals(model, tick.host, measured, tick.now),
        replace(policy, enabled=True) if advises else policy,
        state.wanted_instances,
        _to_ns(state.low_since) if state.fence == tick.fence else None,
        _to_ns(tick.now) or 0,
        bounds=_bounds(model, tick.host, measured, state.wanted_instances),
        load_s=measured.get("load_s") or (model.default_version.load_time_ms or 0) / 1_000 or None,
        unused_ns=None if asked_at is None else max(round((tick.now - asked_at).total_seconds() * NS_PER_S), 0),
    )


def _apply(model: Model, outcome: CountDecision, low_since: datetime | None, tick: _Tick) -> None:
    decision = scaling.apply_decision(
        fence=tick.fence,
        model=model,
        from_instances=model.scaling.wanted_instances,
        to_instances=outcome.count,
        reason=outcome.reason.value,
        explanation=outcome.words,
        expected=outcome.expected,
        evidence=dict(outcome.evidence),
        low_since=low_since,
        now=tick.now,
    )
    if decision is not None:
        log.info("%s: %s → %s (%s)", model.name, decision.from_value, decision.to_value, outcome.words)


def _card(model: Model, outcome: CountDecision, fence: int) -> Decision:
    """What people are asked about, unsaved."""
    return Decision(
        model=model,
        knob=scaling.KNOB,
        from_value=str(model.scaling.wanted_instances),
        to_value=str(outcome.count),
        reason=outcome.reason.value,
        evidence=dict(outcome.evidence),
        fence=fence,
    ).put(explanation=outcome.words, expected=outcome.expected)


def _signals(model: Model, host: MachineSample | None, measured: dict[str, Any], now: datetime) -> ScalingSignals:
    """Of the default version's own seconds, and of the host."""
    rows = recent_load(model.name, now=now, window_s=WINDOW_S, version=model.default_version.number)
    if host is None:
        return signals_from([_measured(row) for row in rows], now.timestamp())
    gpu = _gpu_of(host, measured)
    busy_percent = gpu.get("utilisation_percent")
    return signals_from(
        [_measured(row) for row in rows],
        now.timestamp(),
        cpu_ratio=host.cpu_percent / 100,
        memory_ratio=host.memory_used_bytes / host.memory_total_bytes if host.memory_total_bytes else None,
        gpu_ratio=None if busy_percent is None else busy_percent / 100,
    )


def _bounds(model: Model, host: MachineSample | None, measured: dict[str, Any], current: int) -> list[Bound | None]:
    """What cores, memory and GPU memory carry, as measured now."""
    bounds: list[Bound | None] = [core_bound(len(os.sched_getaffinity(0)), model.policy.threads_per_instance)]
    if host is not None:
        gpu = _gpu_of(host, measured)
        instance_bytes, gpu_instance_bytes = measured.get("instance_bytes"), measured.get("gpu_instance_bytes")
        total_bytes, used_bytes = gpu.get("memory_total_bytes"), gpu.get("memory_used_bytes")
        bounds.append(memory_bound("memory", current, host.memory_total_bytes, host.memory_used_bytes, instance_bytes))
        bounds.append(memory_bound("GPU memory", current, total_bytes, used_bytes, gpu_instance_bytes))
    return bounds


def _gpu_of(host: MachineSample, measured: dict[str, Any]) -> dict[str, Any]:
    """The GPU that the version's instances run on; empty if they run on none."""
    device = measured.get("device")
    return next((gpu for gpu in host.gpus if device and gpu.get("device") == device), {})


def _last_request_at(model: Model) -> datetime | None:
    """When someone asked for the model last, or else its number was last decided."""
    known = (last_request_at(model.name), model.scaling.last_request_at, model.scaling.decided_at)
    return max((at for at in known if at is not None), default=model.updated_at)


def _shown(outcome: CountDecision | Hold, now: datetime) -> dict[str, Any]:
    """The look as the page shows it."""
    asked = outcome.proposals
    shown: dict[str, Any] = {"at": now.isoformat(), "reason": outcome.reason.value, "words": outcome.words}
    shown["said"] = parts_of(outcome.words)
    if asked is not None:
        for name in ("utilisation", "demand", "backlog"):
            proposal = getattr(asked, name)
            shown[name] = {
                "count": proposal.count,
                "words": proposal.words,
                "said": parts_of(proposal.words),
            }
    return shown | {"evidence": dict(outcome.evidence)}


def _measured(row: MetricSample) -> MeasuredSecond:
    return MeasuredSecond(
        at_unix_s=row.at.timestamp(),
        requests=row.requests,
        cache_hits=row.cache_hits + row.coalesced,
        rejections=row.rejections,
        queue_depth=row.queue_depth,
        instances=row.instances,
        busy_ratio=row.busy_ratio,
        executions=row.executions,
        inferences=row.inferences,
    )


def _to_ns(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * NS_PER_S)


def _to_time(value_ns: int | None) -> datetime | None:
    return None if value_ns is None else datetime.fromtimestamp(value_ns / NS_PER_S, UTC)
