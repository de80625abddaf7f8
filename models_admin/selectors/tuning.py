"""Reads for tuning: which models are worth a look, and what each look is taken on.

Rules: a look at many models costs a fixed number of queries; what is idle and has nothing open costs none of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from models_admin.models import (
    Decision,
    MachineSample,
    MetricSample,
    Model,
    Policy,
    PolicyRevision,
    Rollout,
    TuningSwitch,
)
from models_admin.models.control import DecisionStatus
from models_admin.models.measurements import ALL_MODELS, SECOND_S, WHOLE_MODEL
from models_admin.models.rollouts import ACTIVE_STATES
from models_admin.selectors.cache_reports import fresh_info, reports_in
from models_admin.selectors.load import fill, machine_now
from proxy.core.policies import CACHE_SHARE_OF_HOST, Knob, Objective, TuningMode
from proxy.core.reports import CacheReport
from proxy.core.units import BYTES_PER_MIB
from proxy.metrics import histogram
from proxy.tuner.knobs import Bounds, Settings
from proxy.tuner.objective import Goal
from proxy.tuner.tuning_view import HISTORY_S, WINDOW_S
from proxy.tuner.windows import MAX_AGE_S, TuningSecond, Window, between, window_from

MOST_LOOKS = 50
"""Models looked at in one tick; those that had to wait go first in the next. Larger: longer ticks."""
ASKED_WITHIN_S = 60
"""How long a model without requests is still looked at, so that its last look says that load is gone."""
FREE_SHARE = 0.5
"""Part of the host's free memory that a cache may grow by. Larger: less is left for instances."""
UNDISTURBING = frozenset(
    {
        "tuning_modes",
        "objective",
        "latency_quantile",
        "latency_target_ms",
        "autoscale",
        "min_instances",
        "max_instances",
        "target_utilisation_percent",
        "scale_down_delay_s",
        "target_queue_wait_ms",
        "scale_to_zero_after_s",
        "wake_timeout_s",
        "version_policy",
        "keep_latest",
        "rollback_window_s",
    }
)
"""Fields of a policy that do not change by themselves how requests are served. What they do to the number of instances
is measured."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a policy that measurements before and after it do not compare across."""

    at: datetime
    revision: int
    actor: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one look at many models has in common, and each model's own: seconds, changes, rollouts, caches, cards.

    `service_ms` has each ready instance's average of an execution, by version (`net/1`).
    """

    host: MachineSample | None
    seconds: Mapping[str, list[MetricSample]]
    changes: Mapping[int, list[Change]]
    rolling_out: Collection[int]
    caches: Mapping[str, CacheReport] = field(default_factory=dict)
    service_ms: Mapping[str, list[float]] = field(default_factory=dict)
    cards: Mapping[int, list[Decision]] = field(default_factory=dict)


def switch() -> TuningSwitch:
    """The switch that freezes all tuning (unsaved while nobody has used it)."""
    return TuningSwitch.objects.first() or TuningSwitch()


def is_frozen() -> bool:
    """Whether all tuning stands still."""
    return switch().frozen


def mode_of(policy: Policy, knob: str) -> TuningMode:
    """What tuning may do with the knob. The number of instances is automatic where the policy says `autoscale`."""
    said = TuningMode(policy.tuning_modes.get(knob, TuningMode.ADVISE))
    if knob != Knob.INSTANCES:
        return said
    if policy.autoscale:
        return TuningMode.AUTOMATIC
    return TuningMode.OFF if said == TuningMode.OFF else TuningMode.ADVISE


def advised_on(knob: str = Knob.INSTANCES) -> set[int]:
    """Models for which a change of the knob waits for a person."""
    return set(Model.objects.filter(Exists(_open_cards().filter(knob=knob))).values_list("pk", flat=True))


def _open_cards() -> QuerySet[Decision]:
    """Of the model that an outer query is about: found by the index on model and status, however many were decided."""
    return Decision.objects.filter(model=OuterRef("pk"), status=DecisionStatus.ADVISED)


def worth_a_look(now: datetime) -> list[Model]:
    """Models that were asked for lately or have a trial or a proposal open: trials first, then who waited longest.

    At most MOST_LOOKS, each with its policy, default version, wanted number of instances and tuning state.
    """
    asked = Exists(
        MetricSample.objects.filter(
            resolution_s=SECOND_S,
            version=WHOLE_MODEL,
            model_name=OuterRef("name"),
            at__gt=now - timedelta(seconds=ASKED_WITHIN_S),
            requests__gt=0,
        )
    )
    carded = Exists(_open_cards().exclude(knob=Knob.INSTANCES))
    rows = Model.objects.filter(
        Q(asked, loaded=True, default_version__isnull=False) | Q(tuning__trial__isnull=False) | Q(carded)
    ).select_related("policy", "scaling", "default_version", "tuning__trial")
    return sorted(rows, key=_turn)[:MOST_LOOKS]


def _turn(model: Model) -> tuple[bool, str, str]:
    """Sorts models: a running trial, then the look that is longest ago, then the name."""
    state = getattr(model, "tuning", None)
    return state is None or state.trial_id is None, str(state.look.get("at", "")) if state else "", model.name


def trial_of(model: Model) -> Decision | None:
    """The trial that runs on the model, if one does."""
    state = getattr(model, "tuning", None)
    return state.trial if state is not None else None


def measure(models: Iterable[Model], now: datetime) -> Measured:
    """Everything that looks at these models are taken on, in a fixed number of queries."""
    wanted = list(models)
    ids = [model.pk for model in wanted]
    cards: dict[int, list[Decision]] = defaultdict(list)
    for card in Decision.objects.filter(model__in=ids, status=DecisionStatus.ADVISED):
        cards[card.model_id].append(card)
    info = fresh_info(now)
    return Measured(
        host=machine_now(now, within_s=MAX_AGE_S),
        seconds=tuning_seconds([model.name for model in wanted], now),
        changes=_changes(now),
        rolling_out=set(
            Rollout.objects.filter(model__in=ids, state__in=ACTIVE_STATES).values_list("model_id", flat=True)
        ),
        caches=reports_in(info),
        service_ms=info.get("service_ms", {}),
        cards=cards,
    )


def tuning_seconds(names: Collection[str], now: datetime) -> dict[str, list[MetricSample]]:
    """The newest HISTORY_S of each model, oldest first, idle seconds filled in; one query."""
    rows: dict[str, dict[datetime, MetricSample]] = defaultdict(dict)
    found = MetricSample.objects.filter(
        resolution_s=SECOND_S,
        version=WHOLE_MODEL,
        model_name__in=[ALL_MODELS, *names],
        at__gt=now - timedelta(seconds=HISTORY_S),
        at__lte=now + timedelta(seconds=HISTORY_S),
    )
    for row in found.order_by("at"):
        rows[row.model_name][row.at] = row
    measured = list(rows[ALL_MODELS])
    return {name: fill(measured, rows[name], name) for name in names}


def last_window(name: str, now: datetime) -> Window | None:
    """The last WINDOW_S of one model; None where nothing was measured, or what was cannot be."""
    try:
        seconds = [as_tuning_second(row) for row in tuning_seconds([name], now)[name]]
    except ValueError:
        return None
    return window_from(between(seconds, now.timestamp() - WINDOW_S, now.timestamp()))


def as_tuning_second(row: MetricSample) -> TuningSecond:
    """The row as the decision takes it. ValueError where its counts are none."""
    return TuningSecond(
        at_unix_s=row.at.timestamp(),
        requests=row.requests,
        errors=row.errors,
        rejections=row.rejections,
        cache_hits=row.cache_hits,
        cache_misses=row.cache_misses,
        coalesced=row.coalesced,
        inferences=row.inferences,
        executions=row.executions,
        queue_depth=row.queue_depth,
        in_flight=row.in_flight,
        instances=row.instances,
        busy_ratio=row.busy_ratio,
        mean_ms=row.mean_ms,
        queue_mean_ms=row.queue_mean_ms,
        compute_mean_ms=row.compute_mean_ms,
        cache_bytes=row.cache_bytes,
        histogram=histogram.from_json(row.histogram),
        rows_by_bits=histogram.from_json(row.rows_by_bits),
    )


def _changes(now: datetime) -> dict[int, list[Change]]:
    """Changes of policies, of all models, within the time that is looked back on, oldest first."""
    found: dict[int, list[Change]] = defaultdict(list)
    rows = PolicyRevision.objects.filter(at__gt=now - timedelta(seconds=HISTORY_S)).order_by("at")
    for model_id, at, revision, actor, changes in rows.values_list("model_id", "at", "revision", "actor", "changes"):
        disturbing = tuple(name for name in changes if name not in UNDISTURBING)
        if disturbing:
            found[model_id].append(Change(at, revision, actor, disturbing))
    return found


def settings_of(model: Model) -> Settings:
    """The value of each knob, as it is wanted now."""
    policy = model.policy
    return Settings(
        instances=model.scaling.wanted_instances,
        max_batch_rows=policy.max_batch_rows,
        max_queue_delay_ms=policy.max_queue_delay_ms,
        concurrency_limit=policy.concurrency_limit,
        placement=policy.placement,
        cache_max_mib=policy.cache_max_mib,
        cache_eviction=policy.cache_eviction,
    )


def bounds_of(policy: Policy, host: MachineSample | None) -> Bounds:
    """What the knobs may not leave: the policy's own rules, and for the cache what memory the host has left."""
    every = Bounds()
    rows_at_least = max([every.max_batch_rows[0], *policy.preferred_batch_rows, *policy.padded_batch_rows])
    return Bounds(
        instances=(policy.min_instances, policy.max_instances),
        max_batch_rows=(rows_at_least, every.max_batch_rows[1]),
        cache_max_mib=(every.cache_max_mib[0], _most_cache_mib(policy.cache_max_mib, every.cache_max_mib[1], host)),
    )


def _most_cache_mib(present: int, most: int, host: MachineSample | None) -> int:
    """Never below what is set now; nothing more where it is not known what the host has left."""
    if host is None:
        return present
    free_bytes = max(host.memory_total_bytes - host.memory_used_bytes, 0)
    budget_mib = settings.DLPROXY_CACHE_MAX_MIB or int(CACHE_SHARE_OF_HOST * host.memory_total_bytes) // BYTES_PER_MIB
    return max(min(present + int(FREE_SHARE * free_bytes) // BYTES_PER_MIB, budget_mib, most), present)


def goal_of(policy: Policy) -> Goal:
    """The operator's objective."""
    return Goal(Objective(policy.objective), policy.latency_quantile, float(policy.latency_target_ms))
