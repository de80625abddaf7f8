"""Situations in which the scheduler's policies are compared, for tests and for `bench/simulate`: one function each."""

from __future__ import annotations

from dataclasses import replace

from proxy.core.policies import AdmissionPolicy, BatchingPolicy, ModelPolicy, Placement, QueuePolicy
from proxy.core.units import NS_PER_MS, NS_PER_US
from proxy.testing.simulation import Cost, Outcome, Simulation
from proxy.testing.traffic import Arrival, Sender, bursts, heavy_tailed, leaving, steady, together

# A model whose rows take the time, and one whose executions do (as on a GPU that is not full).
ROWS = Cost(2 * NS_PER_MS, 100 * NS_PER_US, 0.1)
FIXED = Cost(5 * NS_PER_MS, 10 * NS_PER_US, 0.1)
TRACES = {"steady": steady, "bursts": bursts, "heavy tail": heavy_tailed}


def placed(placement: Placement, slowness: tuple[float, ...], *, load: float, seconds: float = 1.0) -> Outcome:
    """Instances of which some are slower, at `load` of what they can do together."""
    capacity = sum(1 / factor for factor in slowness)
    simulation = Simulation(ModelPolicy(placement=placement), slowness=slowness, cost=ROWS)
    return simulation.run(steady(Sender(load * ROWS.peak_per_s(32, capacity), seconds)), seconds)


def batched(batching: BatchingPolicy, trace: str, *, load: float, seconds: float = 1.0) -> Outcome:
    """Two instances of the model with fixed costs; `load` of their peak with full batches of 32."""
    policy = ModelPolicy(batching=batching)
    arrivals = TRACES[trace](Sender(load * FIXED.peak_per_s(32, 2), seconds))
    return Simulation(policy, cost=FIXED).run(arrivals, seconds)


def two_tenants(
    *,
    is_fair: bool,
    quiet: float = 0.25,
    noisy: float = 10.0,
    cost: Cost = FIXED,
    max_rows: int = 32,
    contended_rows: int = 0,
    seconds: float = 1.0,
) -> Outcome:
    """Keys `quiet` (by default at half of its share) and `noisy` beside it, each at this multiple of the peak."""
    peak = cost.peak_per_s(max_rows, 2)
    trace = steady(Sender(quiet * peak, seconds, "quiet"), 2) if quiet else []
    if noisy:
        trace = together(trace, steady(Sender(noisy * peak, seconds, "noisy"), 3))
    policy = ModelPolicy(
        batching=BatchingPolicy(max_rows), queue=QueuePolicy(fair_share=is_fair, contended_rows=contended_rows)
    )
    return Simulation(policy, cost=cost).run(trace, seconds)


def priorities(ageing_ns: int, *, seconds: float = 1.0) -> Outcome:
    """Priority 1 alone sends more than can be run; a little comes with priority 3."""
    peak = ROWS.peak_per_s(8, 2)
    longest = 20_000 * NS_PER_MS
    high = steady(Sender(1.2 * peak, seconds, "high", priority=1, timeout_ns=longest))
    low = steady(Sender(0.05 * peak, seconds, "low", priority=3, timeout_ns=longest), 2)
    queue = QueuePolicy(max_requests=10_000, ageing_ns=ageing_ns)
    return Simulation(ModelPolicy(batching=BatchingPolicy(8), queue=queue), cost=ROWS).run(together(high, low), seconds)


def overloaded(
    load: float, *, adaptive: bool = False, timeout_ns: int = 100 * NS_PER_MS, seconds: float = 0.5
) -> tuple[Outcome, Outcome]:
    """`load` times the peak for a while, then a fifth of it: what was answered during the load, and after it."""
    peak = ROWS.peak_per_s(32, 2)
    policy = ModelPolicy(admission=AdmissionPolicy(adaptive_limit=adaptive))
    simulation = Simulation(policy, cost=ROWS)
    during = simulation.run(steady(Sender(load * peak, seconds, timeout_ns=timeout_ns)), seconds, settle=False)
    after = simulation.run(steady(Sender(0.2 * peak, 0.5, timeout_ns=timeout_ns), 2), 0.5)
    return during, after


def short_of_time(
    instances: int, executions: float, load: float, *, cost: Cost = ROWS, seconds: float = 0.3, lead_s: float = 0.0
) -> Outcome:
    """`load` times the peak with deadlines of so many full executions of 32 rows, after `lead_s` that do not count."""
    timeout_ns = int(executions * (cost.fixed_ns + 32 * cost.row_ns))
    simulation = Simulation(ModelPolicy(batching=BatchingPolicy(32)), slowness=(1.0,) * instances, cost=cost)
    sender = Sender(load * cost.peak_per_s(32, instances), seconds, timeout_ns=timeout_ns)
    if lead_s:
        simulation.run(steady(replace(sender, seconds=lead_s), 2), lead_s, settle=False)
    return simulation.run(steady(sender), seconds)


def crowded(*, adaptive: bool, seconds: float = 1.0) -> Outcome:
    """Bursts of three times the peak, at six tenths of it in the mean."""
    policy = ModelPolicy(admission=AdmissionPolicy(adaptive_limit=adaptive))
    trace = bursts(Sender(0.6 * ROWS.peak_per_s(32, 2), seconds))
    return Simulation(policy, cost=ROWS).run(trace, seconds)


def storm(*, honours_hints: bool | None, seconds: float = 1.0) -> Outcome:
    """Twice the peak from clients that come back up to three times when they are refused (F28). None: they do not."""
    peak = ROWS.peak_per_s(32, 2)
    simulation = Simulation(ModelPolicy(queue=QueuePolicy(max_requests=200)), cost=ROWS)
    retries = {None: "", True: "hint", False: "at once"}[honours_hints]
    return simulation.run(steady(Sender(2 * peak, seconds)), seconds, retries=retries)


def left_alone(*, do_leave: bool, seconds: float = 0.5) -> Outcome:
    """Twice the peak; half of the clients (key `gone`) leave at a random moment within 50 ms."""
    rate = ROWS.peak_per_s(32, 2)
    stay = steady(Sender(rate, seconds, "stay"), 2)
    gone = steady(Sender(rate, seconds, "gone", rows=1), 3)
    if do_leave:
        gone = leaving(gone, 50 * NS_PER_MS)
    return Simulation(ModelPolicy(), cost=ROWS).run(together(stay, gone), seconds)


def switching(seconds: float = 1.0) -> Outcome:
    """A policy of another kind every 20 ms, at four fifths of the peak, with requests of several sizes and keys."""
    changes = []
    base = ModelPolicy()
    for turn in range(int(seconds * 50)):
        policy = replace(
            base,
            placement=list(Placement)[turn % len(Placement)],
            batching=BatchingPolicy(
                (32, 8, 16)[turn % 3], (0, 2 * NS_PER_MS)[turn % 2], padded_rows=((), (4, 8, 16, 32))[turn // 2 % 2]
            ),
            queue=QueuePolicy(
                priority_levels=1 + turn % 3, ageing_ns=(0, NS_PER_MS)[turn % 2], fair_share=bool(turn // 2 % 2)
            ),
            admission=AdmissionPolicy(adaptive_limit=bool(turn // 3 % 2), min_limit=1_000),
        )
        changes.append((turn / 50, policy))
    rate = 0.2 * ROWS.peak_per_s(32, 2)
    small: list[Arrival] = steady(Sender(rate, seconds, "a", timeout_ns=5_000 * NS_PER_MS))
    pairs = steady(Sender(rate / 2, seconds, "b", rows=2, priority=3, weight=2, timeout_ns=5_000 * NS_PER_MS), 2)
    large = steady(Sender(rate / 100, seconds, "c", rows=40, priority=1, timeout_ns=5_000 * NS_PER_MS), 3)
    return Simulation(base, cost=ROWS).run(together(small, pairs, large), seconds, changes)
