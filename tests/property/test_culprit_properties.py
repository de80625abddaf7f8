"""Whoever is refused for having ended instances has surely done it: for any history of ends and answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.requests import InferenceRequest
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_S
from proxy.scheduler.culprits import MOST_TRIALS, OTHERS_DIE_RATIO, TRIAL_NS, Trials, is_culprit
from proxy.scheduler.offenders import REMEMBERED_NS, Offenders
from proxy.testing.instances import fake_version

VERSION = fake_version()
COUNTS = st.integers(0, 1_000)
INPUTS = st.integers(0, 5)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("ends"), INPUTS, st.booleans()),  # alone in an instance, proven or not
        st.tuples(st.just("answered alone"), INPUTS, st.booleans()),  # on trial or not
        st.tuples(st.just("answers"), st.integers(1, 50), st.just(False)),  # executions of others
        st.tuples(st.just("time"), st.integers(1, 90), st.just(False)),
    ),
    max_size=60,
)


def request(number: int) -> InferenceRequest:
    return InferenceRequest(VERSION, (Tensor("x", "FP32", (1, 2), number.to_bytes(8, "little")),), 1, 0, 1)


@given(COUNTS, COUNTS, COUNTS)
def test_nobody_is_to_blame_who_stands_between_no_answers_or_among_many_that_die(between, right, died):
    blamed = is_culprit(between, right, died)
    assert blamed == (between > 0 and died <= OTHERS_DIE_RATIO * right)
    if blamed:
        assert is_culprit(between + 1, right, died)
        assert is_culprit(between, right + 1, died)
        assert died == 0 or is_culprit(between, right, died - 1)


@given(EVENTS)
def test_who_is_refused_ended_an_instance_lately_that_had_answered_and_others_fared_well(events):
    offenders = Offenders()
    now_ns, results = NS_PER_S, 0
    ends: dict[int, list[tuple[int, int, bool]]] = {}  # when, results then, proven; since it was last answered
    for kind, value, flag in events:
        if kind == "time":
            now_ns += value * NS_PER_S
        elif kind == "answers":
            results += value
        elif kind == "answered alone":
            results += 1
            offenders.answered(request(value), now_ns, is_suspect=flag)
            ends.pop(value, None)
        else:
            ends.setdefault(value, []).append((now_ns, results, flag))
            offenders.ended(request(value), now_ns, crashes=1, results_then=results, results=results, is_proven=flag)
        for number in range(6):
            until_ns = offenders.killer_until_ns(request(number), now_ns)
            if not until_ns:
                continue
            mine = [end for end in ends.get(number, []) if end[0] > now_ns - REMEMBERED_NS * len(ends[number])]
            assert until_ns <= now_ns + REMEMBERED_NS
            assert len(mine) >= 2, "it ended one instance at most"
            assert any(proven and at > mine[0][1] for _, at, proven in mine), "nobody was answered between"


@given(st.lists(INPUTS, min_size=2, max_size=40), st.booleans())
def test_where_nothing_is_answered_nobody_is_refused_and_no_key_is_charged(numbers, is_proven):
    offenders = Offenders()
    for index, number in enumerate(numbers):
        offenders.ended(request(number), index, crashes=2, results_then=7, results=7, is_proven=is_proven)
    assert not offenders.are_killers_known
    assert not offenders.are_charged


@given(st.integers(1, 50), st.integers(1, 50))
def test_a_true_culprit_among_the_well_is_refused_at_its_second_end(answers, trials):
    offenders = Offenders()
    for _ in range(trials):
        offenders.answered(request(1), 1, is_suspect=True)
    assert offenders.ended(request(0), 2, crashes=2, results_then=0, results=answers, is_proven=True)
    assert offenders.killer_until_ns(request(0), 3)
    assert not offenders.killer_until_ns(request(1), 3)


@given(st.lists(st.tuples(st.integers(0, 30), INPUTS), max_size=400))
def test_trials_are_counted_while_they_are_young_and_are_bounded(events):
    trials, kept, now_ns = Trials(), [], 0
    for wait_s, number in events:
        now_ns += wait_s * NS_PER_S
        digest = bytes([number]) if number else b""
        if digest:
            trials.died(digest, now_ns)
        else:
            trials.right(now_ns)
        kept = [one for one in (*kept, (now_ns, digest))[-MOST_TRIALS:] if now_ns - one[0] < TRIAL_NS]
        right = sum(not died for _, died in kept)
        assert trials.of_others(b"\x01", now_ns) == (right, len({died for _, died in kept} - {b"", b"\x01"}))
