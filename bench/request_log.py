"""What remembering requests costs an answer that is not kept, beside counting it: `python -m bench.request_log`.

The answer is asked about as the line does it: one moment more, and one question. Processor time.
"""

from __future__ import annotations

import time

from proxy.core.batches import Run
from proxy.core.units import NS_PER_S
from proxy.metrics.metrics import Metrics
from proxy.metrics.requests import Kept, RequestLog
from proxy.system import SystemClock

ROUNDS = 200_000
REPEATS = 7


def main() -> None:
    """Print nanoseconds an answer: what is new, and what one answer's count takes."""
    log, metrics, clock = RequestLog(), Metrics(), SystemClock()
    run = Run(1, "digits/1#1", 8, 8)
    now_ns = clock.now_ns()
    for number in range(200):
        log.keep(Kept(number, "", "digits", 1, "key:1", now_ns, 900 * NS_PER_S, 200, "", (), run=Run(0, "", 1)), now_ns)
    asked_ns = _least_ns(lambda: _ask(log, run, clock, now_ns))
    counted_ns = _least_ns(lambda: _count(metrics))
    empty_ns = _least_ns(_nothing)
    new_ns, count_ns = asked_ns - empty_ns, counted_ns - empty_ns
    print(f"an answer that is not kept: {new_ns:.0f} ns; counting it: {count_ns:.0f} ns; ratio {new_ns / count_ns:.2f}")


def _ask(log: RequestLog, run: Run, clock: SystemClock, begun_ns: int) -> None:
    """Asked as of the begin, when none is due, however slow the machine is."""
    for _ in range(ROUNDS):
        clock.now_ns()
        if log.wants("digits", run, 1_000_000, begun_ns):
            raise AssertionError("this answer is none that is kept")


def _count(metrics: Metrics) -> None:
    for _ in range(ROUNDS):
        metrics.on_answer("digits/1", 200, None, 1_000_000, 1_000, 1_000, None)


def _nothing() -> None:
    for _ in range(ROUNDS):
        pass


def _least_ns(work: object) -> float:
    """Processor time of one of the rounds, the least of some: what else the machine does counts little in it."""
    times = []
    for _ in range(REPEATS):
        begun_ns = time.process_time_ns()
        work()  # type: ignore[operator]
        times.append((time.process_time_ns() - begun_ns) / ROUNDS)
    return min(times)


if __name__ == "__main__":
    main()
