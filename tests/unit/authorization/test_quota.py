"""A key's rate on a clock that stands still."""

from __future__ import annotations

import pytest

from proxy.authorization import quota
from proxy.authorization.quota import Quotas
from proxy.core.errors import QuotaExceeded, Reason
from proxy.core.principals import Principal
from proxy.core.units import NS_PER_S

START_NS = 5 * NS_PER_S


def key(per_s: int, name: str = "1") -> Principal:
    return Principal(f"key:{name}", "ci", requests_per_s=per_s)


def spend(quotas: Quotas, caller: Principal, now_ns: int, times: int = 1) -> int:
    """How many of `times` requests pass."""
    passed = 0
    for _ in range(times):
        try:
            quotas.spend(caller, now_ns)
            passed += 1
        except QuotaExceeded:
            pass
    return passed


@pytest.mark.parametrize("per_s", [1, 3, 10, 250])
def test_a_burst_of_two_seconds_passes_and_then_the_rate(per_s: int) -> None:
    quotas = Quotas(lambda: 0.0)
    assert spend(quotas, key(per_s), START_NS, 5 * per_s) == 2 * per_s
    passed = sum(spend(quotas, key(per_s), START_NS + step * NS_PER_S // (4 * per_s)) for step in range(1, 40 * per_s))
    assert abs(passed - 10 * per_s) <= 1
    rested_ns = START_NS + 1_000 * NS_PER_S
    assert spend(quotas, key(per_s), rested_ns, 5 * per_s) == 2 * per_s


def test_a_refusal_says_when_and_costs_nothing() -> None:
    quotas, caller = Quotas(lambda: 0.0), key(2)
    spend(quotas, caller, START_NS, 100)
    with pytest.raises(QuotaExceeded) as refused:
        quotas.spend(caller, START_NS)
    error = refused.value
    assert (error.status, error.reason) == (429, Reason.QUOTA)
    assert "2 requests a second" in error.message
    assert error.retry_after_ns is not None
    quotas.spend(caller, START_NS + error.retry_after_ns)
    with pytest.raises(QuotaExceeded):
        quotas.spend(caller, START_NS + error.retry_after_ns)


def test_a_herd_that_is_refused_at_once_is_told_different_times() -> None:
    draws = [step / 40 for step in range(40)]
    quotas, caller, hints_ns = Quotas(iter([*draws]).__next__), key(2), []
    for _ in range(4):
        quotas.spend(caller, START_NS)
    for _ in draws:
        with pytest.raises(QuotaExceeded) as refused:
            quotas.spend(caller, START_NS)
        hints_ns.append(refused.value.retry_after_ns or 0)
    earliest_ns = min(hints_ns)
    assert len(set(hints_ns)) == len(draws)
    assert max(hints_ns) - earliest_ns > NS_PER_S // 2, "a header carries whole seconds: less would spread nobody"
    quotas.spend(caller, START_NS + earliest_ns)  # and nobody is told to come too early


def test_keys_do_not_spend_each_others() -> None:
    quotas = Quotas(lambda: 0.0)
    spend(quotas, key(1, "1"), START_NS, 10)
    assert spend(quotas, key(1, "2"), START_NS, 10) == 2


def test_a_changed_rate_holds_at_once() -> None:
    quotas = Quotas(lambda: 0.0)
    spend(quotas, key(1), START_NS, 10)
    assert spend(quotas, key(1_000), START_NS + NS_PER_S, 5_000) == 1_000


def test_rested_keys_are_forgotten_when_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "MAX_KEPT", 3)
    quotas = Quotas(lambda: 0.0)
    for name in range(3):
        quotas.spend(key(1, str(name)), START_NS)
    later_ns = START_NS + NS_PER_S // 2
    spend(quotas, key(1, "busy"), later_ns, 10)
    for name in range(10, 20):
        quotas.spend(key(1, str(name)), later_ns + NS_PER_S)
    assert spend(quotas, key(1, "busy"), later_ns + NS_PER_S, 10) == 1, "a busy key's bucket was forgotten"
