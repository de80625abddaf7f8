"""Whatever is measured, the count stays within bounds, and steady load brings it to rest."""

from __future__ import annotations

from math import inf, nan

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.policies import ScalingPolicy
from proxy.core.units import NS_PER_S
from proxy.tuner.instance_count import CountDecision, Hold, instance_count
from proxy.tuner.signals import MeasuredSecond, ScalingSignals, signals_from

numbers = st.none() | st.floats() | st.sampled_from([0.0, -1.0, nan, inf, 1e9]) | st.floats(0, 100)
signals = st.builds(
    ScalingSignals, numbers, numbers, numbers, numbers, st.none() | st.integers(-2, 20_000), st.none() | st.floats()
)
policies = st.builds(
    ScalingPolicy,
    st.booleans(),
    st.integers(1, 4),
    st.integers(4, 16),
    st.floats(0.1, 0.95),
    st.integers(0, 100 * NS_PER_S),
)


@given(signals, policies, st.integers(0, 30), st.none() | st.integers(0, 2**62), st.none() | st.integers(0, 32))
def test_f36_no_measurement_takes_the_count_out_of_its_bounds(measured, policy, current, low_since_ns, cores_carry):
    decision = instance_count(measured, policy, current, low_since_ns, 2**61, cores_carry=cores_carry)
    assert decision.words
    if isinstance(decision, Hold):
        return
    assert policy.enabled
    assert policy.min_instances <= decision.count <= policy.max_instances
    assert decision.count != current
    if policy.min_instances <= current <= policy.max_instances:
        assert current - 1 <= decision.count <= 2 * current + 1


@given(st.floats(0, 6), st.floats(0.3, 0.9), st.integers(1, 8))
def test_steady_load_brings_the_count_to_rest_without_flapping(offered, target, start):
    """Instances share `offered` (busy instances' worth of work) evenly; a look each 5 s for ten minutes."""
    policy = ScalingPolicy(True, 1, 8, target, 30 * NS_PER_S)
    count, low_since_ns, ups_after_downs, changes = start, None, 0, []
    for look in range(120):
        busy_ratio = min(offered / count, 1.0)
        requests = int(100 * min(offered, count))
        measured = signals_from([MeasuredSecond(look * 5, requests, 0, 0, 0, count, busy_ratio)], look * 5 + 1)
        decision = instance_count(measured, policy, count, low_since_ns, look * 5 * NS_PER_S)
        low_since_ns = decision.low_since_ns
        if isinstance(decision, CountDecision):
            ups_after_downs += decision.count > count and bool(changes) and changes[-1] < 0
            changes.append(decision.count - count)
            count = decision.count
    assert ups_after_downs == 0
    assert count == 8 or offered / count <= target + 1e-6 or count * target >= offered - 1e-6
    assert len(changes) <= 8
