"""Each eviction order agrees with a plain list that does what its paper says; stores under each with a dictionary."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cache.budget import Ledger
from proxy.cache.eviction import Held
from proxy.cache.eviction_orders import eviction_order
from proxy.cache.eviction_s3_fifo import PROVEN_HITS, S3FifoOrder
from proxy.cache.eviction_w_tinylfu import WTinyLfuOrder
from proxy.cache.frequency_sketch import FrequencySketch
from proxy.cache.sizes import cost_bytes
from proxy.cache.store import Store
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy, Eviction
from proxy.core.tensors import Tensor

every_policy = pytest.mark.parametrize("eviction", list(Eviction))


def outputs(size):
    return BatchOutputs((Tensor("y", "UINT8", (1, size), bytes(size)),), 1, batched=True)


ORDER_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.integers(0, 9), st.integers(1, 60), st.integers(0, 5)),
        st.tuples(st.just("touch"), st.integers(0, 9)),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.tuples(st.just("resize"), st.integers(0, 9), st.integers(-5, 5)),
        st.tuples(st.just("bound"), st.integers(1, 200)),
        st.tuples(st.just("evict")),
    ),
    max_size=80,
)


@every_policy
@settings(max_examples=80, deadline=None)
@given(ORDER_STEPS)
def test_an_order_holds_what_was_inserted_until_it_leaves(eviction, steps):
    order = eviction_order(eviction, 100)
    held = {}
    for name, *rest in steps:
        entry = held.get(rest[0]) if rest else None
        if name == "insert" and entry is None:
            held[rest[0]] = Held(bytes([rest[0]]), rest[1], rest[2])
            order.insert(held[rest[0]])
        elif name == "touch" and entry is not None:
            order.touch(entry)
        elif name == "remove" and entry is not None:
            order.remove(held.pop(rest[0]))
        elif name == "resize" and entry is not None:
            grown_bytes = max(rest[1], 1 - entry.size_bytes)
            entry.size_bytes += grown_bytes
            order.resized(entry, grown_bytes)
        elif name == "bound":
            order.bound(rest[0])
        elif name == "evict":
            if held:
                del held[order.evict().key[0]]
            else:
                with pytest.raises(KeyError):
                    order.evict()
        assert len(order) == len(held)
        assert set(order) == set(held.values())
        for queue, counted_bytes in queues_of(order):
            assert counted_bytes == sum(entry.size_bytes for entry in queue)


def queues_of(order):
    """The queues of an order that counts their bytes, with what it counts."""
    if isinstance(order, S3FifoOrder):
        return [(order._small, order._small_bytes)]
    return list(zip(order._queues, order._bytes, strict=True)) if isinstance(order, WTinyLfuOrder) else []


class PlainLru:
    """Last in the list: used last."""

    def __init__(self):
        self.entries = []

    def insert(self, entry):
        self.entries.append(entry)

    def touch(self, entry):
        self.entries.remove(entry)
        self.entries.append(entry)

    def evict(self):
        return self.entries.pop(0)


class PlainSieve:
    """NSDI 2024, algorithm 1: first in the list is the head, where new ones come in; the hand is an index.

    There room is made before an entry comes in; here afterwards, so the newest is put aside until the next comes.
    """

    def __init__(self):
        self.entries, self.visited, self.hand, self.newest = [], set(), None, None

    def insert(self, entry):
        if self.newest is not None:
            self.entries.insert(0, self.newest)
            if self.hand is not None:
                self.hand += 1
        self.newest = entry

    def touch(self, entry):
        self.visited.add(entry)

    def evict(self):
        if not self.entries:
            leaving, self.newest = self.newest, None
            return leaving
        at = len(self.entries) - 1 if self.hand is None else self.hand
        while self.entries[at] in self.visited:
            self.visited.discard(self.entries[at])
            at = at - 1 if at else len(self.entries) - 1
        self.hand = at - 1 if at else None
        return self.entries.pop(at)


class PlainS3Fifo:
    """SOSP 2023, algorithm 1 with sizes: last in a list came in last."""

    def __init__(self):
        self.small, self.main, self.ghost, self.hits = [], [], [], {}

    def insert(self, entry):
        self.hits[entry] = 0
        if entry.key in self.ghost:
            self.ghost.remove(entry.key)
            self.main.append(entry)
        else:
            self.small.append(entry)

    def touch(self, entry):
        self.hits[entry] = min(self.hits[entry] + 1, 3)

    def evict(self):
        while True:
            if self.small and (sum(one.size_bytes for one in self.small) > 10 or not self.main):
                entry = self.small.pop(0)
                if self.hits[entry] >= PROVEN_HITS:
                    self.hits[entry] = 0
                    self.main.append(entry)
                    continue
                self.ghost.append(entry.key)
            else:
                entry = self.main.pop(0)
                if self.hits[entry]:
                    self.hits[entry] -= 1
                    self.main.append(entry)
                    continue
            self.ghost = self.ghost[-(len(self.small) + len(self.main)) or len(self.ghost) :]
            return entry


class PlainSaved:
    """Greedy dual size frequency: the lowest rank, of equal ones the oldest."""

    def __init__(self):
        self.entries, self.floor, self.wanted, self.ranks = [], 0.0, {}, {}

    def insert(self, entry):
        self.entries.append(entry)
        self.wanted[entry] = 0
        self.touch(entry)

    def touch(self, entry):
        self.wanted[entry] += 1
        self.ranks[entry] = self.floor + self.wanted[entry] * entry.saved_ns / entry.size_bytes

    def evict(self):
        entry = min(self.entries, key=self.ranks.__getitem__)
        self.entries.remove(entry)
        self.floor = self.ranks[entry]
        return entry


PLAIN_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.integers(0, 12), st.integers(1, 8), st.integers(0, 5)),
        st.tuples(st.just("touch"), st.integers(0, 12)),
        st.tuples(st.just("touch"), st.integers(0, 12)),
        st.tuples(st.just("evict")),
    ),
    max_size=120,
)


every_paper = pytest.mark.parametrize(
    ("eviction", "plain"),
    [
        (Eviction.LRU, PlainLru),
        (Eviction.SIEVE, PlainSieve),
        (Eviction.S3_FIFO, PlainS3Fifo),
        (Eviction.SAVED_PER_BYTE, PlainSaved),
    ],
)


@every_paper
@settings(max_examples=150, deadline=None)
@given(PLAIN_STEPS)
def test_an_order_evicts_what_its_paper_says(eviction, plain, steps):
    order, model, held = eviction_order(eviction, 100), plain(), {}
    for name, *rest in steps:
        if name == "evict":
            if held:
                leaving = order.evict()
                assert leaving is model.evict()
                del held[leaving.key]
            continue
        key = bytes([rest[0]])
        if name == "touch" and key in held:
            order.touch(held[key])
            model.touch(held[key])
        elif name == "insert" and key not in held:
            held[key] = Held(key, *rest[1:])
            order.insert(held[key])
            model.insert(held[key])


@every_paper
@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 7), max_size=100), st.integers(1, 5))
def test_a_full_cache_loses_what_the_paper_says_at_each_miss(eviction, plain, asked, most):
    order, model, held = eviction_order(eviction, 100), plain(), {}
    for number in asked:
        entry = held.get(number)
        if entry is not None:
            order.touch(entry)
            model.touch(entry)
            continue
        held[number] = Held(bytes([number]), 1 + number % 3, number % 4)
        order.insert(held[number])
        model.insert(held[number])
        if len(held) > most:
            leaving = order.evict()
            assert leaving is model.evict()
            del held[leaving.key[0]]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=300), st.integers(0, 200))
def test_a_sketch_never_counts_too_low_until_it_halves(asked, later_keys):
    sketch = FrequencySketch()
    counts = {}
    for number in asked:
        sketch.add(bytes([number]))
        counts[number] = counts.get(number, 0) + 1
    sketch.hold(later_keys)
    for number, count in counts.items():
        assert min(count, 15) <= sketch.estimate(bytes([number])) <= 15


STORE_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 9), st.integers(0, 3_000), st.integers(0, 3)),
        st.tuples(st.just("put"), st.integers(0, 9), st.integers(0, 100), st.integers(0, 3)),
        st.tuples(st.just("get"), st.integers(0, 9)),
        st.tuples(st.just("get"), st.integers(0, 9)),
        st.tuples(st.just("bound"), st.integers(1, 20_000)),
        st.tuples(st.just("follow"), st.sampled_from(Eviction)),
        st.tuples(st.just("purge"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.integers(1, 20)),
        st.tuples(st.just("sweep"), st.integers(0, 9)),
        st.tuples(st.just("evict")),
    ),
    max_size=80,
)


@every_policy
@settings(max_examples=80, deadline=None)
@given(STORE_STEPS, st.sampled_from([0, 30]))
def test_a_store_agrees_with_a_dictionary_that_forgets_nothing(eviction, steps, ttl_ns):  # noqa: C901  a branch a step
    policy = CachePolicy(max_bytes=12_000, ttl_ns=ttl_ns, eviction=eviction)
    ledger, now_ns, purged = Ledger(), 0, 0
    store = Store(policy, ledger)
    model = {}
    for name, *rest in steps:
        key = bytes([rest[0] % 256]) if rest and isinstance(rest[0], int) else b""
        if name == "put":
            value = outputs(rest[1])
            before = set(store._entries)
            store.put(key, value, str(rest[0] % 4), now_ns, rest[2])
            purged += key in before
            model[key] = (value, now_ns, str(rest[0] % 4))
        elif name == "get":
            found = store.get(key, now_ns)
            if found is not None:
                value, stored_ns, _ = model[key]
                assert found is value
                assert not ttl_ns or now_ns - stored_ns < ttl_ns
        elif name == "bound":
            policy = CachePolicy(max_bytes=rest[0], ttl_ns=ttl_ns, eviction=policy.eviction)
            store.apply(policy)
        elif name == "follow":
            before = dict(store._entries)
            policy = CachePolicy(max_bytes=policy.max_bytes, ttl_ns=ttl_ns, eviction=rest[0])
            store.apply(policy)
            assert store._entries == before  # a change of policy loses nothing
        elif name == "purge":
            purged += store.purge(str(rest[0]))
            model = {kept: value for kept, value in model.items() if value[2] != str(rest[0])}
        elif name == "wait":
            now_ns += rest[0]
        elif name == "sweep":
            store.sweep(now_ns, rest[0])
        elif len(store):
            store.evict()
        entries = store._entries
        assert all(entry.outputs is model[kept][0] for kept, entry in entries.items())
        assert store.size_bytes == sum(cost_bytes(entry.outputs) for entry in entries.values()) <= policy.max_bytes
        assert ledger.bytes == store.size_bytes
        assert set(store._order) == set(entries.values())
        assert store.insertions == len(store) + store.evictions + store.expirations + purged
