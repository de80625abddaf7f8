"""Rows → the wanted state of everything, as the data plane reads it.

Rules: a snapshot is whole (the generation is the same before and after reading); a row that cannot be understood leaves
out its version, never the rest; only ready versions are published; revoked keys and those of accounts that are
switched off are not.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from math import ceil
from types import MappingProxyType
from typing import Any

from django.db.models import Prefetch

from models_admin.models import ApiKey, ConfigurationGeneration, Model, ModelVersion, Policy, Rollout, VersionLabel
from models_admin.models.rollouts import ACTIVE_STATES
from models_admin.publishing.connections import looked_after
from models_admin.selectors.artifacts import artifact_path, golden_path
from models_admin.selectors.wanted import wanted_versions
from proxy.core.policies import (
    AdmissionPolicy,
    BatchingPolicy,
    CachePolicy,
    Eviction,
    ExecutionPolicy,
    ModelPolicy,
    Oversize,
    Placement,
    QueuePolicy,
    RetryPolicy,
    ScalingPolicy,
)
from proxy.core.snapshot import KeySnapshot, ModelSnapshot, RolloutMode, RolloutSnapshot, Snapshot, VersionSnapshot
from proxy.core.tensors import Signature, TensorSpec
from proxy.core.units import BYTES_PER_MIB, NS_PER_S, ms_to_ns

log = logging.getLogger(__name__)

WHOLE_READ_TRIES = 5
"""Changes come seldom; five in a row during a read of a few milliseconds means that something else is wrong."""


def load_snapshot(known_generation: int | None) -> Snapshot | None:
    """The wanted state now; None if its generation is `known_generation`. Blocking; call it in a thread."""
    with looked_after():
        generation = current_generation()
        for _ in range(WHOLE_READ_TRIES):
            if generation == known_generation:
                return None
            snapshot = Snapshot(generation, _models(), _keys())
            after = current_generation()
            if after == generation:
                return snapshot
            generation = after
    log.warning("The wanted state changed during each of %d reads; the next look reads again.", WHOLE_READ_TRIES)
    return None


def current_generation() -> int:
    """How often the wanted state has changed."""
    row = ConfigurationGeneration.objects.first()
    return row.number if row else 0


def policy_snapshot(policy: Policy) -> ModelPolicy:
    """An operator's policy in the data plane's units."""
    return ModelPolicy(
        placement=Placement(policy.placement),
        batching=BatchingPolicy(
            max_rows=policy.max_batch_rows,
            max_delay_ns=ms_to_ns(policy.max_queue_delay_ms),
            preferred_rows=tuple(policy.preferred_batch_rows),
            padded_rows=tuple(policy.padded_batch_rows),
            oversize=Oversize(policy.oversize),
        ),
        queue=QueuePolicy(
            max_requests=policy.max_queue_requests,
            max_requests_per_priority=policy.max_queue_requests_per_priority,
            priority_levels=policy.priority_levels,
            default_priority=policy.default_priority,
            ageing_ns=ms_to_ns(policy.ageing_ms),
            fair_share=policy.fair_share,
            contended_rows=policy.contended_rows,
            default_timeout_ns=ms_to_ns(policy.default_timeout_ms),
            max_timeout_ns=ms_to_ns(policy.max_timeout_ms),
        ),
        admission=AdmissionPolicy(adaptive_limit=policy.adaptive_limit, concurrency_limit=policy.concurrency_limit),
        retry=RetryPolicy(budget_ratio=policy.retry_budget_percent / 100),
        scaling=ScalingPolicy(
            enabled=policy.autoscale,
            min_instances=policy.min_instances,
            max_instances=policy.max_instances,
            target_utilisation_ratio=policy.target_utilisation_percent / 100,
            scale_down_delay_ns=policy.scale_down_delay_s * NS_PER_S,
            target_queue_wait_ns=ms_to_ns(policy.target_queue_wait_ms),
            zero_after_ns=policy.scale_to_zero_after_s * NS_PER_S,
            wake_timeout_ns=policy.wake_timeout_s * NS_PER_S,
        ),
        cache=CachePolicy(
            enabled=policy.cache_enabled,
            max_bytes=policy.cache_max_mib * BYTES_PER_MIB,
            ttl_ns=policy.cache_ttl_s * NS_PER_S,
            eviction=Eviction(policy.cache_eviction),
            is_shared=policy.cache_shared,
            keeps_nan=policy.cache_keep_nan,
            second_level=policy.cache_second_level,
        ),
        execution=ExecutionPolicy(
            timeout_ns=ms_to_ns(policy.execution_timeout_ms),
            load_timeout_ns=policy.load_timeout_s * NS_PER_S,
            threads=policy.threads_per_instance,
            memory_limit_bytes=policy.memory_limit_mib * BYTES_PER_MIB,
            device=policy.device,
        ),
    )


def _models() -> Mapping[str, ModelSnapshot]:
    active = Rollout.objects.filter(state__in=ACTIVE_STATES).select_related("candidate")
    rows = Model.objects.select_related("policy", "scaling").prefetch_related(
        Prefetch("versions", queryset=wanted_versions(), to_attr="wanted_versions"),
        Prefetch("labels", queryset=VersionLabel.objects.select_related("version"), to_attr="set_labels"),
        Prefetch("rollouts", queryset=active, to_attr="active_rollouts"),
    )
    return MappingProxyType({row.name: _model(row) for row in rows})


def _model(row: Model) -> ModelSnapshot:
    versions: dict[int, VersionSnapshot] = {}
    default_number = None
    warm = set()
    for version in row.wanted_versions if row.loaded else ():
        snapshot = _version(row, version)
        if snapshot is not None:
            versions[version.number] = snapshot
            if version.pk == row.default_version_id:
                default_number = version.number
            elif version.warm_until is not None:
                warm.add(version.number)
    scaling = getattr(row, "scaling", None)
    wanted_instances = scaling.wanted_instances if scaling and versions else 0
    return ModelSnapshot(
        name=row.name,
        versions=MappingProxyType(versions),
        default_version=default_number,
        wanted_instances=wanted_instances,
        policy=policy_snapshot(row.policy),
        labels=MappingProxyType({label.name: label.version.number for label in row.set_labels}),
        rollout=_rollout(row.active_rollouts, versions, wanted_instances),
        warm=frozenset(warm),
    )


def _rollout(
    active: Sequence[Rollout], versions: Mapping[int, VersionSnapshot], wanted_instances: int
) -> RolloutSnapshot | None:
    """The rollout whose candidate is published. A canary has instances for its share of what the default is given."""
    for row in active:
        if row.candidate.number not in versions:
            continue
        share = ceil(wanted_instances * row.weight_percent / 100) if row.mode == RolloutMode.CANARY else 1
        return RolloutSnapshot(
            rollout_id=row.pk,
            candidate=row.candidate.number,
            mode=RolloutMode(row.mode),
            weight_percent=row.weight_percent,
            instances=max(row.instances, share),
            tolerance=row.tolerance,
            max_error_ratio=row.max_error_percent / 100,
        )
    return None


def _version(model: Model, row: ModelVersion) -> VersionSnapshot | None:
    try:
        signature = signature_value(row.signature)
    except (KeyError, TypeError, ValueError):
        log.exception("%s/%d has a signature that cannot be read; it is not published.", model.name, row.number)
        return None
    return VersionSnapshot(
        model=model.name,
        number=row.number,
        digest=row.digest,
        artifact_path=str(artifact_path(row)),
        format=row.format,
        signature=signature,
        batchable=row.batchable,
        stateful=row.stateful,
        cacheable=row.cacheable,
        options=MappingProxyType(dict(row.options)),
        attempt=row.load_attempt,
        golden_path=str(golden_path(row)) if row.golden_digest else "",
        golden_digest=row.golden_digest,
    )


def signature_value(value: Any) -> Signature:
    """A signature as it is kept in JSON, as a value. Raises KeyError, TypeError or ValueError."""
    return Signature(inputs=_tensors(value["inputs"]), outputs=_tensors(value["outputs"]))


def _tensors(values: Any) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(value["name"], value["datatype"], tuple(int(size) for size in value["shape"])) for value in values
    )


def _keys() -> Mapping[str, KeySnapshot]:
    rows = ApiKey.objects.filter(revoked_at=None).exclude(created_by__is_active=False)
    rows = rows.select_related("created_by").prefetch_related("models")
    return MappingProxyType({row.digest: _key(row) for row in rows})


def _key(row: ApiKey) -> KeySnapshot:
    return KeySnapshot(
        key_id=str(row.pk),
        label=f"key:{row.name}",
        digest_hex=row.digest,
        models=None if row.all_models else frozenset(model.name for model in row.models.all()),
        is_admin=row.administers,
        expires_at_unix_s=row.expires_at.timestamp() if row.expires_at else None,
        weight=row.weight,
        tenant=tenant_of(row),
        requests_per_s=row.requests_per_s,
    )


def tenant_of(key: ApiKey) -> str:
    """On whose behalf the key asks; the two kinds can never meet."""
    return f"tenant:{key.tenant}" if key.tenant else f"key:{key.pk}"
