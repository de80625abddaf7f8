"""The curve against caches that were simulated exactly, on traces of each kind; how it ages, and what it costs."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import OrderedDict
from hashlib import blake2b
from itertools import accumulate

import pytest

from proxy.cache.miss_ratio_curve import STEP_BYTES, MissRatioCurve, horizon_bytes, sizes
from proxy.cache.sampled_stack import MOST_KEYS, PLACES, SampledStack
from proxy.core.units import BYTES_PER_MIB, NS_PER_MS, NS_PER_S

BOUND = 8 * BYTES_PER_MIB
SERVICE_NS = 2 * NS_PER_MS


def key(number: int) -> bytes:
    return blake2b(str(number).encode(), digest_size=24).digest()


def size_of(number: int) -> int:
    return 1_000 + number * 7_919 % 3_000


def zipf(keys: int, skew: float, count: int, seed: int = 1) -> list[int]:
    chance = random.Random(seed)
    sums = list(accumulate(1 / (rank + 1) ** skew for rank in range(keys)))
    return [bisect_left(sums, chance.random() * sums[-1]) for _ in range(count)]


def exact_hit_ratio(trace: list[int], bound: int) -> float:
    """Of a cache that drops the least recently used."""
    kept: OrderedDict[int, int] = OrderedDict()
    total = hits = 0
    for number in trace:
        if number in kept:
            kept.move_to_end(number)
            hits += 1
            continue
        kept[number] = size_of(number)
        total += size_of(number)
        while total > bound:
            total -= kept.popitem(last=False)[1]
    return hits / len(trace)


class Run:
    """A curve that follows a trace, `per_s` uses a second."""

    def __init__(self, bound: int = BOUND, per_s: int = 2_500) -> None:
        self.curve, self.bound, self.per_s = MissRatioCurve(), bound, per_s
        self.now_ns = self.uses = self.sampled = 0
        self.curve.tick(0, 0, bound)

    def next_bytes_save(self, size_bytes: int) -> float | None:
        points = self.curve.at((size_bytes, size_bytes + STEP_BYTES))
        return points[1].saved_ms_per_s - points[0].saved_ms_per_s if points else None

    def follow(self, trace, ttl_ns: int = 0) -> None:
        for number in trace:
            self.now_ns += NS_PER_S // self.per_s
            self.uses += 1
            digest = key(number)
            if digest < self.curve.limit:
                self.sampled += 1
                self.curve.use(digest, self.now_ns, ttl_ns)
                self.curve.kept(digest, size_of(number), SERVICE_NS, self.now_ns)
            if self.uses % self.per_s == 0:
                self.curve.tick(self.now_ns, self.uses, self.bound)

    def hit_ratio(self, size_bytes: int) -> float:
        return self.curve.at((size_bytes,))[0].hit_ratio


def scan_and_zipf() -> list[int]:
    return [100_000 + at if at % 3 == 0 else number for at, number in enumerate(zipf(5_000, 0.9, 60_000))]


TRACES = {
    "zipf 0.8": lambda: zipf(20_000, 0.8, 60_000),
    "zipf 1.0": lambda: zipf(20_000, 1.0, 60_000),
    "zipf 1.2": lambda: zipf(20_000, 1.2, 60_000),
    "loop": lambda: [at % 3_000 for at in range(60_000)],
    "scan and zipf": scan_and_zipf,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TRACES)
def test_the_mean_error_against_an_exact_simulation_is_below_three_percent(name):
    trace = TRACES[name]()
    run = Run()
    run.follow(trace)
    points = run.curve.points(BOUND)
    errors = [abs(point.hit_ratio - exact_hit_ratio(trace, point.size_bytes)) for point in points[::2]]
    mean = sum(errors) / len(errors)
    print(f"{name}: sampled {run.curve.rate:.2f}, mean error {mean:.3f}, largest {max(errors):.3f}")  # docs/caching.md
    assert mean < 0.03
    assert max(errors) < 0.08
    assert run.curve.rate < 1, "it was sampled, not followed in full"


@pytest.mark.slow
def test_saved_time_is_hits_times_service_time_a_second():
    run = Run()
    run.follow(zipf(20_000, 1.0, 30_000))
    for point in run.curve.points(BOUND):
        expected_ms_per_s = point.hit_ratio * run.per_s * SERVICE_NS / NS_PER_MS
        assert point.saved_ms_per_s == pytest.approx(expected_ms_per_s, rel=0.02)


@pytest.mark.slow
def test_it_follows_a_shift_of_the_load():
    run = Run(per_s=500)
    run.follow(zipf(500, 0.5, 30_000))
    assert run.hit_ratio(BOUND) > 0.9
    run.follow(range(10**6, 10**6 + 150_000))  # five minutes of keys that never come again
    assert run.hit_ratio(BOUND) < 0.1
    run.follow(zipf(500, 0.5, 150_000, seed=2))
    assert run.hit_ratio(BOUND) > 0.9


@pytest.mark.slow
def test_the_sample_grows_again_when_a_busy_load_is_over():
    run = Run(per_s=20_000)
    run.follow(zipf(3_000, 0.3, 100_000))
    thin = run.curve.rate
    assert thin < 0.1
    run.per_s = 100
    run.follow(zipf(3_000, 0.3, 10_000))
    assert run.curve.rate > 4 * thin


def test_what_the_next_bytes_save_is_the_difference_of_two_points():
    run = Run()
    run.follow([at % 3_000 for at in range(20_000)])  # about 7 MiB, or nothing
    assert run.next_bytes_save(BOUND) == pytest.approx(0, abs=1)
    assert run.next_bytes_save(BYTES_PER_MIB) > 1_000


def test_nothing_is_said_while_too_little_is_known():
    run = Run()
    assert run.curve.points(BOUND) == ()
    assert run.next_bytes_save(BOUND) is None
    run.follow([1] * 50)
    assert run.curve.points(BOUND) == ()


def test_answers_that_are_never_kept_are_no_hits_at_any_size():
    curve = MissRatioCurve()
    curve.tick(0, 0, BOUND)
    for at in range(3_000):
        curve.use(key(at % 10), at)
    curve.tick(NS_PER_S, 3_000, BOUND)
    assert {point.hit_ratio for point in curve.points(BOUND)} == {0.0}


def test_aged_answers_are_no_hits():
    run = Run(per_s=100)
    trace = [at % 200 for at in range(2_000)]  # each key every two seconds
    run.follow(trace, ttl_ns=NS_PER_S)
    assert run.hit_ratio(BOUND) == 0
    lasting = Run(per_s=100)
    lasting.follow(trace, ttl_ns=60 * NS_PER_S)
    assert lasting.hit_ratio(BOUND) > 0.8


def test_its_sizes_rise_hold_the_bound_and_reach_four_times_and_a_step_beyond_it():
    for bound in (1, 1_000, BYTES_PER_MIB, BOUND, 1 << 40):
        points = sizes(bound)
        assert list(points) == sorted(set(points))
        assert {bound, bound + STEP_BYTES} <= set(points)
        assert points[-1] == horizon_bytes(bound) >= max(4 * bound, bound + STEP_BYTES)
        assert len(points) <= 24


@pytest.mark.slow
def test_keys_and_uses_a_second_are_bounded_whatever_comes():
    run = Run(bound=1 << 40, per_s=20_000)  # nothing is ever beyond the horizon
    run.follow(range(120_000))
    assert len(run.curve._stack) <= MOST_KEYS
    assert run.sampled < 20_000


def test_the_bytes_used_since_are_those_of_a_plain_list():
    chance = random.Random(3)
    stack, plain = SampledStack(), []
    sizes_now: dict[bytes, int] = {}
    for _ in range(3 * PLACES):
        digest = key(chance.randrange(40))
        used = stack.use(digest)
        if used is None:
            stack.add(digest, 100)
            sizes_now[digest] = 100
        else:
            above = plain[plain.index(digest) + 1 :]
            assert used[1] == sum(sizes_now[other] for other in above) + sizes_now[digest]
            plain.remove(digest)
        plain.append(digest)
        sizes_now[digest] = chance.randrange(1, 10_000)
        stack.resize(stack.get(digest), sizes_now[digest])
    assert stack.size_bytes == sum(sizes_now.values())
