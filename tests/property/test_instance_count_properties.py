"""Whatever is measured, the count stays within bounds, and steady load brings it to rest."""

from __future__ import annotations

from math import inf, nan

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.policies import ScalingPolicy
from proxy.core.units import NS_PER_S
from proxy.tuner.bounds import Bound
from proxy.tuner.instance_count import CountDecision, Hold, instance_count
from proxy.tuner.signals import MeasuredSecond, ScalingSignals, signals_from

numbers = st.none() | st.floats() | st.sampled_from([0.0, -1.0, nan, inf, 1e9]) | st.floats(0, 100)
signals = st.builds(
    ScalingSignals,
    numbers,
    numbers,
    numbers,
    numbers,
    numbers,
    st.none() | st.integers(-2, 20_000),
    st.none() | st.floats(),
)
policies = st.builds(
    ScalingPolicy,
    st.booleans(),
    st.integers(1, 4),
    st.integers(4, 16),
    st.floats(0.1, 0.95),
    st.integers(0, 100 * NS_PER_S),
)


@given(
    signals,
    policies,
    st.integers(0, 30),
    st.none() | st.integers(0, 2**62),
    st.none() | st.builds(Bound, st.integers(0, 32), st.just("x")),
)
def test_f36_no_measurement_takes_the_count_out_of_its_bounds(measured, policy, current, low_since_ns, bound):
    decision = instance_count(measured, policy, current, low_since_ns, 2**61, bounds=[bound])
    assert decision.words
    if isinstance(decision, Hold):
        return
    assert policy.enabled
    assert policy.min_instances <= decision.count <= policy.max_instances
    assert decision.count != current
    if policy.min_instances <= current <= policy.max_instances:
        assert current - 1 <= decision.count <= 2 * current + 1


@given(st.floats(0, 6), st.floats(0.3, 0.9), st.integers(1, 8), st.integers(0, 9))
def test_steady_load_brings_the_count_to_rest_without_flapping(offered, target, start, start_time_s):
    """Instances share `offered` (busy instances' worth of work) evenly, and take a while to start.

    A look each 5 s at the last 15 s, for ten minutes.
    """
    policy = ScalingPolicy(True, 1, 8, target, 30 * NS_PER_S)
    count, ready, since_s, low_since_ns, changes, seconds = start, start, 0, None, [], []
    for now_s in range(600):
        if count < ready or now_s - since_s >= start_time_s:
            ready = count
        busy_ratio = min(offered / ready, 1.0)
        seconds.append(MeasuredSecond(now_s, int(100 * busy_ratio * ready), 0, 0, 0, ready, busy_ratio))
        if now_s % 5:
            continue
        decision = instance_count(signals_from(seconds[-15:], now_s), policy, count, low_since_ns, now_s * NS_PER_S)
        low_since_ns = decision.low_since_ns
        if isinstance(decision, CountDecision):
            changes.append(decision.count - count)
            count, since_s = decision.count, now_s
    rises = [change > 0 for change in changes]
    assert rises == sorted(rises, reverse=True), "it rose after it had fallen"
    assert offered / count <= target + 1e-6 or count == 8
    assert count == 1 or offered / (count - 1) > target * 0.9 - 0.1
    assert all(change < 0 for change in changes) or all(change > 0 for change in changes), "it overshot"
