"""Whether an instance must be killed: it loads too long, executes too long, does not answer, or uses too much memory.
And whether it is to be replaced before it comes to that: its memory has grown until little is left below the limit.

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

OUTGROWN_RATIO = 0.9
"""An instance that holds this much of its limit is replaced beside, before the limit fails its executions. Larger:
later, and less time for the other to load; smaller: versions that need most of their limit are replaced in vain."""
RENEW_EVERY_NS = 60 * NS_PER_S
"""Between two such replacements in a group. Shorter: a version whose limit is too small keeps a core busy loading;
longer: one that leaks fast fails requests meanwhile."""
RENEW_SELDOM_NS = 3600 * NS_PER_S
"""Between two that bring nothing. Longer: a version that begins to leak fast is left alone for longer."""


class KillReason(StrEnum):
    """Why the watchdog ended an instance; shown on the page."""

    LOAD_TIMEOUT = "load_timeout"
    EXECUTION_TIMEOUT = "execution_timeout"
    NO_ANSWER = "no_answer"
    STOP_TIMEOUT = "stop_timeout"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class InstanceView:
    """What the parent knows. `*_since_ns` are 0 while that is not so; `*_bytes` 0 where it was not read.

    `held_bytes`: what counts against its limit now. `ready_bytes`: what did when it became ready.
    """

    state: InstanceState
    state_since_ns: int
    started_ns: int
    executing_since_ns: int
    ping_since_ns: int
    resident_bytes: int
    held_bytes: int = 0
    ready_bytes: int = 0


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


def outgrown(view: InstanceView, policy: ExecutionPolicy) -> str | None:
    """Why a ready instance is to be replaced beside: its memory has grown close to its limit; else None. Pure.

    Grown means by more than half of what was free when it became ready: a version that needs most of its limit from
    the start would need as much the next time.
    """
    limit_bytes, held_bytes = policy.memory_limit_bytes, view.held_bytes
    if view.state is not InstanceState.READY or not view.ready_bytes or held_bytes < limit_bytes * OUTGROWN_RATIO:
        return None
    if not limit_bytes or 2 * (held_bytes - view.ready_bytes) <= limit_bytes - view.ready_bytes:
        return None
    return say(
        "Its memory grew from %(first)s to %(held)s MiB, close to its limit of %(limit)s MiB.",
        first=view.ready_bytes // BYTES_PER_MIB,
        held=held_bytes // BYTES_PER_MIB,
        limit=limit_bytes // BYTES_PER_MIB,
    )


def renew_pause_ns(pause_ns: int, since_ns: int) -> int:
    """How long nothing is replaced after this replacement, `since_ns` after the last, which forbade `pause_ns`. Pure.

    One that is due as soon as it is allowed again brings nothing: the version needs so much, and does not leak. So the
    pause doubles each time. A leak that takes longer than the pause keeps the shortest.
    """
    return min(2 * pause_ns, RENEW_SELDOM_NS) if since_ns <= pause_ns * 5 // 4 else RENEW_EVERY_NS


def _seconds(value_ns: int) -> str:
    return f"{value_ns / NS_PER_S:g} s"
