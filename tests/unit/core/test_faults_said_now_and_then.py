"""Faults of our own: all are counted, each cause is said now and then, and what a client sent is no cause."""

from __future__ import annotations

from proxy.core.own_faults import MOST_CAUSES, QUIET_NS, OwnFaults, Place
from proxy.core.units import NS_PER_S


def raised(function, *args):
    try:
        function(*args)
    except Exception as error:
        return error
    raise AssertionError


def fail(words):
    raise RuntimeError(words)


def fail_elsewhere(words):
    raise RuntimeError(words)


def test_a_cause_is_said_at_first_and_then_once_in_a_while_with_how_many_were_not():
    faults = OwnFaults()
    lines = [faults.line(Place.FORMING, "it broke", raised(fail, "x"), now_ns) for now_ns in range(10)]
    assert lines == ["it broke"] + [""] * 9
    assert faults.line(Place.FORMING, "it broke", raised(fail, "x"), QUIET_NS) == (
        "it broke (9 more like this since the last line)"
    )
    assert faults.counts == {Place.FORMING: 11}


def test_another_place_line_or_kind_is_another_cause_and_other_words_are_not():
    faults = OwnFaults()

    def said(place, function, *args):
        return bool(faults.line(place, "it broke", raised(function, *args), NS_PER_S))

    assert said(Place.FORMING, fail, "of client 1")
    assert not said(Place.FORMING, fail, "of client 2")
    assert said(Place.COUNTING, fail, "of client 1")
    assert said(Place.FORMING, fail_elsewhere, "of client 1")
    assert said(Place.FORMING, int, "x")


def test_causes_without_end_fill_no_memory_and_are_one_cause():
    faults = OwnFaults()
    errors = [type(f"Error{index}", (Exception,), {})() for index in range(3 * MOST_CAUSES)]
    lines = [faults.line(Place.FORMING, "it broke", error, 0) for error in errors]
    assert sum(map(bool, lines)) == MOST_CAUSES + 1
    assert len(faults._known) == MOST_CAUSES + 1
    assert faults.counts == {Place.FORMING: 3 * MOST_CAUSES}
