"""Remembers the answers of each model under its policy.

Place: after the version is chosen (the key holds its digest), before admission, so that hits never queue.
Rules: never another version's answer, another input's, or another tenant's where the model is not shared (C1 to C3);
only what the pipeline puts in, so errors, refusals and the answers of versions that are not cacheable are never kept
(C4), nor, unless the policy wants them, answers that hold NaN; all models together stay within the budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from proxy.cache.budget import Ledger, equal_share_bytes, robbed
from proxy.cache.key import begun_key, request_key
from proxy.cache.not_a_number import holds_nan
from proxy.cache.store import Observer, Store
from proxy.core.batches import BatchOutputs
from proxy.core.clock import Clock
from proxy.core.policies import CachePolicy
from proxy.core.requests import Answer, InferenceRequest
from proxy.core.snapshot import VersionSnapshot
from proxy.core.units import NS_PER_S

# Entries looked at for age each time statistics are read. Larger: aged memory is freed sooner, statistics cost more.
SWEEP_ENTRIES = 1_024
# Versions and tenants whose begun key is remembered. Larger: more memory; beyond it all are made anew.
BEGUN_KEYS = 1_024
# Share of a new reading of saved time in `saved_ns_per_s`. Larger: follows a change sooner, rests less.
SAVED_WEIGHT = 0.1


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """One model's cache. Counts since it was configured."""

    bytes: int
    max_bytes: int
    entries: int
    eviction: str
    hits: int
    misses: int
    insertions: int
    evictions: int
    expirations: int
    refused: int
    saved_ns: int


class ResultCache:
    """One store a model, in the memory of this process. `budget_bytes` bounds all together (0: each by itself)."""

    def __init__(self, clock: Clock, budget_bytes: int = 0) -> None:
        self._clock = clock
        self._ledger = Ledger(budget_bytes)
        self._stores: dict[str, Store] = {}
        self._begun: dict[tuple[int, str | None], tuple[VersionSnapshot, blake2b]] = {}
        self._saved: dict[str, int] = {}  # what each store had saved when statistics were last read
        self._read_ns = clock.now_ns()
        self._leaving: tuple[Store, float] | None = None  # whose answers leave, down to how many bytes

    def configure(self, model: str, policy: CachePolicy) -> None:
        """Open the model's cache, or let it follow another policy."""
        store = self._stores.get(model)
        if store is None:
            self._stores[model] = Store(policy, self._ledger)
        else:
            store.apply(policy)

    def forget(self, model: str) -> None:
        """The model is gone. Unknown ones are ignored."""
        store = self._stores.pop(model, None)
        if store is not None:
            store.purge(None)
        self._saved.pop(model, None)
        self._begun.clear()

    def bypass(self, model: str, *, is_bypassed: bool) -> None:
        """Neither ask nor fill the model's cache for now, or do again; what it holds stays."""
        store = self._stores.get(model)
        if store is not None:
            store.is_open = store.policy.enabled and not is_bypassed

    def observe(self, model: str, observer: Observer | None, sampled_below: bytes) -> None:
        """Show `observer` the use of those of the model's keys that are below `sampled_below`."""
        store = self._stores.get(model)
        if store is not None:
            store.observer, store.sampled_below = observer, sampled_below

    def is_enabled(self, model: str) -> bool:
        """True if looking up or keeping an answer of `model` makes sense."""
        store = self._stores.get(model)
        return store is not None and store.is_open

    def key(self, request: InferenceRequest) -> bytes:
        """The request's key (proxy.cache.key)."""
        version = request.version
        store = self._stores.get(version.model)
        tenant = None if store is not None and store.policy.is_shared else request.tenant
        known = self._begun.get((id(version), tenant))
        if known is None or known[0] is not version:
            if len(self._begun) >= BEGUN_KEYS:
                self._begun.clear()
            known = self._begun[id(version), tenant] = (version, begun_key(version, tenant))
        return request_key(known[1], request.inputs, request.outputs)

    def get(self, model: str, key: bytes, now_ns: int) -> BatchOutputs | None:
        """The kept outputs, or None: a miss, aged, or no cache for the model."""
        store = self._stores.get(model)
        return store.get(key, now_ns) if store is not None and store.is_open else None

    def reply(self, version: VersionSnapshot, tenant: str, body: bytes, now_ns: int) -> Answer | None:
        """The answer to an earlier request with the very same body that was a hit, while its entry is kept.

        It is given out as it was written, so it must not be changed.
        """
        store = self._stores.get(version.model)
        if store is None or not store.is_open or not version.cacheable:
            return None
        return store.reply(version, tenant, body, now_ns)

    def add_reply(self, request: InferenceRequest, body: bytes, key: bytes, answer: Answer) -> None:
        """Keep how a hit of `key` was answered to a plain request with this body, for `reply`."""
        version = request.version
        store = self._stores.get(version.model)
        if store is not None and store.is_open:
            store.add_reply(version, request.tenant, body, key, answer)
            self._keep_to_budget()

    def put(
        self, model: str, key: bytes, outputs: BatchOutputs, now_ns: int, *, version_digest: str = "", saved_ns: int = 0
    ) -> None:
        """Keep `outputs` (one request's share, not a batch's). `version_digest` lets `purge` find them.

        `saved_ns`: model time that each hit will save.
        """
        store = self._stores.get(model)
        if store is None or not store.is_open:
            return
        if not store.policy.keeps_nan and holds_nan(outputs):
            store.refused += 1
            return
        store.put(key, outputs, version_digest, now_ns, saved_ns)
        self._keep_to_budget()

    def purge(self, model: str | None = None, version_digest: str | None = None) -> int:
        """Drop the answers of one model (None: of all), or of one version of it; how many they were."""
        names = self._stores if model is None else (model,)
        return sum(self._stores[name].purge(version_digest) for name in names if name in self._stores)

    def statistics(self) -> Mapping[str, CacheStatistics]:
        """The numbers of every model's cache; aged entries are freed on the way."""
        now_ns = self._clock.now_ns()
        passed_s, self._read_ns = (now_ns - self._read_ns) / NS_PER_S, now_ns
        self._leaving = None
        result = {}
        for name, store in self._stores.items():
            store.sweep(now_ns, SWEEP_ENTRIES)
            if passed_s > 0:
                rate = (store.saved_ns - self._saved.get(name, 0)) / passed_s
                store.saved_ns_per_s += SAVED_WEIGHT * (rate - store.saved_ns_per_s)
                self._saved[name] = store.saved_ns
            result[name] = CacheStatistics(
                bytes=store.size_bytes,
                max_bytes=store.policy.max_bytes,
                entries=len(store),
                eviction=store.policy.eviction.value,
                hits=store.hits,
                misses=store.misses,
                insertions=store.insertions,
                evictions=store.evictions,
                expirations=store.expirations,
                refused=store.refused,
                saved_ns=store.saved_ns,
            )
        return result

    def _keep_to_budget(self) -> None:
        """Evict until all caches together hold no more than the budget. Who gives is chosen anew each second."""
        ledger = self._ledger
        while ledger.is_over:
            if self._leaving is None:
                store = robbed(self._stores.values(), ledger.max_bytes)
                self._leaving = store, equal_share_bytes(self._stores.values(), ledger.max_bytes)
            store, least_bytes = self._leaving
            if store.size_bytes <= least_bytes:
                self._leaving = None
            else:
                store.evict()
