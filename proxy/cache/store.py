"""Answers of one model, bounded by bytes; which leaves first is its eviction order's to say. No clock, no I/O.

Rules: `size_bytes` never exceeds the bound; an answer larger than the bound is not kept (C7); an aged one is a miss;
what a change of policy makes unreachable or unwanted (tenants, NaN) is dropped with it, all else is kept.
"""

from __future__ import annotations

from itertools import islice
from typing import Protocol

from proxy.cache.budget import Ledger
from proxy.cache.eviction import EvictionOrder, Held
from proxy.cache.eviction_orders import eviction_order
from proxy.cache.replies import LONGEST_BODY_BYTES, REPLIES_PER_ENTRY, Replies, Reply
from proxy.cache.sizes import cost_bytes
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy
from proxy.core.requests import Answer
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import Tensor


class Kept(Held):
    """One kept answer. `replies` were written from its outputs, oldest first; their bytes are in `size_bytes`."""

    __slots__ = ("outputs", "replies", "stored_ns", "version_digest")

    def __init__(
        self, key: bytes, outputs: BatchOutputs, size_bytes: int, stored_ns: int, version_digest: str, saved_ns: int
    ) -> None:
        super().__init__(key, size_bytes, saved_ns)
        self.outputs = outputs
        self.stored_ns = stored_ns
        self.version_digest = version_digest
        self.replies: tuple[Reply, ...] = ()


class Observer(Protocol):
    """Who wants to see the use of the keys below `Store.sampled_below`: a share of all, since keys are digests."""

    def on_lookup(self, key: bytes, size_bytes: int | None) -> None:
        """Somebody asked for `key`: a hit of so many bytes, or None: a miss."""

    def on_insert(self, key: bytes, size_bytes: int, saved_ns: int) -> None:
        """An answer of so many bytes was put under `key` (kept or not); each hit saves so much model time."""


class Store:
    """Key → outputs of one model, under `policy`. Counts are since it was made.

    `refused`: answers that were not kept, since they are larger than the bound or hold NaN. `saved_ns`: model time that
    hits saved, `saved_ns_per_s` lately (the owner's to write). `is_open` False: neither asked nor filled.
    `passed`: look-ups that were not made while it was shut. `coalesced`: of the misses, those that waited for an
    identical request in flight instead of executing. Uses of keys below `timed_below` are timed by the owner.
    """

    __slots__ = (
        "_entries",
        "_is_shared",
        "_ledger",
        "_order",
        "_replies",
        "_touch",
        "_ttl_ns",
        "coalesced",
        "evictions",
        "expirations",
        "hits",
        "insertions",
        "is_open",
        "misses",
        "observer",
        "passed",
        "policy",
        "refused",
        "sampled_below",
        "saved_ns",
        "saved_ns_per_s",
        "size_bytes",
        "timed_below",
    )

    def __init__(self, policy: CachePolicy, ledger: Ledger | None = None) -> None:
        self._obey(policy)
        self._ledger = ledger or Ledger()
        self._entries: dict[bytes, Kept] = {}  # in the order in which they were stored
        self._follow(eviction_order(policy.eviction, policy.max_bytes))
        self._replies = Replies()
        self.size_bytes = 0
        self.hits = self.misses = self.insertions = self.evictions = self.expirations = self.refused = 0
        self.coalesced = 0
        self.saved_ns = 0
        self.saved_ns_per_s = 0.0
        self.observer: Observer | None = None
        self.sampled_below = b""  # no key is below it
        self.timed_below = b""
        self.passed = 0

    def __len__(self) -> int:
        return len(self._entries)

    def apply(self, policy: CachePolicy) -> None:
        """Follow `policy` from now on: a smaller bound evicts at once, a disabled cache is emptied."""
        before = self.policy
        self._obey(policy)
        if not policy.enabled or policy.is_shared != before.is_shared or policy.keeps_nan < before.keeps_nan:
            self.purge(None)
        if policy.eviction != before.eviction:
            order: EvictionOrder[Kept] = eviction_order(policy.eviction, policy.max_bytes)
            for entry in self._order:
                order.insert(entry)
            self._follow(order)
        elif policy.max_bytes != before.max_bytes:
            self._order.bound(policy.max_bytes)
        self._shrink()

    def get(self, key: bytes, now_ns: int) -> BatchOutputs | None:
        """The outputs kept under `key`, or None."""
        entry = self._entries.get(key)
        if entry is not None and 0 < self._ttl_ns <= now_ns - entry.stored_ns:
            self._drop(entry)
            self.expirations += 1
            entry = None
        if key < self.sampled_below and self.observer is not None:
            self.observer.on_lookup(key, None if entry is None else entry.size_bytes)
        if entry is None:
            self.misses += 1
            return None
        self._touch(entry)
        self.hits += 1
        self.saved_ns += entry.saved_ns
        return entry.outputs

    def reply(self, version: VersionSnapshot, tenant: str, body: bytes, now_ns: int) -> Answer | None:
        """The answer that a request with this very body had from the entry that is still kept; counts as a hit.

        None counts as nothing: the body is then read, and `get` asked.
        """
        numbers = self._replies.by_tenant.get("" if self._is_shared else tenant)
        if numbers is None:
            return None
        replies = numbers.get(version.number)
        if replies is None:
            return None
        reply = replies.get(body)
        if reply is None or reply.version is not version:
            return None
        entry = reply.entry
        if 0 < self._ttl_ns <= now_ns - entry.stored_ns:
            return None
        if entry.key < self.sampled_below and self.observer is not None:
            self.observer.on_lookup(entry.key, entry.size_bytes)
        self._touch(entry)
        self.hits += 1
        self.saved_ns += entry.saved_ns
        return reply.answer

    def add_reply(self, version: VersionSnapshot, tenant: str, body: bytes, key: bytes, answer: Answer) -> None:
        """Keep how the entry under `key` was answered to a request with this body; its bytes count as the entry's."""
        entry = self._entries.get(key)
        if entry is None or len(body) > LONGEST_BODY_BYTES:
            return
        tenant = "" if self._is_shared else tenant
        reply = Reply(version, tenant, body, entry, answer)
        if entry.size_bytes + reply.size_bytes > self.policy.max_bytes:
            return
        standing = self._replies.at(version, tenant, body)
        if standing is not None:
            self._drop_reply(standing)
        if len(entry.replies) >= REPLIES_PER_ENTRY:
            self._drop_reply(entry.replies[0])
        entry.replies = (*entry.replies, reply)
        self._resize(entry, reply.size_bytes)
        self._replies.add(reply)
        self._shrink()

    def put(self, key: bytes, outputs: BatchOutputs, version_digest: str, now_ns: int, saved_ns: int = 0) -> None:
        """Keep `outputs`, in place of what was there, if they fit at all.

        `saved_ns`: model time that each hit will save.
        """
        standing = self._entries.get(key)
        if standing is not None:
            self._drop(standing)
        size_bytes = cost_bytes(outputs)
        if key < self.sampled_below and self.observer is not None:
            self.observer.on_insert(key, size_bytes, saved_ns)
        if size_bytes > self.policy.max_bytes:
            self.refused += 1
            return
        entry = Kept(key, _owned(outputs), size_bytes, now_ns, version_digest, saved_ns)
        self._entries[key] = entry
        self._order.insert(entry)
        self._count(size_bytes)
        self.insertions += 1
        self._shrink()

    def pass_by(self, key: bytes) -> None:
        """Somebody would have asked for `key` if the cache were open."""
        self.passed += 1
        if key < self.sampled_below and self.observer is not None:
            self.observer.on_lookup(key, None)

    def would_put(self, key: bytes, outputs: BatchOutputs, saved_ns: int) -> None:
        """`outputs` would have been put under `key`, which is below `sampled_below`, if the cache were open."""
        if self.observer is not None:
            self.observer.on_insert(key, cost_bytes(outputs), saved_ns)

    def purge(self, version_digest: str | None) -> int:
        """Drop everything, or one version's answers; how many they were."""
        leaving = [entry for entry in self._entries.values() if version_digest in (None, entry.version_digest)]
        for entry in leaving:
            self._drop(entry)
        if not self._entries:  # what the order remembers of those that left goes, too
            self._follow(eviction_order(self.policy.eviction, self.policy.max_bytes))
        return len(leaving)

    def sweep(self, now_ns: int, limit: int) -> None:
        """Drop the aged among the `limit` entries that were stored first."""
        ttl_ns = self._ttl_ns
        if ttl_ns <= 0:
            return
        for entry in list(islice(self._entries.values(), limit)):
            if now_ns - entry.stored_ns < ttl_ns:
                return
            self._drop(entry)
            self.expirations += 1

    def evict(self) -> None:
        """Drop the entry that leaves next. Raises KeyError when there is none."""
        entry = self._order.evict()
        del self._entries[entry.key]
        self._gone(entry)
        self.evictions += 1

    def _obey(self, policy: CachePolicy) -> None:
        self.policy = policy
        self.is_open = policy.enabled
        self._ttl_ns, self._is_shared = policy.ttl_ns, policy.is_shared

    def _follow(self, order: EvictionOrder[Kept]) -> None:
        self._order = order
        self._touch = order.touch

    def _drop(self, entry: Kept) -> None:
        del self._entries[entry.key]
        self._order.remove(entry)
        self._gone(entry)

    def _gone(self, entry: Kept) -> None:
        """The entry has been taken out: its replies and bytes go, too."""
        for reply in entry.replies:
            self._replies.discard(reply)
        entry.replies = ()  # they point back at it
        self._count(-entry.size_bytes)

    def _drop_reply(self, reply: Reply) -> None:
        entry = reply.entry
        entry.replies = tuple([kept for kept in entry.replies if kept is not reply])
        self._replies.discard(reply)
        self._resize(entry, -reply.size_bytes)

    def _resize(self, entry: Kept, grown_bytes: int) -> None:
        entry.size_bytes += grown_bytes
        self._order.resized(entry, grown_bytes)
        self._count(grown_bytes)

    def _count(self, more_bytes: int) -> None:
        self.size_bytes += more_bytes
        self._ledger.bytes += more_bytes

    def _shrink(self) -> None:
        while self.size_bytes > self.policy.max_bytes:
            self.evict()


def _owned(outputs: BatchOutputs) -> BatchOutputs:
    """The same outputs, holding on to nothing larger than themselves."""
    if all(isinstance(tensor.data, bytes) for tensor in outputs.tensors):
        return outputs
    tensors = tuple(Tensor(t.name, t.datatype, t.shape, bytes(t.data)) for t in outputs.tensors)
    return BatchOutputs(tensors, outputs.rows, batched=outputs.batched)
