"""The wanted state of everything, immutable, with a generation. Written by the control plane, read by every room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from proxy.core.policies import ModelPolicy
from proxy.core.tensors import Signature


@dataclass(frozen=True, slots=True)
class VersionSnapshot:
    """One version that is wanted loaded.

    `options` goes to the backend as it is (`method`, `reset_method`, `architecture` …). `key` is `model/number`: what
    groups, lanes and metrics are keyed by, made once since every request asks for it. `golden_path` is a JSON document
    of inputs, expected outputs and tolerances that each instance must reproduce before it serves ("": none). Golden
    samples are no part of what a version is: a change of them restarts nothing and applies at the next load. `attempt`
    rises when an operator has its instances started anew.
    """

    model: str
    number: int
    digest: str
    artifact_path: str
    format: str
    signature: Signature
    batchable: bool = True
    stateful: bool = False
    cacheable: bool = True
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    attempt: int = 0
    golden_path: str = field(default="", compare=False)
    golden_digest: str = field(default="", compare=False)
    key: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.model}/{self.number}")


class RolloutMode(StrEnum):
    """How a candidate version meets traffic before it is the default."""

    CANARY = "canary"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class RolloutSnapshot:
    """A candidate beside the default version, now.

    CANARY: `weight_percent` of the requests that name no version are answered by it. SHADOW: that share is executed by
    it, too, and its answers are compared and discarded. `instances` are wanted of it. `tolerance` is the largest
    |difference| / (1 + |expected|) at which two answers count as the same. More failures than the default version's, by
    surely more than `max_error_ratio` of its requests, stop a canary.
    """

    rollout_id: int
    candidate: int
    mode: RolloutMode
    weight_percent: float
    instances: int = 1
    tolerance: float = 1e-3
    max_error_ratio: float = 0.01


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """A registered model: versions wanted loaded, the default one, and the wanted number of instances of it.

    `labels` name versions (`stable`, `canary` …) in URLs. `wanted_instances` 0: asleep, woken by a request. `warm` are
    versions kept at the default's strength, so that going back to one of them takes no load.
    """

    name: str
    versions: Mapping[int, VersionSnapshot]
    default_version: int | None
    wanted_instances: int
    policy: ModelPolicy = field(default_factory=ModelPolicy)
    labels: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    rollout: RolloutSnapshot | None = None
    warm: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class KeySnapshot:
    """An API key by the SHA-256 of its secret. `models` None means every model. `weight`: its share of a busy model.

    `tenant`: keys of the same one may meet each other's cached answers; never empty. `requests_per_s` 0: no limit.
    """

    key_id: str
    label: str
    digest_hex: str
    models: frozenset[str] | None = None
    is_admin: bool = False
    expires_at_unix_s: float | None = None
    weight: int = 1
    tenant: str = ""
    requests_per_s: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`keys` maps the secret's SHA-256 (hex) to its key."""

    generation: int
    models: Mapping[str, ModelSnapshot]
    keys: Mapping[str, KeySnapshot]


EMPTY_SNAPSHOT = Snapshot(0, MappingProxyType({}), MappingProxyType({}))
