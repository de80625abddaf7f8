"""The table of moves: complete, closed, and anything else raises."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.model_manager.lifecycle import FIRST_STATES, STAGES, TRANSITIONS, Event, IllegalMove, LoadState, after

LEGAL = {(state, event): to for state, moves in TRANSITIONS.items() for event, to in moves.items()}


def test_every_state_has_a_row_and_the_end_is_final() -> None:
    assert set(TRANSITIONS) == set(LoadState)
    assert not TRANSITIONS[LoadState.UNLOADED]


@pytest.mark.parametrize(("state", "event"), list(product(LoadState, Event)))
def test_a_move_is_in_the_table_or_raises(state: LoadState, event: Event) -> None:
    if (state, event) in LEGAL:
        assert after(state, event) is LEGAL[state, event]
    else:
        with pytest.raises(IllegalMove, match=state.value):
            after(state, event)


def test_every_state_can_be_reached_and_every_one_but_the_end_can_be_left_for_good() -> None:
    reached = set(FIRST_STATES)
    for _ in LoadState:
        reached |= {to for (state, _), to in LEGAL.items() if state in reached}
    assert reached == set(LoadState)
    for state in set(LoadState) - {LoadState.DRAINING, LoadState.UNLOADED}:
        assert after(state, Event.NOT_WANTED) is LoadState.DRAINING


def test_a_version_answers_only_after_its_bytes_were_right_and_an_instance_gave_the_golden_answers() -> None:
    into_ready = {(state, event) for (state, event), to in LEGAL.items() if to is LoadState.READY}
    assert {event for _, event in into_ready} == {Event.INSTANCE_READY}
    stages = set(STAGES.values())
    assert {state for state, _ in into_ready} == {*stages, LoadState.QUARANTINED}
    assert {state for (state, _), to in LEGAL.items() if to in stages} == {LoadState.CHECKING, *stages}
    assert [to for (state, _), to in LEGAL.items() if state is LoadState.CHECKING and to in stages] == [
        LoadState.LOADING
    ]


class Life(RuleBasedStateMachine):
    """Random events: illegal ones change nothing, legal ones follow the table."""

    def __init__(self) -> None:
        super().__init__()
        self.state = LoadState.CHECKING
        self.was_verified = False

    @rule(event=st.sampled_from(Event))
    def happen(self, event: Event) -> None:
        try:
            self.state = after(self.state, event)
        except IllegalMove:
            return
        self.was_verified |= event is Event.DIGEST_RIGHT

    @invariant()
    def nothing_answers_unverified(self) -> None:
        assert self.was_verified or self.state is not LoadState.READY


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
