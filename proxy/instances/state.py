"""Life of an instance as a table: which state may follow which."""

from __future__ import annotations

from enum import Enum, StrEnum, auto

from proxy.frames.messages import Stage


class InstanceState(StrEnum):
    """Where an instance stands. Only `ready` takes new executions; `verifying` repeats golden samples."""

    STARTING = "starting"
    LOADING = "loading"
    WARMING = "warming"
    VERIFYING = "verifying"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


class Event(Enum):
    """What an instance tells its group.

    STAGE: it came further on its way to READY. LOST: unplanned. ENDED: the process is gone and everything given back.
    """

    STAGE = auto()
    READY = auto()
    FIRST_EXECUTION = auto()
    LOST = auto()
    ENDED = auto()


TRANSITIONS: dict[InstanceState, frozenset[InstanceState]] = {
    InstanceState.STARTING: frozenset({InstanceState.LOADING, InstanceState.DRAINING, InstanceState.FAILED}),
    InstanceState.LOADING: frozenset(
        {InstanceState.WARMING, InstanceState.READY, InstanceState.DRAINING, InstanceState.FAILED}
    ),
    InstanceState.WARMING: frozenset(
        {InstanceState.VERIFYING, InstanceState.READY, InstanceState.DRAINING, InstanceState.FAILED}
    ),
    InstanceState.VERIFYING: frozenset({InstanceState.READY, InstanceState.DRAINING, InstanceState.FAILED}),
    InstanceState.READY: frozenset({InstanceState.DRAINING, InstanceState.FAILED}),
    InstanceState.DRAINING: frozenset({InstanceState.STOPPED, InstanceState.FAILED}),
    InstanceState.STOPPED: frozenset(),
    InstanceState.FAILED: frozenset(),
}
STAGES = {
    Stage.LOADING: InstanceState.LOADING,
    Stage.WARMING: InstanceState.WARMING,
    Stage.VERIFYING: InstanceState.VERIFYING,
}
COMING = (InstanceState.STARTING, InstanceState.LOADING, InstanceState.WARMING, InstanceState.VERIFYING)
"""On its way to READY, in this order."""
LIVE = frozenset({*COMING, InstanceState.READY})
ENDED = frozenset({InstanceState.STOPPED, InstanceState.FAILED})


class IllegalTransition(Exception):
    """A fault of ours: a state was asked to follow one that it may not."""


def advance(current: InstanceState, to: InstanceState) -> InstanceState:
    """Return `to` if it may follow `current`. Pure. Raises IllegalTransition."""
    if to not in TRANSITIONS[current]:
        raise IllegalTransition(f"{current} → {to}")
    return to
