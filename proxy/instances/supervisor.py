"""Whether an instance must be killed: it loads too long, executes too long, does not answer, or uses too much memory.

Pure; the group asks it at each tick. Decided from what the parent sees, never from what the instance says of itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from proxy.core.policies import ExecutionPolicy
from proxy.core.units import BYTES_PER_MIB, NS_PER_S
from proxy.core.words import say
from proxy.instances.state import COMING, InstanceState

PING_EVERY_NS = 2 * NS_PER_S
PING_ANSWER_NS = 7 * NS_PER_S
"""An idle instance only has to wake up to answer; 7 s allow for a machine that swaps. Together: an idle instance that
hangs is replaced within 10 s, as a busy one is by the default budget of an execution. Longer: later; shorter: a busy
machine loses healthy instances."""
STOP_GRACE_NS = 5 * NS_PER_S
MOST_LATE_NS = NS_PER_S
"""By how much later than due a look may come; beyond, the server itself stood still (frozen machine, stopped process).
Larger: short standstills cost healthy instances that answered meanwhile; smaller: hung ones live one look longer."""
MEMORY_SLACK_RATIO = 1.1
"""The kernel refuses allocations at the limit; the watch catches what that limit does not count (shared mappings)."""


class KillReason(StrEnum):
    """Why the watchdog ended an instance; shown on the page."""

    LOAD_TIMEOUT = "load_timeout"
    EXECUTION_TIMEOUT = "execution_timeout"
    NO_ANSWER = "no_answer"
    STOP_TIMEOUT = "stop_timeout"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class InstanceView:
    """What the parent knows. `*_since_ns` are 0 while that is not so; `resident_bytes` 0 where it was not read."""

    state: InstanceState
    state_since_ns: int
    started_ns: int
    executing_since_ns: int
    ping_since_ns: int
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End it now; `message` has the numbers."""

    reason: KillReason
    message: str


def may_judge(due_ns: int, was_put_off: bool, now_ns: int, timeout_ns: int) -> bool:
    """False if what instances said is first to be heard: this look, due at `due_ns`, comes late. Pure.

    Late is what could take a healthy execution beyond `timeout_ns`: half of it, at most MOST_LATE_NS.
    Timers may come before what waits to be read. Never twice in a row, or a machine that is always late watches nobody.
    """
    return was_put_off or now_ns - due_ns < min(MOST_LATE_NS, timeout_ns // 2)


def verdict(view: InstanceView, policy: ExecutionPolicy, now_ns: int) -> Kill | None:
    """Return why the instance must be killed, or None. Pure."""
    if view.executing_since_ns:
        if now_ns - view.executing_since_ns >= policy.timeout_ns:
            limit = _seconds(policy.timeout_ns)
            return Kill(
                KillReason.EXECUTION_TIMEOUT, say("An execution took longer than its limit of %(limit)s.", limit=limit)
            )
    elif view.state in COMING:
        if now_ns - view.started_ns >= policy.load_timeout_ns:
            limit = _seconds(policy.load_timeout_ns)
            return Kill(KillReason.LOAD_TIMEOUT, say("Loading took longer than its limit of %(limit)s.", limit=limit))
    elif view.state is InstanceState.DRAINING:
        if now_ns - view.state_since_ns >= STOP_GRACE_NS:
            return Kill(KillReason.STOP_TIMEOUT, say("It did not end when told to."))
    elif view.ping_since_ns and now_ns - view.ping_since_ns >= PING_ANSWER_NS:
        silence = _seconds(PING_ANSWER_NS)
        return Kill(KillReason.NO_ANSWER, say("It was idle and did not answer for %(silence)s.", silence=silence))
    limit_bytes = policy.memory_limit_bytes
    if limit_bytes and view.resident_bytes > limit_bytes * MEMORY_SLACK_RATIO:
        used, allowed = view.resident_bytes // BYTES_PER_MIB, limit_bytes // BYTES_PER_MIB
        words = say("It used %(used)s MiB of memory; its limit is %(allowed)s MiB.", used=used, allowed=allowed)
        return Kill(KillReason.MEMORY, words)
    return None


def _seconds(value_ns: int) -> str:
    return f"{value_ns / NS_PER_S:g} s"
