"""Whatever the load does: a cache that pays by a margin is never left, and one that would is soon in use again."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cache.bypass import LONGEST_PAUSE_NS, PROBE_LOOKUPS, RETURN, Bypass, CacheCosts, CacheState
from proxy.core.units import NS_PER_S

ratios = st.floats(0, 1)
costs_ns = st.floats(100, 1e7)
seconds = st.lists(
    st.tuples(ratios, st.none() | ratios, st.integers(0, 5_000), costs_ns, costs_ns, costs_ns), max_size=80
)


def drive(bypass, load, looked=0, hits=0, now_ns=0):
    """Run `load`; yields each second's costs and the state before and after it."""
    for ratio, would, count, lookup_ns, insert_ns, service_ns in load:
        now_ns += NS_PER_S
        if bypass.state is not CacheState.BYPASSED:
            looked += count
            hits += round(ratio * count)
        costs = CacheCosts(looked, hits, would, lookup_ns, insert_ns, service_ns)
        before = bypass.state
        yield costs, before, bypass.update(now_ns, costs)


@settings(max_examples=200, deadline=None)
@given(seconds)
def test_a_cache_is_never_left_at_a_moment_at_which_hits_pay_by_a_margin(load):
    bypass = Bypass()
    for costs, before, after in drive(bypass, load):
        would = costs.would_hit_ratio
        if before is not CacheState.BYPASSED and after is CacheState.BYPASSED:
            assert bypass.pays < RETURN
            assert would is None or costs.pays(would) < RETURN


@settings(max_examples=100, deadline=None)
@given(seconds, st.floats(0.3, 1), st.booleans())
def test_after_any_past_a_friendly_load_has_its_cache_back_by_the_next_probe(load, ratio, has_curve):
    bypass = Bypass()
    costs = CacheCosts(0, 0)
    for costs, _, _ in drive(bypass, load):  # noqa: B007  the last one counts
        pass
    pause_s = LONGEST_PAUSE_NS // NS_PER_S
    within_s = (10 if has_curve else pause_s + 10) + (bypass.state is CacheState.ON) * 10
    friendly = [(ratio, ratio if has_curve else None, 2 * PROBE_LOOKUPS, 500.0, 500.0, 1e6)] * within_s
    states = [after for *_, after in drive(bypass, friendly, costs.looked, costs.hits, len(load) * NS_PER_S)]
    assert states[-1] is CacheState.ON
