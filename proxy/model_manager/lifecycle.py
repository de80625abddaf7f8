"""States of a version in the data plane, and the legal moves between them, as a table.

Rules: a version answers only in READY and DRAINING (what it already accepted); every move is in `TRANSITIONS`
(test_lifecycle holds that no other one happens).
"""

from __future__ import annotations

from enum import StrEnum


class LoadState(StrEnum):
    """Where a version stands in this process, by the event that brought it there."""

    VERIFYING = "verifying"  # wanted: its bytes are compared with their digest
    LOADING = "loading"  # digest right: the first instance is starting
    READY = "ready"  # an instance answered its warm-up
    FAILED = "failed"  # digest wrong, or its instances would not start
    DRAINING = "draining"  # no longer wanted: what was accepted is finished
    UNLOADED = "unloaded"  # the last process is gone


TRANSITIONS: dict[LoadState, frozenset[LoadState]] = {
    LoadState.VERIFYING: frozenset({LoadState.LOADING, LoadState.FAILED, LoadState.DRAINING}),
    LoadState.LOADING: frozenset({LoadState.READY, LoadState.FAILED, LoadState.DRAINING}),
    LoadState.READY: frozenset({LoadState.FAILED, LoadState.DRAINING}),
    LoadState.FAILED: frozenset({LoadState.READY, LoadState.DRAINING}),
    LoadState.DRAINING: frozenset({LoadState.UNLOADED}),
    LoadState.UNLOADED: frozenset(),
}


def may_move(old: LoadState, new: LoadState) -> bool:
    """True if the table has the move."""
    return new in TRANSITIONS[old]
