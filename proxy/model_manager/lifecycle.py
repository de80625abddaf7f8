"""Life of a version in the data plane as a table: which event leads from which state to which.

Rules: a version answers in READY, and in DRAINING what it already accepted; while it wakes, requests wait in its lane;
a move that the table lacks is a fault of ours and raises. The diagram in docs/reference/lifecycle.md is made from this
table (`python -m proxy.model_manager.diagram`), and a test holds the two equal.
"""

from __future__ import annotations

from enum import StrEnum


class LoadState(StrEnum):
    """Where a version stands in this process, by the event that brought it there."""

    CHECKING = "checking"  # wanted: its bytes are compared with their digest
    LOADING = "loading"  # digest right: the first instance opens the artifact
    WARMING = "warming"  # opened: it runs each batch size that will be used
    VERIFYING = "verifying"  # warm: it repeats the golden samples, where the version has any
    READY = "ready"  # an instance did all that
    FAILED = "failed"  # digest wrong: nothing is started from these bytes
    QUARANTINED = "quarantined"  # its instances would not start or would not live; nothing more is started
    ASLEEP = "asleep"  # no instance is wanted until a request asks
    DRAINING = "draining"  # no longer wanted: what was accepted is finished
    UNLOADED = "unloaded"  # the last process is gone


class Event(StrEnum):
    """What moves a version."""

    DIGEST_RIGHT = "digest right"
    DIGEST_WRONG = "digest wrong"
    LOADS = "the first instance to come loads"
    WARMS_UP = "it is loaded and warms up"
    VERIFIES = "it is warm and repeats the golden samples"
    INSTANCE_READY = "an instance loaded, warmed up and gave the golden answers"
    GAVE_UP = "no instance starts or lives"
    CHANGED = "its options or limits changed"
    PUT_TO_SLEEP = "no instance wanted, nothing waits"
    ASKED = "a request or the wanted number asks"
    NOT_WANTED = "not wanted any more"
    LAST_PROCESS_GONE = "the last process is gone"


class IllegalMove(Exception):
    """A fault of ours: an event came to a state that knows nothing of it."""


FIRST_STATES = (LoadState.CHECKING, LoadState.ASLEEP)
STAGES = {
    Event.LOADS: LoadState.LOADING,
    Event.WARMS_UP: LoadState.WARMING,
    Event.VERIFIES: LoadState.VERIFYING,
}
"""How far the first instance has come. Any may follow any: one that is lost on the way is followed by another."""
COMING = frozenset({LoadState.CHECKING, *STAGES.values()})
"""On its way to READY."""


def _stage(state: LoadState) -> dict[Event, LoadState]:
    return {event: to for event, to in STAGES.items() if to is not state} | {
        Event.INSTANCE_READY: LoadState.READY,
        Event.GAVE_UP: LoadState.QUARANTINED,
        Event.CHANGED: LoadState.CHECKING,
        Event.PUT_TO_SLEEP: LoadState.ASLEEP,
        Event.NOT_WANTED: LoadState.DRAINING,
    }


TRANSITIONS: dict[LoadState, dict[Event, LoadState]] = {
    LoadState.CHECKING: {
        Event.DIGEST_RIGHT: LoadState.LOADING,
        Event.DIGEST_WRONG: LoadState.FAILED,
        Event.PUT_TO_SLEEP: LoadState.ASLEEP,
        Event.NOT_WANTED: LoadState.DRAINING,
    },
    **{state: _stage(state) for state in STAGES.values()},
    LoadState.READY: {
        Event.GAVE_UP: LoadState.QUARANTINED,
        Event.PUT_TO_SLEEP: LoadState.ASLEEP,
        Event.NOT_WANTED: LoadState.DRAINING,
    },
    LoadState.FAILED: {
        Event.CHANGED: LoadState.CHECKING,
        Event.PUT_TO_SLEEP: LoadState.ASLEEP,
        Event.NOT_WANTED: LoadState.DRAINING,
    },
    LoadState.QUARANTINED: {
        Event.INSTANCE_READY: LoadState.READY,
        Event.DIGEST_WRONG: LoadState.FAILED,
        Event.CHANGED: LoadState.CHECKING,
        Event.PUT_TO_SLEEP: LoadState.ASLEEP,
        Event.NOT_WANTED: LoadState.DRAINING,
    },
    LoadState.ASLEEP: {
        Event.ASKED: LoadState.CHECKING,
        Event.NOT_WANTED: LoadState.DRAINING,
    },
    LoadState.DRAINING: {Event.LAST_PROCESS_GONE: LoadState.UNLOADED},
    LoadState.UNLOADED: {},
}


def after(state: LoadState, event: Event) -> LoadState:
    """The state that follows. Pure. Raises IllegalMove for what the table lacks."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalMove(f"{event!r} came to a version that is {state}") from None
