"""When a cache is passed by, when it is tried again, and what is said of it."""

from __future__ import annotations

import pytest

from proxy.cache.bypass import FIRST_PAUSE_NS, PROBE_LOOKUPS, Bypass, CacheCosts, CacheState, words
from proxy.core.units import NS_PER_S


class Load:
    """Seconds of a load at `per_s` look-ups; while bypassed none is made."""

    def __init__(self, service_ns=100_000.0, per_s=1_000) -> None:
        self.bypass = Bypass()
        self.now_ns = self.looked = self.hits = 0
        self.service_ns, self.per_s = service_ns, per_s
        self.costs = CacheCosts(0, 0)

    def run(self, seconds: int, ratio: float, would: float | None = None) -> list[CacheState]:
        states = []
        for _ in range(seconds):
            self.now_ns += NS_PER_S
            if self.bypass.state is not CacheState.BYPASSED:
                self.looked += self.per_s
                self.hits += round(ratio * self.per_s)
            self.costs = CacheCosts(self.looked, self.hits, would, 1_000.0, 4_000.0, self.service_ns)
            states.append(self.bypass.update(self.now_ns, self.costs))
        return states

    def words(self) -> str:
        return words(self.bypass, self.costs, self.now_ns)


def test_a_cache_that_pays_stays_on():
    load = Load()
    assert set(load.run(600, 0.2)) == {CacheState.ON}
    assert load.words() == "On: 20 % of look-ups hit, which saves 20 µs of model time a request and costs 4.2 µs."


def test_a_cache_whose_hits_do_not_pay_is_passed_by_after_some_seconds_and_says_why():
    load = Load()
    states = load.run(10, 0.001, would=0.002)
    assert states[3:].count(CacheState.BYPASSED) >= 3
    assert states[:4] == [CacheState.ON] * 4
    assert load.words().startswith("Bypassed: 0.2 % of look-ups would hit, which saves 0.2 µs of model time a request")


def test_a_filling_cache_is_not_left_while_the_curve_says_that_hits_will_pay():
    assert set(Load().run(60, 0.0, would=0.3)) == {CacheState.ON}


def test_without_a_curve_it_is_probed_now_and_then_each_time_later():
    load = Load()
    states = load.run(600, 0.0)
    assert states.count(CacheState.PROBING) >= 3
    first = states.index(CacheState.BYPASSED)
    assert states.index(CacheState.PROBING) - first == FIRST_PAUSE_NS // NS_PER_S
    assert states.count(CacheState.PROBING) < 10
    assert CacheState.ON not in states[first:]


def test_a_probe_that_pays_ends_it():
    load = Load()
    load.run(20, 0.0)
    assert load.bypass.state is CacheState.BYPASSED
    states = load.run(60, 0.5)
    assert CacheState.PROBING in states
    assert states[-1] is CacheState.ON


def test_it_returns_at_once_when_the_curve_says_that_hits_would_pay():
    load = Load()
    load.run(20, 0.0, would=0.0)
    states = load.run(3, 0.4, would=0.4)
    assert states[0] is CacheState.PROBING
    assert states[-1] is CacheState.ON


def test_a_probe_lasts_as_many_look_ups_however_slow_they_come():
    load = Load()
    load.run(20, 0.0)
    load.per_s = 10
    states = load.run(40, 0.0)
    assert states[-1] is CacheState.PROBING
    began = load.looked
    load.run(PROBE_LOOKUPS // 10, 0.0)
    assert load.looked - began <= PROBE_LOOKUPS
    assert load.bypass.state is CacheState.BYPASSED


def test_costs_that_are_not_known_leave_it_on():
    bypass = Bypass()
    for second in range(100):
        costs = CacheCosts(second * 1_000, 0, 0.0)
        assert bypass.update(second * NS_PER_S, costs) is CacheState.ON
    assert words(bypass, costs, 0) == "On: too little is known yet to say whether hits pay."


def test_a_load_on_the_line_does_not_flap():
    load = Load()
    changes = 0
    before = load.bypass.state
    for second in range(1_200):
        (state,) = load.run(1, 0.04 if second % 2 else 0.06)  # about where saved and spent are equal
        changes += state is not before
        before = state
    assert changes <= 2


@pytest.mark.parametrize(("state", "text"), [(CacheState.PROBING, "Probing"), (CacheState.ON, "On: too little")])
def test_each_state_has_its_words(state, text):
    bypass = Bypass()
    bypass.state = state
    assert words(bypass, CacheCosts(0, 0), 0).startswith(text)
    assert words(bypass, CacheCosts(0, 0), 0, is_enabled=False) == "Off by the model's policy."
