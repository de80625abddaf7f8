"""How many instances, by table."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan

import pytest

from proxy.core.policies import ScalingPolicy
from proxy.core.units import NS_PER_S
from proxy.tuner.bounds import core_bound, core_limit, memory_bound
from proxy.tuner.instance_count import CountDecision, CountReason, Hold, instance_count
from proxy.tuner.signals import NO_SIGNALS, MeasuredSecond, ScalingSignals, signals_from

POLICY = ScalingPolicy(
    min_instances=1, max_instances=8, target_utilisation_ratio=0.7, scale_down_delay_ns=60 * NS_PER_S
)
NOW = 1_000 * NS_PER_S
CALM = ScalingSignals(0.3, 0.3, 30.0, 0.01, 0.0, 1, 1.0)


def busy(ratio, ready=1, **changes):
    """Instances that are busy for this share, all of them ready for the whole window."""
    return replace(CALM, busy_instances=ratio * ready, utilisation_ratio=ratio, ready_instances=ready, **changes)


STARTING = replace(CALM, busy_instances=None, utilisation_ratio=None, ready_instances=0)


def decide(signals=CALM, current=1, low_since_ns=None, policy=POLICY, now_ns=NOW, **keywords):
    return instance_count(signals, policy, current, low_since_ns, now_ns, **keywords)


@pytest.mark.parametrize(
    ("signals", "current", "count", "reason"),
    [
        (busy(0.95), 1, 2, CountReason.UTILISATION),
        (busy(1.0, 2), 2, 3, CountReason.UTILISATION),
        (replace(CALM, arrivals_per_s=200.0), 1, 3, CountReason.DEMAND),
        (replace(CALM, queue_depth=700.0), 1, 2, CountReason.BACKLOG),
        (busy(0.9, queue_depth=1_300.0), 1, 3, CountReason.BACKLOG),
        (replace(CALM, arrivals_per_s=1e6), 1, 3, CountReason.DEMAND),
        (replace(CALM, arrivals_per_s=1e6, ready_instances=5), 5, 8, CountReason.DEMAND),
        (replace(STARTING, arrivals_per_s=200.0), 1, 3, CountReason.DEMAND),
    ],
)
def test_the_signal_that_asks_for_most_decides_at_once(signals, current, count, reason):
    decision = decide(signals, current)
    assert isinstance(decision, CountDecision)
    assert (decision.count, decision.reason) == (count, reason)
    assert f"{current} → {count}" in decision.words
    assert str(count) in decision.expected
    assert decision.low_since_ns is None


def test_the_words_show_all_three_signals_with_their_numbers():
    decision = decide(busy(0.93, queue_depth=14.0))
    assert decision.words == (
        "Utilisation of 93% (0.93 busy on average) asks for 2 (target 70%); demand of 30.0 requests/s × 10.00 ms "
        "asks for 1 (wait of 4.3 ms, target 50 ms); a backlog of 14 requests asks for 1. Utilisation decides: 1 → 2."
    )
    assert decision.expected == "Utilisation of about 46% with 2 at the load measured."
    assert decision.evidence["by_utilisation"] == 2


def test_right_is_right():
    hold = decide()
    assert isinstance(hold, Hold)
    assert hold.reason is CountReason.STEADY
    assert hold.low_since_ns is None


def test_a_load_exactly_on_target_asks_for_no_more():
    assert decide(busy(0.7)).reason is CountReason.STEADY
    assert decide(busy(0.7, 3), 3).reason is CountReason.STEADY


def test_the_policy_s_maximum_holds_and_is_named():
    hold = decide(busy(1.0, 8), 8)
    assert hold.reason is CountReason.AT_LIMIT
    assert "12 would be needed" in hold.words
    assert "the policy allows" in hold.words


def test_the_cores_limit_growth_and_are_named():
    hold = decide(busy(1.0, 2), 2, bounds=[core_bound(2, 1)])
    assert hold.reason is CountReason.AT_LIMIT
    assert "the cores carry" in hold.words
    assert decide(busy(1.0, 2), 2, bounds=[core_bound(3, 1)]).count == 3


def test_the_cores_take_nothing_away_and_never_undercut_the_minimum():
    assert decide(busy(0.65, 4, arrivals_per_s=0.0), 4, bounds=[core_bound(1, 1)]).reason is CountReason.STEADY
    policy = replace(POLICY, min_instances=3)
    assert decide(busy(1.0), 1, policy=policy, bounds=[core_bound(1, 1)]).count == 3


@pytest.mark.parametrize(("cores", "threads", "expected"), [(2, 1, 2), (2, 2, 1), (2, 4, 1), (16, 3, 5), (4, 0, 4)])
def test_an_instance_takes_as_many_cores_as_it_has_threads(cores, threads, expected):
    assert core_limit(cores, threads) == expected


def test_memory_limits_growth_and_is_named_with_its_numbers():
    bound = memory_bound("memory", 2, 1_000 * 2**20, 500 * 2**20, 150 * 2**20)
    assert bound.count == 4
    hold = decide(busy(1.0, 4), 4, bounds=[None, bound])
    assert hold.reason is CountReason.AT_LIMIT
    assert "4 is what the memory carries (400 MiB free, 150 MiB an instance)" in hold.words
    assert memory_bound("memory", 2, None, None, 1) is None
    assert memory_bound("memory", 2, 100, 100, 10).count == 2


def test_the_tightest_bound_decides():
    wide, tight = core_bound(7, 1), memory_bound("GPU memory", 1, 100, 70, 10)
    assert "GPU memory" in decide(busy(1.0, 3), 3, bounds=[wide, tight]).words


def test_zero_only_where_the_policy_allows_it_and_no_request_came_for_its_time():
    policy = replace(POLICY, zero_after_ns=300 * NS_PER_S)
    idle = busy(0.0, 1, arrivals_per_s=0.0, service_s=None)
    gone = decide(idle, 1, policy=policy, unused_ns=300 * NS_PER_S)
    assert (gone.count, gone.reason) == (0, CountReason.UNUSED)
    assert "300 s" in gone.words
    assert decide(idle, 1, policy=policy, unused_ns=299 * NS_PER_S).reason is CountReason.STEADY
    assert decide(idle, 1, policy=policy, unused_ns=None).reason is CountReason.STEADY
    assert decide(idle, 1, unused_ns=10**18).reason is CountReason.STEADY
    assert decide(replace(idle, queue_depth=1.0), 1, policy=policy, unused_ns=10**18).reason is not CountReason.UNUSED
    assert decide(replace(idle, age_s=60.0), 1, policy=policy, unused_ns=10**18).reason is CountReason.STALE_SIGNALS


def test_a_model_that_sleeps_is_left_asleep_and_wakes_when_it_may_no_longer_sleep():
    assert decide(NO_SIGNALS, 0, policy=replace(POLICY, zero_after_ns=1)).reason is CountReason.ASLEEP
    assert decide(NO_SIGNALS, 0).count == 1


def test_one_goes_only_after_load_was_low_for_the_whole_delay_and_then_the_delay_begins_anew():
    low = busy(0.1, 3, arrivals_per_s=1.0)
    first = decide(low, 3)
    assert (first.reason, first.low_since_ns) == (CountReason.LOW_NOT_LONG_ENOUGH, NOW)
    later = decide(low, 3, first.low_since_ns, now_ns=NOW + 60 * NS_PER_S - 1)
    assert (later.reason, later.low_since_ns) == (CountReason.LOW_NOT_LONG_ENOUGH, NOW)
    then = decide(low, 3, later.low_since_ns, now_ns=NOW + 60 * NS_PER_S)
    assert isinstance(then, CountDecision)
    assert (then.count, then.reason, then.low_since_ns) == (2, CountReason.LOW_LOAD, NOW + 60 * NS_PER_S)
    assert "3 → 2" in then.words


def test_a_moment_of_load_begins_the_delay_anew():
    low = busy(0.1, 2)
    since = decide(low, 2).low_since_ns
    then = decide(busy(0.65, 2), 2, since, now_ns=NOW + NS_PER_S)
    assert then.low_since_ns is None


def test_a_since_that_lies_in_the_future_counts_as_now():
    low = busy(0.1, 2)
    assert decide(low, 2, NOW + NS_PER_S).low_since_ns == NOW


def test_a_count_barely_sufficient_is_not_low():
    """2 at 34.9 % would be 1 at 69.8 %: just within the target, but the next breath of load would bring it back."""
    assert decide(busy(0.349, 2), 2).reason is CountReason.STEADY


def test_low_load_proves_nothing_while_instances_are_still_starting():
    low = busy(0.1, 1)
    hold = decide(low, 3, NOW - 100 * NS_PER_S)
    assert hold.reason is CountReason.NOT_ALL_READY
    assert hold.low_since_ns is None


def test_never_below_the_minimum():
    policy = replace(POLICY, min_instances=2)
    idle = busy(0.0, 2, arrivals_per_s=0.0, service_s=None)
    assert decide(idle, 2, NOW - 100 * NS_PER_S, policy=policy).reason is CountReason.STEADY


@pytest.mark.parametrize("signals", [CALM, NO_SIGNALS, replace(CALM, utilisation_ratio=nan)])
def test_the_bounds_hold_whatever_the_signals_say(signals):
    below = decide(signals, 0)
    above = decide(signals, 20)
    assert (below.count, below.reason) == (1, CountReason.BELOW_MINIMUM)
    assert (above.count, above.reason) == (8, CountReason.ABOVE_MAXIMUM)


def test_switched_off_means_hands_off():
    assert decide(current=20, policy=replace(POLICY, enabled=False)).reason is CountReason.DISABLED


@pytest.mark.parametrize(
    ("signals", "reason"),
    [
        (NO_SIGNALS, CountReason.MISSING_SIGNALS),
        (replace(CALM, age_s=None), CountReason.MISSING_SIGNALS),
        (replace(STARTING, arrivals_per_s=None), CountReason.MISSING_SIGNALS),
        (replace(CALM, age_s=16.0), CountReason.STALE_SIGNALS),
        (replace(CALM, age_s=-10.0), CountReason.IMPOSSIBLE_SIGNALS),
        (replace(CALM, age_s=nan), CountReason.IMPOSSIBLE_SIGNALS),
        (replace(CALM, utilisation_ratio=nan), CountReason.IMPOSSIBLE_SIGNALS),
        (replace(CALM, utilisation_ratio=-0.1), CountReason.IMPOSSIBLE_SIGNALS),
        (replace(CALM, utilisation_ratio=7.0), CountReason.IMPOSSIBLE_SIGNALS),
        (replace(CALM, busy_instances=nan), CountReason.IMPOSSIBLE_SIGNALS),
        (replace(CALM, busy_instances=1e9), CountReason.IMPOSSIBLE_SIGNALS),
        (replace(CALM, arrivals_per_s=inf), CountReason.IMPOSSIBLE_SIGNALS),
        (replace(CALM, arrivals_per_s=1e9), CountReason.IMPOSSIBLE_SIGNALS),
        (replace(CALM, service_s=1e9), CountReason.IMPOSSIBLE_SIGNALS),
        (replace(CALM, service_s=-1.0), CountReason.IMPOSSIBLE_SIGNALS),
        (replace(CALM, queue_depth=1e9), CountReason.IMPOSSIBLE_SIGNALS),
        (replace(CALM, ready_instances=-1), CountReason.IMPOSSIBLE_SIGNALS),
    ],
)
def test_f36_signals_that_cannot_be_trusted_hold_and_say_why(signals, reason):
    hold = decide(signals, 3, NOW - 100 * NS_PER_S)
    assert isinstance(hold, Hold)
    assert hold.reason is reason
    assert hold.low_since_ns is None
    assert "stays" in hold.words
    json.dumps(dict(hold.evidence), allow_nan=False)


def test_f36_one_step_at_most_doubles_and_adds_one():
    assert decide(replace(CALM, arrivals_per_s=9e6), 1).count == 3
    assert decide(replace(CALM, arrivals_per_s=9e6, ready_instances=3), 3).count == 7


def second(at_unix_s, requests=10, cache_hits=0, rejections=0, queue_depth=0, instances=1, busy_ratio=0.5):
    return MeasuredSecond(at_unix_s, requests, cache_hits, rejections, queue_depth, instances, busy_ratio)


def test_no_seconds_are_no_signals():
    assert signals_from([], 100) == NO_SIGNALS


def test_signals_of_a_window():
    seconds = [second(100, 30, 10), second(101, 20, 0, rejections=10, queue_depth=6, instances=2, busy_ratio=0.75)]
    signals = signals_from(seconds, 102.5)
    assert signals.utilisation_ratio == pytest.approx((0.5 + 1.5) / 3)
    assert signals.busy_instances == pytest.approx((0.5 + 1.5) / 2)
    assert signals.arrivals_per_s == pytest.approx((40 + 10 + 6) / 2)
    assert signals.service_s == pytest.approx(2.0 / 40)
    assert (signals.queue_depth, signals.ready_instances, signals.age_s) == (6, 2, 1.5)


def test_what_is_not_known_is_none():
    signals = signals_from([second(100, 0, instances=0, busy_ratio=0.0, rejections=3)], 101)
    assert signals.utilisation_ratio is None
    assert signals.busy_instances is None
    assert signals.service_s is None
    assert signals.arrivals_per_s == 3


def test_cache_hits_are_no_load():
    assert signals_from([second(100, 50, 50, busy_ratio=0.0)], 101).arrivals_per_s == 0


def test_a_step_up_does_not_ask_for_the_next_while_the_window_still_tells_of_the_time_before():
    """One instance fully busy for ten seconds, then two at half: 2 are right, though 75 % of the newest 2 is 1.5."""
    before = [second(100 + s, busy_ratio=1.0) for s in range(10)]
    after = [second(110 + s, instances=2, busy_ratio=0.5) for s in range(5)]
    assert decide(signals_from(before + after, 115), 2).reason is CountReason.STEADY
