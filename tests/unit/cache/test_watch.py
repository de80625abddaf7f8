"""What is measured of a model's cache, and what its report says."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from proxy.cache.cache import ResultCache
from proxy.cache.watch import FIRST_TIMES, MOST_TIMES_MEAN, TIMED_BELOW, CacheWatch, MeanTime
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy
from proxy.core.tensors import Tensor
from proxy.core.units import BYTES_PER_MIB, NS_PER_MS, NS_PER_S
from proxy.testing.clock import ManualClock


def key(number: int) -> bytes:
    return blake2b(str(number).encode(), digest_size=24).digest()


def answer(size: int = 8) -> BatchOutputs:
    return BatchOutputs((Tensor("y", "UINT8", (1, size), bytes(size)),), 1, batched=True)


class Rig:
    """A cache that is asked as answering asks it."""

    def __init__(self, **policy) -> None:
        self.clock = ManualClock()
        self.cache = ResultCache(self.clock)
        self.cache.configure("m", CachePolicy(**policy))
        self.executed = 0

    @property
    def watch(self) -> CacheWatch:
        return self.cache._watches["m"]

    def ask(self, number: int) -> bool:
        """True if it was a hit."""
        now_ns = self.clock.now_ns()
        if self.cache.get("m", key(number), now_ns) is not None:
            return True
        self.executed += 1
        if self.cache.is_wanted("m", key(number)):
            self.cache.put("m", key(number), answer(), now_ns, saved_ns=2 * NS_PER_MS)
        return False

    def second(self, numbers) -> object:
        for number in numbers:
            self.ask(number)
        self.clock.advance(NS_PER_S)
        return self.cache.statistics()["m"]


def test_a_pause_of_the_process_is_no_cost_of_the_cache():
    mean = MeanTime()
    for _ in range(100):
        mean.add(1_000)
    mean.add(10**9)
    assert 1_000 < mean.value_ns <= 1_000 * (1 + MOST_TIMES_MEAN / 32)


def test_the_mean_follows_a_change():
    mean = MeanTime()
    for _ in range(50):
        mean.add(1_000)
    for _ in range(200):
        mean.add(3_000)
    assert mean.value_ns == pytest.approx(3_000, rel=0.01)


def test_at_first_each_use_is_timed_then_one_key_in_64():
    rig = Rig()
    assert rig.cache._stores["m"].timed_below > key(1)
    rig.second(range(FIRST_TIMES))
    assert rig.cache._stores["m"].timed_below == TIMED_BELOW
    timed = [number for number in range(10_000) if key(number) < TIMED_BELOW]
    assert 100 < len(timed) < 220


def test_what_observing_takes_is_no_part_of_the_measured_cost():
    rig = Rig()
    rig.second([1])
    rig.watch._curve.use = lambda *_: rig.clock.skip(9_000)
    rig.watch.lookup = MeanTime()
    rig.ask(1)
    assert rig.watch.lookup.value_ns == 0


def test_the_report_says_what_is_known():
    rig = Rig(max_bytes=BYTES_PER_MIB)
    for _ in range(20):
        report = rig.second([*range(20)] * 5)
    assert report.state == "on"
    assert report.message.startswith("On: ")
    assert report.hits == 20 * 100 - 20
    assert report.misses == report.insertions == rig.executed == 20
    assert report.saved_ms == report.hits * 2
    assert report.saved_ms_per_s > 100
    assert report.service_ms == 2
    assert report.lookup_us is not None
    assert report.second_level is None
    sizes = [point.size_bytes for point in report.curve]
    assert BYTES_PER_MIB in sizes
    assert sizes == sorted(sizes)
    assert report.curve[-1].hit_ratio > 0.9
    assert report.curve[-1].saved_ms_per_s == pytest.approx(200, rel=0.1)
    assert report.sample_ratio == 1


def test_a_cache_that_is_off_says_so():
    rig = Rig(enabled=False)
    report = rig.second([1, 1, 1])
    assert (report.state, report.message) == ("off", "Off by the model's policy.")
    assert (report.hits, report.misses, rig.executed) == (0, 0, 3)


def test_answers_that_hold_nan_count_as_refused_and_are_no_hits_in_the_curve():
    rig = Rig()
    nan = BatchOutputs((Tensor("y", "FP32", (1, 1), b"\x00\x00\xc0\x7f"),), 1, batched=True)
    for _ in range(300):
        assert rig.cache.get("m", key(1), rig.clock.now_ns()) is None
        rig.cache.put("m", key(1), nan, rig.clock.now_ns(), saved_ns=NS_PER_MS)
    report = [rig.second([]) for _ in range(7)][-1]
    assert report.refused == 300
    assert {point.hit_ratio for point in report.curve} == {0.0}


def test_a_cache_without_repetitions_is_passed_by_and_costs_no_memory_then():
    rig = Rig()
    rig.watch.lookup.add(1_000)
    states = [rig.second(range(second * 600, second * 600 + 600)).state for second in range(15)]
    assert states[-1] == "bypassed"
    report = rig.cache.statistics()["m"]
    rig.second(range(10**6, 10**6 + 600))
    after = rig.cache.statistics()["m"]
    assert (after.entries, after.misses) == (report.entries, report.misses)
    assert "Bypassed: 0 % of look-ups would hit" in after.message


def test_a_cache_that_nobody_asks_is_not_looked_at_each_second():
    rig = Rig()
    first = rig.second([])
    assert rig.second([]) is first
    asked = rig.second([1, 1])
    assert (asked.hits, asked.misses) == (1, 1)
    assert rig.second([]) is asked
    later = [rig.second([]) for _ in range(6)]
    assert later[-1] is not asked, "what it saves a second falls while it is idle"
    rig.cache.configure("m", CachePolicy(max_bytes=BYTES_PER_MIB))
    assert rig.second([]).max_bytes == BYTES_PER_MIB
