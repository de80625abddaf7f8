"""Remembers the answers of each model under its policy.

Place: after the version is chosen (the key holds its digest), before admission, so that hits never queue.
Rules: never another version's answer; never another input's; only what the pipeline puts in, so errors, refusals and
the answers of versions that are not cacheable are never kept (C4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.cache.key import request_key, version_prefix
from proxy.cache.store import LruStore
from proxy.core.batches import BatchOutputs
from proxy.core.clock import Clock
from proxy.core.policies import CachePolicy
from proxy.core.requests import Answer, InferenceRequest
from proxy.core.snapshot import VersionSnapshot

# Entries looked at for age each time statistics are read. Larger: aged memory is freed sooner, statistics cost more.
SWEEP_ENTRIES = 256
# Versions whose key prefix is remembered. Larger: more memory; beyond it all are made anew.
PREFIXES = 1_024


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """One model's cache. Counts since it was configured."""

    bytes: int
    max_bytes: int
    entries: int
    hits: int
    misses: int
    evictions: int
    expirations: int


class ResultCache:
    """One LRU store a model, in the memory of this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stores: dict[str, LruStore] = {}
        self._prefixes: dict[int, tuple[VersionSnapshot, bytes]] = {}

    def configure(self, model: str, policy: CachePolicy) -> None:
        """Open the model's cache, or let it follow another policy."""
        store = self._stores.get(model)
        if store is None:
            self._stores[model] = LruStore(policy)
        else:
            store.apply(policy)

    def forget(self, model: str) -> None:
        """The model is gone. Unknown ones are ignored."""
        self._stores.pop(model, None)
        self._prefixes.clear()

    def is_enabled(self, model: str) -> bool:
        """True if looking up or keeping an answer of `model` makes sense."""
        store = self._stores.get(model)
        return store is not None and store.policy.enabled

    def key(self, request: InferenceRequest) -> bytes:
        """The request's key (proxy.cache.key)."""
        version = request.version
        known = self._prefixes.get(id(version))
        if known is None or known[0] is not version:
            if len(self._prefixes) >= PREFIXES:
                self._prefixes.clear()
            known = self._prefixes[id(version)] = (version, version_prefix(version))
        return request_key(known[1], request.inputs, request.outputs)

    def get(self, model: str, key: bytes, now_ns: int) -> BatchOutputs | None:
        """The kept outputs, or None: a miss, aged, or no cache for the model."""
        store = self._stores.get(model)
        return store.get(key, now_ns) if store is not None and store.policy.enabled else None

    def reply(self, version: VersionSnapshot, body: bytes, now_ns: int) -> Answer | None:
        """The answer to an earlier request with the very same body that was a hit, while its entry is kept.

        It is given out as it was written, so it must not be changed.
        """
        store = self._stores.get(version.model)
        return store.reply(version, body, now_ns) if store is not None and version.cacheable else None

    def add_reply(self, version: VersionSnapshot, body: bytes, key: bytes, answer: Answer) -> None:
        """Keep how a hit of `key` was answered to a plain request with this body, for `reply`."""
        store = self._stores.get(version.model)
        if store is not None and store.policy.enabled:
            store.add_reply(version, body, key, answer)

    def put(self, model: str, key: bytes, outputs: BatchOutputs, now_ns: int, *, version_digest: str = "") -> None:
        """Keep `outputs` (one request's share, not a batch's). `version_digest` lets `purge` find them."""
        store = self._stores.get(model)
        if store is not None and store.policy.enabled:
            store.put(key, outputs, version_digest, now_ns)

    def purge(self, model: str | None = None, version_digest: str | None = None) -> int:
        """Drop the answers of one model (None: of all), or of one version of it; how many they were."""
        names = self._stores if model is None else (model,)
        return sum(self._stores[name].purge(version_digest) for name in names if name in self._stores)

    def statistics(self) -> Mapping[str, CacheStatistics]:
        """The numbers of every model's cache; aged entries are freed on the way."""
        now_ns = self._clock.now_ns()
        result = {}
        for name, store in self._stores.items():
            store.sweep(now_ns, SWEEP_ENTRIES)
            result[name] = CacheStatistics(
                bytes=store.size_bytes,
                max_bytes=store.policy.max_bytes,
                entries=len(store),
                hits=store.hits,
                misses=store.misses,
                evictions=store.evictions,
                expirations=store.expirations,
            )
        return result
