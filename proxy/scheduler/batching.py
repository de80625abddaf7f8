"""Decides whether a batch leaves now or waits for company, and how a deadline bounds it. Pure.

Place: asked only while an instance is idle; a busy instance is company enough by itself.
Rules: nobody waits into a deadline of the batch; nobody waits longer than the policy's delay; and, once the lane knows
how long executions take, only while waiting pays. With n requests waiting, an execution of α + β·b, and the next
request expected in g: leaving now makes the newcomer wait for this execution and pay α again; waiting makes all n wait
g and run β longer. The sum of all latencies is smaller by waiting just while

    (n + 1)·g + n·β < α          that is, while g < (α - n·β) / (n + 1)

Why not a fixed delay: with one caller a 2 ms delay halves the throughput of a 2 ms model (DESIGN section 5).
Source: the rule of BentoML's dispatcher (n × (wait + a) against the mean wait), with the algebra done for this queue.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from proxy.core.policies import BatchingPolicy
from proxy.core.units import NS_PER_MS
from proxy.scheduler.latency_model import LatencyModel

# Event loops round timers up to a millisecond: by that much earlier a batch leaves before a deadline. Larger: batches
# of requests with short deadlines leave sooner.
TIMER_NS = NS_PER_MS


class BatchReason(StrEnum):
    """Why a batch leaves."""

    NO_DELAY = "no_delay"
    FULL = "full"
    PREFERRED = "preferred"
    DELAY_OVER = "delay_over"
    DEADLINE_NEAR = "deadline_near"
    NOT_WORTH_WAITING = "not_worth_waiting"
    CALLERS_BACK = "callers_back"


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Leave now, with at most `rows` (0: as many as an execution may hold)."""

    reason: BatchReason
    rows: int = 0


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Look again at `at_ns`, or when another request arrives."""

    at_ns: int


class Waiting(NamedTuple):
    """What waits, of one shape: `rows` of `requests`, the first since `oldest_ns`, the earliest deadline `deadline_ns`.

    `gap_ns` is the mean time between arrivals (0: not known), `arrived_ns` when the last one came; `idle` instances
    could run it.
    """

    rows: int
    requests: int
    oldest_ns: int
    deadline_ns: int
    gap_ns: int = 0
    arrived_ns: int = 0
    idle: int = 1


NO_DELAY = Dispatch(BatchReason.NO_DELAY)
FULL = Dispatch(BatchReason.FULL)
DELAY_OVER = Dispatch(BatchReason.DELAY_OVER)
DEADLINE_NEAR = Dispatch(BatchReason.DEADLINE_NEAR)
NOT_WORTH_WAITING = Dispatch(BatchReason.NOT_WORTH_WAITING)
CALLERS_BACK = Dispatch(BatchReason.CALLERS_BACK)


def form_batch(
    waiting: Waiting, pace: LatencyModel, max_rows: int, policy: BatchingPolicy, now_ns: int
) -> Dispatch | WaitUntil:
    """Decide for what waits, at most `max_rows` of it in one execution.

    Dispatch when the policy has no delay, the batch is full or has a preferred size (the largest that it reaches; the
    rest stays), the first has waited `max_delay_ns`, waiting longer would leave less than the predicted execution
    before a deadline, or waiting does not pay (never with another instance idle: it would take the newcomer); else
    WaitUntil the first of these. Where nothing was measured yet, the policy's delay is followed.
    """
    if policy.max_delay_ns <= 0:
        return NO_DELAY
    if waiting.rows >= max_rows:
        return FULL
    leave_ns = waiting.oldest_ns + policy.max_delay_ns
    if leave_ns <= now_ns:
        return DELAY_OVER
    latest_ns = waiting.deadline_ns - pace.predict_ns(waiting.rows)
    if latest_ns <= now_ns:
        return DEADLINE_NEAR
    preferred = max((size for size in policy.preferred_rows if size <= waiting.rows), default=0)
    if preferred:
        return Dispatch(BatchReason.PREFERRED, preferred)
    if pace.alpha_ns and waiting.gap_ns:
        worth_ns = worth_waiting_ns(waiting.requests, pace)
        worth_until_ns = waiting.arrived_ns + worth_ns
        if waiting.idle > 1 or waiting.gap_ns >= worth_ns or worth_until_ns <= now_ns:
            return NOT_WORTH_WAITING
        leave_ns = min(leave_ns, worth_until_ns)
    return WaitUntil(min(leave_ns, latest_ns))


def worth_waiting_ns(requests: int, pace: LatencyModel) -> int:
    """The longest expected time to the next arrival at which `requests` gain by waiting for it; 0 or less: never."""
    return (pace.alpha_ns - requests * pace.beta_ns) // (requests + 1)


def await_callers(
    rows: int, expected: int, until_ns: int, deadline_ns: int, service_ns: int, max_rows: int, now_ns: int
) -> Dispatch | WaitUntil:
    """Decide for `rows` waiting where the policy has no delay, and `expected` callers may be back by `until_ns`.

    Dispatch when the batch is full, nobody is expected any more, the time is over, or waiting longer would leave less
    than `service_ns` before the first deadline; else WaitUntil the first of these.
    """
    if rows >= max_rows:
        return FULL
    if expected <= 0:
        return CALLERS_BACK
    if until_ns <= now_ns:
        return DELAY_OVER
    latest_ns = deadline_ns - service_ns
    if latest_ns <= now_ns:
        return DEADLINE_NEAR
    return WaitUntil(min(until_ns, latest_ns))


def bound_with(rows: int, room_rows: int, taken_rows: int, bound: int) -> int:
    """The `bound` of a batch of `taken_rows` when a request of `rows` joins whose deadline leaves room for `room_rows`.

    0 if it must stay out. One that would be late alone changes nothing.
    """
    if rows > room_rows:
        return bound
    return min(bound, room_rows) if taken_rows + rows <= room_rows else 0
