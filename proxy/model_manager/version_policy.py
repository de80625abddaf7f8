"""Wanted versions against actual ones → the next actions. Pure.

Rules: availability first — a version that answers for its model by default is not unloaded before the new
default is ready, unless the model itself is no longer wanted (TensorFlow Serving's availability preserving policy,
tensorflow_serving/core/availability_preserving_policy.h).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.core.policies import ExecutionPolicy
from proxy.core.snapshot import ModelSnapshot, Snapshot, VersionSnapshot
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
class Replace:
    """Start new instances beside the old ones, since artifact, options or execution policy changed."""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Unload:
    """Drain and end a version."""

    key: str


Action = Load | Resize | Replace | Unload


def wanted_versions(snapshot: Snapshot) -> dict[str, Wanted]:
    """Every version that should be loaded: the default with the decided count, others with one instance."""
    wanted: dict[str, Wanted] = {}
    for model in snapshot.models.values():
        for number, version in model.versions.items():
            count = model.wanted_instances if number == model.default_version else 1
            wanted[version.key] = Wanted(version, count, model.policy.execution)
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
        elif have.version != want.version or have.execution != want.execution:
            actions.append(Replace(want))
        elif have.instances != want.instances:
            actions.append(Resize(key, want.instances))
    for key, have in actual.items():
        if key in wanted or have.state in (LoadState.DRAINING, LoadState.UNLOADED):
            continue
        if not _still_needed(have, actual, serving, snapshot.models.get(have.version.model)):
            actions.append(Unload(key))
    return actions


def _still_needed(
    have: Actual, actual: Mapping[str, Actual], serving: Mapping[str, int], model: ModelSnapshot | None
) -> bool:
    """True while `have` answers for its model and the wanted default is not ready to take over."""
    if model is None or model.default_version is None or model.default_version not in model.versions:
        return False
    if serving.get(model.name) != have.version.number or have.state is not LoadState.READY:
        return False
    successor = actual.get(f"{model.name}/{model.default_version}")
    return successor is None or successor.state is not LoadState.READY


def default_route(model: ModelSnapshot, serving: int | None, ready: frozenset[int]) -> int | None:
    """Who answers a request that names no version: the wanted default once ready, else the one before it."""
    if model.default_version in ready:
        return model.default_version
    if serving in ready and model.default_version is not None:
        return serving
    return None
