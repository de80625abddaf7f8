"""The sampled stack agrees with a plain list, whatever is used, resized, forgotten or left out of the sample."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cache import sampled_stack
from proxy.cache.miss_ratio_curve import MissRatioCurve, horizon_bytes, sizes
from proxy.cache.sampled_stack import SampledStack
from proxy.core.units import NS_PER_S

keys = st.integers(0, 30).map(lambda number: bytes((number * 8, number)) + b"k" * 22)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("use"), keys, st.integers(1, 5_000)),
        st.tuples(st.just("resize"), keys, st.integers(1, 5_000)),
        st.tuples(st.just("forget"), st.integers(1, 60_000)),
        st.tuples(st.just("lower"), st.floats(0.05, 1)),
    ),
    max_size=150,
)


@pytest.fixture(autouse=True)
def few_places(monkeypatch):
    """So that keys move together often."""
    monkeypatch.setattr(sampled_stack, "PLACES", 40)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_distances_and_bytes_are_those_of_a_plain_list(actions):
    stack = SampledStack()
    plain: dict[bytes, int] = {}  # in order of last use
    for action in actions:
        if action[0] == "use":
            _, key, size = action
            used = stack.use(key)
            if key in plain:
                above = list(plain)[list(plain).index(key) + 1 :]
                expected = round(sum(plain[other] for other in above) / stack.rate) + plain[key]
                assert used is not None
                assert used[1] == expected
                plain[key] = plain.pop(key)
            else:
                assert used is None
                stack.add(key, size)
                if key < stack.limit:
                    plain[key] = size
        elif action[0] == "resize":
            known = stack.get(action[1])
            assert (known is not None) == (action[1] in plain)
            if known is not None:
                stack.resize(known, action[2])
                plain[action[1]] = action[2]
        elif action[0] == "forget":
            stack.forget_beyond(action[1])
            while sum(plain.values()) > action[1] * stack.rate and len(plain) > 1:
                del plain[next(iter(plain))]
        else:
            stack.lower_to(action[1])
            plain = {key: size for key, size in plain.items() if key < stack.limit}
        assert stack.size_bytes == sum(plain.values())
        assert len(stack) == len(plain)


uses = st.lists(st.tuples(keys, st.integers(1, 200_000), st.booleans()), min_size=1, max_size=60)


@settings(max_examples=100, deadline=None)
@given(uses, st.integers(1, 10**7), st.integers(0, 3))
def test_a_curve_rises_with_size_and_stays_within_its_bounds(asked, bound, ticks):
    curve = MissRatioCurve()
    count = 0
    curve.tick(0, 0, bound)
    for second in range(1, ticks + 2):
        for key, size, is_kept in asked * 10:
            count += 1
            if key < curve.limit:
                curve.use(key, second * NS_PER_S)
                if is_kept:
                    curve.kept(key, size, 1_000, second * NS_PER_S)
        curve.tick(second * NS_PER_S, count, bound)
    points = curve.points(bound)
    assert not points or [point.size_bytes for point in points] == list(sizes(bound))
    assert all(0 <= point.hit_ratio <= 1 and point.saved_ms_per_s >= 0 for point in points)
    for smaller, larger in pairwise(points):
        assert smaller.hit_ratio <= larger.hit_ratio + 1e-9
        assert smaller.saved_ms_per_s <= larger.saved_ms_per_s + 1e-9
    assert not points or points[-1].size_bytes == horizon_bytes(bound)
