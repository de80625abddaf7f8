"""Life of an instance as a table: which state may follow which."""

from __future__ import annotations

from enum import Enum, StrEnum, auto


class InstanceState(StrEnum):
    """Where an instance stands. Only `ready` takes new executions."""

    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


class Event(Enum):
    """What an instance tells its group. LOST: unplanned; ENDED: the process is gone and everything given back."""

    READY = auto()
    FIRST_EXECUTION = auto()
    LOST = auto()
    ENDED = auto()


TRANSITIONS: dict[InstanceState, frozenset[InstanceState]] = {
    InstanceState.STARTING: frozenset({InstanceState.LOADING, InstanceState.DRAINING, InstanceState.FAILED}),
    InstanceState.LOADING: frozenset({InstanceState.READY, InstanceState.DRAINING, InstanceState.FAILED}),
    InstanceState.READY: frozenset({InstanceState.DRAINING, InstanceState.FAILED}),
    InstanceState.DRAINING: frozenset({InstanceState.STOPPED, InstanceState.FAILED}),
    InstanceState.STOPPED: frozenset(),
    InstanceState.FAILED: frozenset(),
}
LIVE = frozenset({InstanceState.STARTING, InstanceState.LOADING, InstanceState.READY})
ENDED = frozenset({InstanceState.STOPPED, InstanceState.FAILED})


class IllegalTransition(Exception):
    """A fault of ours: a state was asked to follow one that it may not."""


def advance(current: InstanceState, to: InstanceState) -> InstanceState:
    """Return `to` if it may follow `current`. Pure. Raises IllegalTransition."""
    if to not in TRANSITIONS[current]:
        raise IllegalTransition(f"{current} → {to}")
    return to
