"""The wanted state of everything, immutable, with a generation. Written by the control plane, read by every room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from proxy.core.policies import ModelPolicy
from proxy.core.tensors import Signature


@dataclass(frozen=True, slots=True)
class VersionSnapshot:
    """One version that is wanted loaded.

    `options` goes to the backend as it is (`method`, `reset_method`, `architecture` …). `key` is `model/number`: what
    groups, lanes and metrics are keyed by, made once since every request asks for it.
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
    key: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.model}/{self.number}")


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """A registered model: versions wanted loaded, the default one, and the wanted number of instances of it."""

    name: str
    versions: Mapping[int, VersionSnapshot]
    default_version: int | None
    wanted_instances: int
    policy: ModelPolicy = field(default_factory=ModelPolicy)


@dataclass(frozen=True, slots=True)
class KeySnapshot:
    """An API key by the SHA-256 of its secret. `models` None means every model."""

    key_id: str
    label: str
    digest_hex: str
    models: frozenset[str] | None = None
    is_admin: bool = False
    expires_at_unix_s: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`keys` maps the secret's SHA-256 (hex) to its key."""

    generation: int
    models: Mapping[str, ModelSnapshot]
    keys: Mapping[str, KeySnapshot]


EMPTY_SNAPSHOT = Snapshot(0, MappingProxyType({}), MappingProxyType({}))
