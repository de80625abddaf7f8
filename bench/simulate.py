"""The scheduler's policies beside each other, on a simulated clock: the tables of docs/scheduling.md.

The real scheduler decides; instances are simulated (fixed cost + cost of a row, give or take a tenth). Traces are
seeded, so the figures are the same on any machine. Takes half a minute. `bench/simulate placement` prints one table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from bench.scheduler_cost import cost_us
from proxy.core.policies import BatchingPolicy, Placement
from proxy.core.units import NS_PER_MS
from proxy.testing import scenarios
from proxy.testing.scenarios import FIXED, ROWS, TRACES
from proxy.testing.simulation import Cost

Row = tuple[object, ...]

LOADS = (0.5, 0.9, 1.2, 2.0, 3.0)
CONTENDED_ROWS = (24, 16, 13)
BATCHING = {
    "at most 1 row": BatchingPolicy(1),
    "at most 32, no delay": BatchingPolicy(32),
    "delay 5 ms": BatchingPolicy(32, 5 * NS_PER_MS),
    "delay 5 ms, preferred 8, 16": BatchingPolicy(32, 5 * NS_PER_MS, (8, 16)),
    "padded to 1, 2, 4 … 32": BatchingPolicy(32, 0, (), (1, 2, 4, 8, 16, 32)),
}


def placement() -> Iterator[Row]:
    """Largest share of four equal instances, and the share of one that is 5 times slower, in parts of a fair share."""
    yield "placement", "equal: largest share", "slowed 5×: its share", "p50 ms", "p99 ms"
    for policy in Placement:
        equal = scenarios.placed(policy, (1.0,) * 4, load=0.6)
        slow = scenarios.placed(policy, (5.0, 1.0, 1.0, 1.0), load=0.6)
        figures = slow.quantile_ms(0.5), slow.quantile_ms(0.99)
        yield policy.value, f"{4 * max(equal.shares):.2f}", f"{4 * slow.shares[0]:.2f}", *_ms(*figures)


def batching() -> Iterator[Row]:
    """Two instances, 5 ms + 0.01 ms a row, at a twentieth and six tenths of the peak."""
    yield "batching", "trace", "load", "answered", "rows an execution", "p50 ms", "p99 ms"
    for name, policy in BATCHING.items():
        for trace in TRACES:
            for load in (0.05, 0.6):
                found = scenarios.batched(policy, trace, load=load)
                figures = found.quantile_ms(0.5), found.quantile_ms(0.99)
                yield (
                    name,
                    trace,
                    load,
                    _percent(found.success_ratio()),
                    f"{found.rows_an_execution:.1f}",
                    *_ms(*figures),
                )


def tenants() -> Iterator[Row]:
    """A key at half of its share, alone and beside one at 20 times its own (ten times the peak)."""
    yield "model", "queue rule", "quiet key answered", "its p50 ms", "its p99 ms", "all, of the peak"
    costs: dict[str, tuple[Cost, int]] = {
        "5 ms + 0.01 ms a row, 32 rows": (FIXED, 32),
        "2 ms + 0.1 ms a row, 8 rows": (ROWS, 8),
        "2 ms + 0.1 ms a row, 32 rows": (ROWS, 32),
    }
    for name, (cost, max_rows) in costs.items():
        rules: list[tuple[str, bool, float, int]] = [
            ("alone", True, 0.0, 0),
            ("fair share", True, 10.0, 0),
            ("first come", False, 10.0, 0),
        ]
        if cost is ROWS and max_rows == 32:
            rules[2:2] = [(f"fair share, contended: {rows} rows", True, 10.0, rows) for rows in CONTENDED_ROWS]
        for rule, is_fair, noisy, contended in rules:
            found = scenarios.two_tenants(
                is_fair=is_fair, noisy=noisy, cost=cost, max_rows=max_rows, contended_rows=contended
            )
            figures = found.quantile_ms(0.5, "quiet"), found.quantile_ms(0.99, "quiet")
            peak = found.in_time / found.seconds / cost.peak_per_s(max_rows, 2)
            yield name, rule, _percent(found.success_ratio("quiet")), *_ms(*figures), f"{peak:.2f}"


def contended() -> Iterator[Row]:
    """What a bound for contended executions costs a busy key whose load the machine can serve (2 ms + 0.1 ms a row)."""
    yield "busy key sends, of the peak", "contended_rows", "quiet: p99 ms", "busy: answered", "busy: p99 ms"
    for noisy in (0.5, 0.75):
        for rows in (0, CONTENDED_ROWS[-1]):
            found = scenarios.two_tenants(is_fair=True, noisy=noisy, cost=ROWS, max_rows=32, contended_rows=rows)
            quiet, busy = found.quantile_ms(0.99, "quiet"), found.quantile_ms(0.99, "noisy")
            yield noisy, rows, *_ms(quiet), _percent(found.success_ratio("noisy")), *_ms(busy)


def priorities() -> Iterator[Row]:
    """Priority 1 alone sends 1.2 times what can be run; 5 % of it comes with priority 3."""
    yield "ageing", "priority 1: p99 ms", "priority 3: p50 ms", "priority 3: p99 ms"
    for name, ageing_ns in (("strict", 0), ("100 ms a level", 100 * NS_PER_MS), ("20 ms a level", 20 * NS_PER_MS)):
        found = scenarios.priorities(ageing_ns)
        low = found.quantile_ms(0.5, "low"), found.quantile_ms(0.99, "low")
        yield name, *_ms(found.quantile_ms(0.99, "high"), *low)


def overload() -> Iterator[Row]:
    """Poisson arrivals at a multiple of the peak for half a second, then a fifth of it."""
    yield "load", "timeout ms", "adaptive limit", "goodput, of the peak", "accepted: p99 ms", "late", "after: answered"
    peak = ROWS.peak_per_s(32, 2)
    for timeout_ms in (20, 100):
        for load in (0.7, 2.0, 10.0):
            for adaptive in (False, True):
                during, after = scenarios.overloaded(load, adaptive=adaptive, timeout_ns=timeout_ms * NS_PER_MS)
                goodput = f"{during.in_time / during.seconds / peak:.2f}"
                late = during.refused("deadline_exceeded")
                p99 = f"{during.quantile_ms(0.99):.1f}"
                rule = "on" if adaptive else "off"
                yield f"{load}×", timeout_ms, rule, goodput, p99, late, _percent(after.success_ratio())


def deadlines() -> Iterator[Row]:
    """Goodput, of the peak, with deadlines a few full executions away; in brackets: accepted, and not in time."""
    yield "model", "instances", "deadline, executions", *(f"{load}× (late)" for load in LOADS)
    for name, cost in {"2 ms + 0.1 ms a row": ROWS, "5 ms + 0.01 ms a row": FIXED}.items():
        for instances in (1, 2, 4):
            for executions in (1.2, 1.5, 2, 2.5, 3, 4, 6):
                found = [scenarios.short_of_time(instances, executions, load, cost=cost) for load in LOADS]
                peak = cost.peak_per_s(32, instances)
                yield (
                    name,
                    instances,
                    executions,
                    *(f"{one.goodput_per_s() / peak:.2f} ({one.refused('deadline_exceeded')})" for one in found),
                )


def limit() -> Iterator[Row]:
    """Bursts of three times the peak, at six tenths of it in the mean: what an adaptive limit refuses of them."""
    yield "adaptive limit", "answered", "p50 ms", "p99 ms"
    for adaptive in (False, True):
        found = scenarios.crowded(adaptive=adaptive)
        figures = found.quantile_ms(0.5), found.quantile_ms(0.99)
        yield "on" if adaptive else "off", _percent(found.success_ratio()), *_ms(*figures)


def retries() -> Iterator[Row]:
    """Twice the peak for a second, from clients that come back up to three times when refused."""
    yield (
        "clients come back",
        "attempts for each request",
        "answered in the end",
        "goodput during the load, of the peak",
    )
    for name, honours in (("never", None), ("after 10 ms", False), ("after `Retry-After`", True)):
        found = scenarios.storm(honours_hints=honours)
        attempts = found.attempts / sum(found.offered.values())
        goodput = found.in_time / found.seconds / ROWS.peak_per_s(32, 2)
        yield name, f"{attempts:.1f}", _percent(found.success_ratio()), f"{goodput:.2f}"


def switching() -> Iterator[Row]:
    """Another policy every 20 ms."""
    yield "changes", "requests", "answered", "wrong", "without an answer"
    found = scenarios.switching()
    yield 50, sum(found.offered.values()), found.answered(), found.wrong, found.unanswered


def cost() -> Iterator[Row]:
    """What the scheduler itself takes, on this machine's clock."""
    yield "requests at once", "keys", "priorities", "µs a request"
    for together, keys, priorities in ((1, 1, 1), (32, 1, 1), (32, 2, 1), (256, 1, 1), (256, 8, 3), (900, 300, 3)):
        yield together, keys, priorities, f"{cost_us(together, keys, priorities):.1f}"


TABLES: dict[str, Callable[[], Iterator[Row]]] = {
    table.__name__: table
    for table in (placement, batching, tenants, contended, priorities, overload, deadlines, limit, retries, switching)
}


ON_DEMAND = {"cost": cost}  # not simulated, so not the same each time


def _ms(*values: float) -> tuple[str, ...]:
    return tuple(f"{value:.1f}" for value in values)


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.1f} %"


def main() -> None:
    """Print the tables asked for, as Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "tables", nargs="*", choices=[[], *TABLES, *ON_DEMAND], default=[], help="all of them but cost if none is named"
    )
    for name in parser.parse_args().tables or TABLES:
        table = (TABLES | ON_DEMAND)[name]
        print(f"\n### {name}\n\n{table.__doc__}\n")
        for index, row in enumerate(table()):
            print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)
            if not index:
                print("|" + "---|" * len(row))


if __name__ == "__main__":
    main()
