"""What each policy is chosen for, its own edge cases, and one bound over all models' caches."""

from __future__ import annotations

import pytest

from proxy.cache.budget import budget_bytes, robbed
from proxy.cache.cache import ResultCache
from proxy.cache.eviction import Held
from proxy.cache.eviction_orders import eviction_order
from proxy.cache.eviction_saved import HEAP_SLACK
from proxy.cache.eviction_w_tinylfu import NOTED_HITS
from proxy.cache.frequency_sketch import LEAST_KEYS, LOOKUPS_PER_KEY, FrequencySketch
from proxy.cache.sizes import cost_bytes
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CACHE_SHARE_OF_HOST, CachePolicy, Eviction
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_S
from proxy.testing.cache_replay import footprint_bytes, optimum, replay
from proxy.testing.cache_traces import TRACES, mixed, read_oracle_general, scans, write_oracle_general, zipf
from proxy.testing.clock import ManualClock


class Cache:
    """An order with a bound, by name; `ask` is True for a hit."""

    def __init__(self, eviction, max_bytes):
        self.order = eviction_order(eviction, max_bytes)
        self.max_bytes = max_bytes
        self.held = {}

    def ask(self, name, size_bytes=1, saved_ns=1):
        entry = self.held.get(name)
        if entry is not None:
            self.order.touch(entry)
            return True
        entry = self.held[name] = Held(name.encode(), size_bytes, saved_ns)
        self.order.insert(entry)
        while sum(one.size_bytes for one in self.held.values()) > self.max_bytes:
            del self.held[self.order.evict().key.decode()]
        return False


def test_s3_fifo_keeps_what_is_wanted_again_through_a_scan_that_empties_an_lru():
    kept = {}
    for eviction in (Eviction.LRU, Eviction.S3_FIFO):
        made = Cache(eviction, 100)
        for _ in range(3):
            for number in range(50):
                made.ask(f"wanted {number}")
        for number in range(1_000):
            made.ask(f"once {number}")
        kept[eviction] = sum(name.startswith("wanted") for name in made.held)
    assert kept == {Eviction.LRU: 0, Eviction.S3_FIFO: 50}


def test_s3_fifo_lets_in_for_good_what_comes_back_soon_after_it_left():
    made = Cache(Eviction.S3_FIFO, 10)
    for number in range(11):  # the first leaves, its key is remembered
        made.ask(f"once {number}")
    assert "once 0" not in made.held
    made.ask("once 0")
    for number in range(100, 140):
        made.ask(f"once {number}")
    assert "once 0" in made.held


def test_sieve_spares_what_was_asked_for_once_and_does_not_move_it():
    made = Cache(Eviction.SIEVE, 3)
    for name in ("a", "b", "c"):
        made.ask(name)
    made.ask("a")
    made.ask("d")
    assert set(made.held) == {"a", "c", "d"}  # the hand passed a, and took b
    made.ask("e")
    assert set(made.held) == {"a", "d", "e"}  # it goes on from there
    made.ask("f")
    assert set(made.held) == {"a", "e", "f"}


def test_sieves_hand_does_not_stay_at_the_young_end():
    made = Cache(Eviction.SIEVE, 10)
    for number in range(10):
        made.ask(f"old {number}")
    for number in range(10):
        made.ask(f"old {number}")
    for number in range(100):
        made.ask(f"new {number}")
    assert all(name.startswith("new") for name in made.held)


def test_w_tinylfu_refuses_who_was_asked_for_less_than_whom_it_would_displace():
    made = Cache(Eviction.W_TINYLFU, 100)
    for _ in range(5):
        for number in range(100):
            made.ask(f"wanted {number}")
    for number in range(500):
        made.ask(f"once {number}")
    assert sum(name.startswith("wanted") for name in made.held) >= 90  # not all: some keys share their counters


def test_w_tinylfu_lets_in_who_is_asked_for_often_enough():
    made = Cache(Eviction.W_TINYLFU, 100)
    for _ in range(3):
        for number in range(100):
            made.ask(f"wanted {number}")
    for _ in range(10):
        made.ask("new")
    for number in range(20):
        made.ask(f"once {number}")
    assert "new" in made.held


def test_w_tinylfu_never_empties_itself_for_an_entry_that_cannot_stay():
    made = Cache(Eviction.W_TINYLFU, 1_000)
    for number in range(100):
        made.ask(f"small {number}", 10)
    for _ in range(20):
        made.ask("large", 995)
    assert "large" not in made.held
    assert len(made.held) == 100


def test_w_tinylfu_notes_a_bounded_number_of_hits_and_lets_go_of_them():
    order = eviction_order(Eviction.W_TINYLFU, 100)
    entry = Held(b"a", 1, 0)
    order.insert(entry)
    for _ in range(10 * NOTED_HITS):
        order.touch(entry)
    assert len(order._noted) == NOTED_HITS
    order.remove(entry)
    assert not order._noted


def test_a_sketch_forgets_by_halves():
    sketch = FrequencySketch()
    for _ in range(12):
        sketch.add(b"wanted")
    assert sketch.estimate(b"wanted") >= 12
    for number in range(LOOKUPS_PER_KEY * LEAST_KEYS):
        sketch.add(number.to_bytes(4, "big"))
    assert sketch.estimate(b"wanted") < 12


def test_saved_per_byte_prefers_the_costly_and_the_small():
    made = Cache(Eviction.SAVED_PER_BYTE, 100)
    for number in range(10):
        made.ask(f"costly {number}", 5, 1_000)
        made.ask(f"cheap {number}", 5, 10)
    for number in range(10):
        made.ask(f"large {number}", 50, 1_000)
    assert all(f"costly {number}" in made.held for number in range(10))
    assert len(made.held) == 11  # and at most one of the others in what is left


def test_saved_per_byte_lets_go_of_what_nobody_wants_any_more_however_costly():
    made = Cache(Eviction.SAVED_PER_BYTE, 10)
    for _ in range(5):
        made.ask("costly once", 1, 1_000)
    for _ in range(100):
        for number in range(10):
            made.ask(f"wanted {number}", 1, 100)
    assert "costly once" not in made.held


def test_what_is_removed_does_not_pile_up_in_the_heap():
    order = eviction_order(Eviction.SAVED_PER_BYTE, 100)
    for number in range(5_000):
        entry = Held(number.to_bytes(4, "big"), 1, number)
        order.insert(entry)
        order.remove(entry)
    assert len(order._heap) <= HEAP_SLACK * len(order) + 65


@pytest.mark.parametrize("eviction", list(Eviction))
def test_an_answer_over_all_of_a_small_bound_leaves_the_others_policy_whole(eviction):
    made = Cache(eviction, 3)
    for _ in range(3):
        made.ask("a", 3)
        made.ask("b", 1)
    assert sum(one.size_bytes for one in made.held.values()) <= 3


def test_policies_on_replayed_traces_keep_the_order_that_the_document_shows():
    trace = scans(8_000, 2_000, 500, 2_000)
    size_bytes = footprint_bytes(trace) // 20
    hits = {eviction: replay(trace, eviction, size_bytes).hit_ratio for eviction in Eviction}
    assert hits[Eviction.LRU] < min(hits[Eviction.S3_FIFO], hits[Eviction.SIEVE], hits[Eviction.W_TINYLFU])
    assert max(hits.values()) <= optimum(trace, size_bytes).hit_ratio
    costs = mixed(8_000, 2_000)
    saved = {eviction: replay(costs, eviction, footprint_bytes(costs) // 20).saved_ratio for eviction in Eviction}
    assert max(saved, key=saved.__getitem__) is Eviction.SAVED_PER_BYTE


@pytest.mark.parametrize("name", list(TRACES))
def test_a_trace_is_the_same_each_time(name):
    make = TRACES[name]
    first, again = make(2_000, 500), make(2_000, 500)
    assert len(first) == 2_000
    assert [(i.key, i.size_bytes, i.saved_ns) for i in first] == [(i.key, i.size_bytes, i.saved_ns) for i in again]


def test_a_public_traces_format_is_read_as_it_is_written(tmp_path):
    trace = zipf(500, 50)
    path = tmp_path / "sample.oracleGeneral"
    write_oracle_general(path, trace)
    assert path.stat().st_size == 24 * 500
    read = list(read_oracle_general(path))
    assert [(i.key, i.size_bytes) for i in read] == [(i.key, i.size_bytes) for i in trace]


def test_a_record_of_the_format_is_read_field_by_field(tmp_path):
    record = bytes.fromhex("01000000 0807060504030201 00100000 ffffffffffffffff")
    path = tmp_path / "one"
    path.write_bytes(record)
    (item,) = read_oracle_general(path, saved_ns=7)
    assert (int.from_bytes(item.key, "little"), item.size_bytes, item.saved_ns) == (0x0102030405060708, 4_096, 7)
    path.write_bytes(record[:-1])
    with pytest.raises(ValueError, match="24-byte"):
        list(read_oracle_general(path))


def answer(size=100):
    return BatchOutputs((Tensor("y", "UINT8", (1, size), bytes(size)),), 1, batched=True)


ONE = cost_bytes(answer())


class Holder:
    def __init__(self, size_bytes, saved_ns_per_s):
        self.size_bytes = size_bytes
        self.saved_ns_per_s = saved_ns_per_s


def test_who_saves_least_per_byte_gives_first_but_nobody_within_an_equal_share():
    useful, idle, small = Holder(60, 6_000.0), Holder(50, 10.0), Holder(5, 0.0)
    assert robbed([useful, idle, small], 90) is idle
    idle.size_bytes = 30
    assert robbed([useful, idle, small], 90) is useful  # 30 is an equal share of 90
    assert robbed([Holder(60, 0.0), useful, Holder(70, 0.0)], 90).size_bytes == 70  # of equal use the largest


def test_a_budget_is_what_was_set_or_a_share_of_the_host():
    assert budget_bytes(5, 1_000) == 5
    assert budget_bytes(0, 1_000) == 1_000 * CACHE_SHARE_OF_HOST


def two_models(budget):
    clock = ManualClock()
    made = ResultCache(clock, budget_bytes=budget)
    for model in ("m", "n"):
        made.configure(model, CachePolicy())
    return clock, made


def held(made):
    return {name: statistics.entries for name, statistics in made.statistics().items()}


def test_all_models_together_keep_to_the_budget_whatever_each_may_hold():
    _, made = two_models(10 * ONE)
    for number in range(100):
        made.put("m", b"m%d" % number, answer(), 0)
        made.put("n", b"n%d" % number, answer(), 0)
        assert sum(statistics.bytes for statistics in made.statistics().values()) <= 10 * ONE
    assert held(made) == {"m": 5, "n": 5}


def test_a_model_that_was_there_first_makes_room_down_to_an_equal_share():
    _, made = two_models(10 * ONE)
    for number in range(10):
        made.put("m", b"%d" % number, answer(), 0)
    made.put("n", b"n", answer(), 0)
    assert held(made) == {"m": 9, "n": 1}
    for number in range(100):
        made.put("n", b"n%d" % number, answer(), 0)
    assert held(made) == {"m": 5, "n": 5}


def test_beyond_its_equal_share_the_model_whose_hits_save_more_keeps_more():
    clock, made = two_models(9 * ONE)
    made.configure("third", CachePolicy())
    for number in range(4):
        made.put("m", b"%d" % number, answer(), 0, saved_ns=NS_PER_S)
        made.put("n", b"%d" % number, answer(), 0, saved_ns=1)
    for _ in range(50):
        made.get("m", b"0", 0)
        made.get("n", b"0", 0)
    clock.advance(NS_PER_S)
    made.statistics()
    for number in range(3):
        made.put("third", b"%d" % number, answer(), 0)
    assert held(made) == {"m": 3, "n": 3, "third": 3}
    made.purge("third")
    made.put("m", b"5", answer(), 0)
    made.put("n", b"5", answer(), 0)
    made.put("third", b"5", answer(), 0)
    made.put("third", b"6", answer(), 0)
    assert held(made) == {"m": 4, "n": 3, "third": 2}


def test_dropped_answers_give_their_bytes_back_to_the_budget():
    _, made = two_models(10 * ONE)
    for number in range(10):
        made.put("m", b"%d" % number, answer(), 0)
    made.forget("m")
    for number in range(10):
        made.put("n", b"%d" % number, answer(), 0)
    assert held(made) == {"n": 10}
