"""What is kept, for how long, and what leaves first."""

from __future__ import annotations

from proxy.cache.cache import ResultCache
from proxy.cache.sizes import cost_bytes
from proxy.cache.store import Store
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy, Eviction
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_S
from proxy.testing.clock import ManualClock


def outputs(value=0, size=8):
    return BatchOutputs((Tensor("y", "UINT8", (1, size), bytes([value]) * size),), 1, batched=True)


ONE = cost_bytes(outputs())


def cache(**policy):
    made = ResultCache(ManualClock())
    made.configure("m", CachePolicy(**{"eviction": Eviction.LRU, **policy}))
    return made


def test_what_was_put_is_found_and_counted():
    made = cache()
    assert made.get("m", b"k", 0) is None
    answer = outputs()
    made.put("m", b"k", answer, 0)
    assert made.get("m", b"k", 1) is answer
    statistics = made.statistics()["m"]
    assert (statistics.hits, statistics.misses, statistics.entries, statistics.bytes) == (1, 1, 1, ONE)


def test_models_do_not_share():
    made = cache()
    made.configure("other", CachePolicy())
    made.put("m", b"k", outputs(), 0)
    assert made.get("other", b"k", 0) is None


def test_a_disabled_or_unknown_cache_keeps_and_counts_nothing():
    made = cache(enabled=False)
    for model in ("m", "unknown"):
        made.put(model, b"k", outputs(), 0)
        assert made.get(model, b"k", 0) is None
        assert not made.is_enabled(model)
    assert made.statistics()["m"].misses == 0


def test_the_least_recently_used_leaves_first():
    made = cache(max_bytes=2 * ONE)
    made.put("m", b"a", outputs(1), 0)
    made.put("m", b"b", outputs(2), 0)
    made.get("m", b"a", 0)
    made.put("m", b"c", outputs(3), 0)
    assert made.get("m", b"b", 0) is None
    assert made.get("m", b"a", 0) is not None
    assert made.statistics()["m"].evictions == 1


def test_c7_an_answer_larger_than_the_cache_is_not_kept_and_evicts_nobody():
    made = cache(max_bytes=2 * ONE)
    made.put("m", b"a", outputs(), 0)
    made.put("m", b"big", outputs(size=100_000), 0)
    assert made.get("m", b"big", 0) is None
    assert made.get("m", b"a", 0) is not None


def test_c7_an_answer_evicted_while_it_is_read_stays_whole_for_its_reader():
    made = cache(max_bytes=ONE)
    made.put("m", b"a", outputs(7), 0)
    held = made.get("m", b"a", 0)
    made.put("m", b"b", outputs(8), 0)
    assert held.tensors[0].data == bytes([7]) * 8


def test_putting_again_replaces_and_does_not_count_twice():
    made = cache()
    made.put("m", b"a", outputs(1), 0)
    made.put("m", b"a", outputs(2), 0)
    assert made.get("m", b"a", 0).tensors[0].data[0] == 2
    assert made.statistics()["m"].bytes == ONE


def test_an_answer_ages():
    made = cache(ttl_ns=NS_PER_S)
    made.put("m", b"a", outputs(), 0)
    assert made.get("m", b"a", NS_PER_S - 1) is not None
    assert made.get("m", b"a", NS_PER_S) is None
    assert made.statistics()["m"].entries == 0


def test_aged_answers_that_nobody_asks_for_are_freed():
    clock = ManualClock(0)
    made = ResultCache(clock)
    made.configure("m", CachePolicy(ttl_ns=NS_PER_S))
    made.put("m", b"a", outputs(), 0)
    clock.advance(NS_PER_S)
    statistics = made.statistics()["m"]
    assert (statistics.bytes, statistics.entries, statistics.expirations) == (0, 0, 1)


def test_a_smaller_bound_evicts_at_once_and_disabling_empties():
    made = cache(max_bytes=10 * ONE)
    for number in range(10):
        made.put("m", bytes([number]), outputs(number), 0)
    made.configure("m", CachePolicy(max_bytes=3 * ONE, eviction=Eviction.LRU))
    assert made.statistics()["m"].entries == 3
    assert made.get("m", bytes([9]), 0) is not None
    made.configure("m", CachePolicy(enabled=False))
    assert made.statistics()["m"].bytes == 0


def test_purging_drops_a_version_a_model_or_everything():
    made = cache()
    made.configure("n", CachePolicy())
    for model in ("m", "n"):
        made.put(model, b"1", outputs(), 0, version_digest="one")
        made.put(model, b"2", outputs(), 0, version_digest="two")
    assert made.purge("m", "one") == 1
    assert made.get("m", b"2", 0) is not None
    assert made.purge("n") == 2
    assert made.purge("unknown") == 0
    assert made.purge() == 1


def test_a_forgotten_model_has_no_cache():
    made = cache()
    made.put("m", b"a", outputs(), 0)
    made.forget("m")
    made.forget("m")
    assert made.get("m", b"a", 0) is None
    assert made.statistics() == {}


def test_a_kept_answer_holds_on_to_nothing_larger_than_itself():
    whole = bytearray(b"x" * 1_000_000)
    store = Store(CachePolicy())
    view = BatchOutputs((Tensor("y", "UINT8", (1, 4), memoryview(whole)[:4]),), 1, batched=True)
    store.put(b"k", view, "", 0)
    assert store.get(b"k", 0).tensors[0].data == b"xxxx"
    assert isinstance(store.get(b"k", 0).tensors[0].data, bytes)
