"""No figure is baked into a sentence: what pages translate are templates, with knobs, metrics and values in places."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.core.policies import Knob
from proxy.core.words import parts_of, told
from proxy.tuner.capacity import capacity, fit_from
from proxy.tuner.knobs import Bounds, Settings, moved_in_words, named_move, steps
from proxy.tuner.measured_names import MEASURED
from proxy.tuner.tuning_view import Expectation
from proxy.tuner.tuning_words import expected
from proxy.tuner.windows import TuningSecond, unusable, window_from
from tests.unit.tuner.tuning_cast import seconds

FIT = fit_from(window_from(seconds(30)), Settings(instances=2, max_batch_rows=16))


def shouted(template: str) -> str:
    """Another language: each letter large, places left as they are."""
    return "".join(one if one.startswith("%(") else one.upper() for one in re.split(r"(%\(\w+\)s)", template))


def templates(parts: list[Any]) -> Iterator[str]:
    for template, values in parts:
        yield template
        for value in values.values():
            yield from templates(value) if isinstance(value, list) else ()


@pytest.mark.parametrize(
    "answer",
    [
        capacity(FIT, 2_000, 60.0),
        capacity(FIT, 5_000, 0.0, max_instances=1),
        capacity(FIT, 100, 0.5),
        capacity(FIT, 1e7, 0.0),
        capacity(FIT, -1, 0.0),
        capacity(None, 100, 50.0),
    ],
    ids=lambda answer: answer.limited_by,
)
def test_a_capacity_answer_is_said_in_the_readers_language(answer: Any) -> None:
    for words in (answer.words, *answer.assumptions):
        assert told(parts_of(words), lambda template: template) == words
        assert told(parts_of(words), shouted).upper() == words.upper() != words
        assert not [one for one in templates(parts_of(words)) if re.search(r"[1-9]", one)], words


@pytest.mark.parametrize("knob", Knob)
def test_knobs_and_their_values_are_words_that_are_translated(knob: Knob) -> None:
    value = Settings(max_queue_delay_ms=2.0, concurrency_limit=8).of(knob)
    for to_value in (*steps(knob, value, Bounds(instances=(1, 9))), *((0,) if knob is Knob.CONCURRENCY else ())):
        words = named_move(knob, value, to_value)
        assert str(words).endswith(moved_in_words(knob, value, to_value))
        assert str(words).startswith(knob.value.replace("_", " "))
        assert told(words.parts, shouted).startswith(knob.value.replace("_", " ").upper())


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("hits_ratio", "HITS 10% → 20%"),
        ("cache_mib", "CACHE 0.1 → 0.2 MIB"),
        ("capacity_per_s", "CAPACITY 0 → 0/S"),
        ("instances", "INSTANCES 0 → 0"),
    ],
)
def test_metrics_of_an_expectation_are_words_that_are_translated(metric: str, words: str) -> None:
    assert told(parts_of(expected(Expectation(metric, 0.1, 0.2, False, ""))), shouted).upper() == words


def test_every_number_that_may_be_absurd_has_a_name() -> None:
    for name in MEASURED:
        found = unusable([TuningSecond(1.0, **{name: -1})], 1.0)  # type: ignore[arg-type]
        assert found is not None, name
        assert f"measured {MEASURED[name]} is impossible" in found[1]
