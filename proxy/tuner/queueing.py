"""Mean waiting time in a queue before c instances: Erlang's formulas. Pure.

    a = λ·S        offered load: arrivals a second × mean service time; ρ = a / c < 1
    B(0) = 1;  B(k) = a·B(k−1) / (k + a·B(k−1))                 all c busy, nobody waits (Erlang B, stable recursion)
    C = B(c) / (1 − ρ·(1 − B(c)))                                an arrival has to wait (Erlang C)
    Wq = C·S / (c − a)                                            mean wait, exponential gaps and services
    Wq(G/G/c) ≈ Wq · (Ca² + Cs²) / 2                              Allen–Cunneen: squared variations of gaps and services

Rules: no instances or a load that they cannot carry waits forever (infinity), never an exception. Vectors of
PROTOCOLS section 10 are the tests.
Source: Erlang (1917); Allen, Probability, Statistics and Queueing Theory (1990), for the correction.
"""

from __future__ import annotations

from math import inf


def erlang_b(instances: int, offered: float) -> float:
    """Share of arrivals that find all `instances` busy where nobody waits."""
    blocked = 1.0
    for k in range(1, instances + 1):
        blocked = offered * blocked / (k + offered * blocked)
    return blocked


def erlang_c(instances: int, offered: float) -> float:
    """Probability that an arrival has to wait; 1 where the load cannot be carried."""
    if offered <= 0:
        return 0.0
    if instances <= offered:
        return 1.0
    blocked = erlang_b(instances, offered)
    return blocked / (1 - offered / instances * (1 - blocked))


def mean_wait_s(instances: int, offered: float, service_s: float, variability: float = 1.0) -> float:
    """Mean time in the queue, seconds. `variability` is (Ca² + Cs²) / 2: 1 for exponential gaps and services."""
    if offered <= 0:
        return 0.0
    if instances <= offered:
        return inf
    return variability * erlang_c(instances, offered) * service_s / (instances - offered)
