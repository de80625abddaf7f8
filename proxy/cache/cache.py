"""Remembers the answers of each model under its policy.

Place: after the version is chosen (the key holds its digest), before admission, so that hits never queue.
Rules: never another version's answer, another input's, or another tenant's where the model is not shared (C1 to C3);
only what the pipeline puts in, so errors, refusals and the answers of versions that are not cacheable are never kept
(C4), nor, unless the policy wants them, answers that hold NaN; all models together stay within the budget.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

from proxy.cache.budget import Ledger, equal_share_bytes, robbed
from proxy.cache.key import begun_key, request_key
from proxy.cache.not_a_number import holds_nan
from proxy.cache.second_level_model import SharedAnswer
from proxy.cache.store import Store
from proxy.cache.watch import CacheWatch
from proxy.core.batches import BatchOutputs
from proxy.core.clock import Clock
from proxy.core.own_faults import OwnFaults, Place
from proxy.core.policies import CachePolicy
from proxy.core.reports import CacheReport
from proxy.core.requests import Answer, InferenceRequest
from proxy.core.snapshot import VersionSnapshot
from proxy.core.units import NS_PER_S

log = logging.getLogger(__name__)

if TYPE_CHECKING:  # Redis' client is loaded only where one is used
    from proxy.cache.second_level import SecondLevel

# Entries looked at for age each time statistics are read. Larger: aged memory is freed sooner, statistics cost more.
SWEEP_ENTRIES = 1_024
# Versions and tenants whose begun key is remembered. Larger: more memory; beyond it all are made anew.
BEGUN_KEYS = 1_024
# Share of a new reading of saved time in `saved_ns_per_s`. Larger: follows a change sooner, rests less.
SAVED_WEIGHT = 0.1


class ResultCache:
    """One store a model, in the memory of this process. `budget_bytes` bounds all together (0: each by itself).

    `second` is shared with other servers, for the models whose policies say so.
    """

    def __init__(
        self,
        clock: Clock,
        budget_bytes: int = 0,
        second: SecondLevel | None = None,
        faults: OwnFaults | None = None,
    ) -> None:
        self._clock = clock
        self._faults = faults or OwnFaults()
        self._second = second
        self._watches: dict[str, CacheWatch] = {}
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
            store = self._stores[model] = Store(policy, self._ledger)
            self._watches[model] = CacheWatch(store, self._clock.now_ns)
        else:
            store.apply(policy)
            self._watches[model].policy_changed()
        if self._second is not None:
            self._second.configure(model, policy)

    def forget(self, model: str) -> None:
        """The model is gone. Unknown ones are ignored."""
        store = self._stores.pop(model, None)
        if store is not None:
            store.purge(None)
            del self._watches[model]
        if self._second is not None:
            self._second.forget(model)
        self._saved.pop(model, None)
        self._begun.clear()

    def is_enabled(self, model: str) -> bool:
        """True if the policy wants answers of `model` kept; requests have keys then, though it may be bypassed."""
        store = self._stores.get(model)
        return store is not None and store.policy.enabled

    def is_in_use(self, model: str) -> bool:
        """True if look-ups are made: it is enabled, and not bypassed since hits do not pay."""
        store = self._stores.get(model)
        return store is not None and store.is_open

    def is_wanted(self, model: str, key: bytes) -> bool:
        """True if `put` would make anything of an answer to `key`; a bypassed cache still looks at a sample of them."""
        store = self._stores.get(model)
        return store is not None and (store.is_open or (store.policy.enabled and key < store.sampled_below))

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
        if store is None or not store.policy.enabled:
            return None
        if not store.is_open:
            store.pass_by(key)
            return None
        if key >= store.timed_below:
            return store.get(key, now_ns)
        watch = self._watches[model]
        began_ns = watch.begin()
        outputs = store.get(key, now_ns)
        watch.looked_up(began_ns)
        return outputs

    def joined(self, model: str) -> None:
        """Who was just not found by `get` waits for an identical request in flight, which is no miss."""
        store = self._stores.get(model)
        if store is not None and store.is_open:
            store.coalesced += 1

    def look_further(self, request: InferenceRequest, key: bytes, found: Callable[[BatchOutputs | None], None]) -> bool:
        """Ask other servers after a miss. True: `found` is called once, soon, with the outputs or None."""
        if self._second is None:
            return False
        version = request.version
        store = self._stores.get(version.model)
        if store is None or not store.is_open or not store.policy.second_level:
            return False
        service_ns = self._watches[version.model].service.value_ns
        return self._second.look_up(version.model, key, service_ns, partial(self._found, version, key, found))

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
        if store is None or not store.policy.enabled:
            return
        if not store.policy.keeps_nan and holds_nan(outputs):
            store.refused += store.is_open
            return
        watch = self._watches[model]
        is_timed = key < store.timed_below
        if is_timed:
            watch.service.add(saved_ns)
        if not store.is_open:
            if key < store.sampled_below:
                store.would_put(key, outputs, saved_ns)
            return
        began_ns = watch.begin() if is_timed else 0
        store.put(key, outputs, version_digest, now_ns, saved_ns)
        if is_timed:
            watch.inserted(began_ns)
        self._keep_to_budget()
        if self._second is not None:
            self._second.put(model, key, outputs, saved_ns)

    def purge(self, model: str | None = None, version_digest: str | None = None) -> int:
        """Drop the answers of one model (None: of all), or of one version of it; how many they were."""
        if self._second is not None:  # it tells no versions apart: all of the model's go
            self._second.purge(model)
        names = self._stores if model is None else (model,)
        return sum(self._stores[name].purge(version_digest) for name in names if name in self._stores)

    def statistics(self) -> Mapping[str, CacheReport]:
        """Every model's cache; called once a second. Aged entries are freed, and use or bypass decided, on the way."""
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
            second_level = None if self._second is None else self._second.report(name)
            result[name] = self._watches[name].second(now_ns, second_level)
        return result

    def _found(
        self,
        version: VersionSnapshot,
        key: bytes,
        found: Callable[[BatchOutputs | None], None],
        answer: SharedAnswer | None,
    ) -> None:
        """Keep what another server left, as old as it is, and hand it over."""
        store = self._stores.get(version.model)
        if answer is None or store is None or (not store.policy.keeps_nan and holds_nan(answer.outputs)):
            found(None)
            return
        if store.is_open:
            stored_ns = self._clock.now_ns() - answer.age_ns
            try:
                store.put(key, answer.outputs, version.digest, stored_ns, answer.saved_ns)
                self._keep_to_budget()
            except Exception as error:  # who waits is answered all the same
                words = f"what another server left for {version.key} could not be kept"
                if line := self._faults.line(Place.KEEPING, words, error, self._clock.now_ns()):
                    log.exception("%s", line)
        found(answer.outputs)

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
