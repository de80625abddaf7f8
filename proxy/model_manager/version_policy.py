"""Wanted versions against actual ones → the next actions. Pure.

Rules: availability first — a version that answers for its model by default is neither unloaded nor made smaller before
the new default has taken over, at full strength, unless the model itself is no longer wanted (TensorFlow Serving's
availability preserving policy, tensorflow_serving/core/availability_preserving_policy.h).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from proxy.core.policies import ExecutionPolicy
from proxy.core.snapshot import ModelSnapshot, Snapshot, VersionSnapshot
from proxy.instances.sizes import executed_rows
from proxy.model_manager.lifecycle import LoadState


@dataclass(frozen=True, slots=True)
class Wanted:
    """One version that should be loaded with `instances` instances under `execution`."""

    version: VersionSnapshot
    instances: int
    execution: ExecutionPolicy


@dataclass(frozen=True, slots=True)
class Actual:
    """One version as it is. `version` and `execution` are what its present instances were started with."""

    version: VersionSnapshot
    execution: ExecutionPolicy
    instances: int
    state: LoadState


@dataclass(frozen=True, slots=True)
class Load:
    """Start a version that is not there."""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Resize:
    """Change the number of instances."""

    key: str
    instances: int


@dataclass(frozen=True, slots=True)
class SetLimits:
    """Watch the instances by other limits of time; they stay."""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Replace:
    """Start new instances beside the old ones, since artifact, options, threads or memory changed."""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Unload:
    """Drain and end a version."""

    key: str


Action = Load | Resize | SetLimits | Replace | Unload


def wanted_versions(
    snapshot: Snapshot, awake: Collection[str] = (), evicted: Collection[str] = ()
) -> dict[str, Wanted]:
    """Every version that should be loaded, with its number of instances.

    The default and the versions kept warm for going back have the decided count, a rollout's candidate what the rollout
    says, others one. `awake` are models that a request has woken and that no decision wants yet: one instance at least.
    `evicted` are version keys whose memory was needed: none, until a request asks.
    """
    wanted: dict[str, Wanted] = {}
    for model in snapshot.models.values():
        execution = replace(model.policy.execution, batch_rows=executed_rows(model.policy.batching))
        decided = max(model.wanted_instances, 1) if model.name in awake else model.wanted_instances
        for number, version in model.versions.items():
            if number == model.default_version:
                count = decided
            elif number in model.warm:
                count = max(decided, 1)
            elif model.rollout is not None and number == model.rollout.candidate:
                count = model.rollout.instances
            else:
                count = 1
            wanted[version.key] = Wanted(version, 0 if version.key in evicted else count, execution)
    return wanted


def next_actions(
    wanted: Mapping[str, Wanted], actual: Mapping[str, Actual], serving: Mapping[str, int], snapshot: Snapshot
) -> list[Action]:
    """Actions that move `actual` towards `wanted`. `serving`: the version that answers by default, by model."""
    actions: list[Action] = []
    for key, want in wanted.items():
        have = actual.get(key)
        if have is None:
            actions.append(Load(want))
        elif have.state is LoadState.DRAINING:
            continue  # loaded again once it has gone
        elif have.version != want.version or needs_new_processes(have.execution, want.execution):
            actions.append(Replace(want))
        else:
            if have.execution != want.execution:
                actions.append(SetLimits(want))
            shrinks = want.instances < have.instances
            if have.instances != want.instances and not (shrinks and _stands_in(have, serving, wanted, snapshot)):
                actions.append(Resize(key, want.instances))
    for key, have in actual.items():
        if key in wanted or have.state in (LoadState.DRAINING, LoadState.UNLOADED):
            continue
        if not _stands_in(have, serving, wanted, snapshot):
            actions.append(Unload(key))
    return actions


def needs_new_processes(old: ExecutionPolicy, new: ExecutionPolicy) -> bool:
    """True if instances started under `old` cannot go on under `new`: limits of time are watched from outside."""
    return (old.threads, old.memory_limit_bytes, old.device) != (new.threads, new.memory_limit_bytes, new.device)


def _stands_in(have: Actual, serving: Mapping[str, int], wanted: Mapping[str, Wanted], snapshot: Snapshot) -> bool:
    """True while `have` answers for its model in place of a wanted default that has not taken over yet.

    A default that is wanted asleep takes over at once: there is nothing to wait for.
    """
    model = snapshot.models.get(have.version.model)
    if model is None or model.default_version is None or model.default_version == have.version.number:
        return False
    default = model.versions.get(model.default_version)
    if default is None or not wanted[default.key].instances:
        return False
    return serving.get(model.name) == have.version.number and have.state is LoadState.READY


def default_route(
    model: ModelSnapshot, serving: int | None, ready: frozenset[int], complete: frozenset[int]
) -> int | None:
    """Who answers a request that names no version: the wanted default, else `serving`, the one before it.

    The default takes over from one that answers only with as many instances as are wanted of it (`complete`): with the
    first of four, a promotion under load would be an overload. It keeps the place when it loses some of them.
    """
    default = model.default_version
    if default is None:
        return None
    if default in ready and (default in complete or serving not in ready or serving == default):
        return default
    return serving if serving in ready else None
