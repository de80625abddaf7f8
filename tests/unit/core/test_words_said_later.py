"""Words that know what they were made of: as English now, and in another language later."""

from __future__ import annotations

import copy
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.policies import Knob, ScalingPolicy
from proxy.core.words import Words, capitalised, joined, of_error, parts_of, readable, replaced, say, told
from proxy.tuner.instance_count import instance_count
from proxy.tuner.signals import NO_SIGNALS, MeasuredSecond, signals_from
from proxy.tuner.tuning import next_step
from tests.unit.tuner.tuning_cast import NOW, cache_report, view

GERMAN = {"%(a)s because %(why)s.": "%(why)s, darum %(a)s.", "it rains": "es regnet", " and more": " und mehr"}


def german(text: str) -> str:
    return GERMAN.get(text, text)


def test_a_sentence_is_english_text_and_can_be_said_in_another_language():
    words = say("%(a)s because %(why)s.", a="50 %", why=say("it rains")) + say(" and more")
    assert words == "50 % because it rains. and more"
    assert told(words.parts, german) == "es regnet, darum 50 %. und mehr"


def test_parts_survive_json_copies_and_joins():
    words = joined(", ", (say("it rains"), "100%", say("%(a)s because %(why)s.", a=1, why="2")))
    assert words == "it rains, 100%, 1 because 2."
    kept = json.loads(json.dumps(copy.deepcopy(words).parts))
    assert readable(kept, german, "") == "es regnet, 100%, 2, darum 1."


def test_a_value_that_begins_a_sentence_is_written_large_in_every_language():
    words = say("%(capital)s; nothing else.", capital=say("it rains"))
    assert words == "It rains; nothing else."
    assert told(words.parts, german) == "Es regnet; nothing else."
    assert capitalised("") == ""


@pytest.mark.parametrize(
    "parts", [None, [], "text", [["%(a)s", {}]], [["%s %d", {"a": "b"}]], [1], [["a", {}, 3]], [["a", 3]], [[3, {}]]]
)
def test_what_is_none_of_ours_is_told_as_it_was_written(parts):
    assert readable(parts, german, "as written") == "as written"


def test_an_error_keeps_the_words_it_was_raised_with():
    words = say("%(a)s because %(why)s.", a="50 %", why=say("it rains"))
    assert of_error(ValueError(words)) is words
    assert of_error(ValueError("a %")) == "a %" and not isinstance(of_error(ValueError("a %")), Words)
    assert of_error(OSError(16, "busy")) == "[Errno 16] busy"
    assert of_error(ValueError()) == ""


def test_what_is_replaced_in_words_is_replaced_in_their_values_and_not_in_what_is_translated():
    words = replaced(say("%(a)s because %(why)s.", a="/a/because", why=say("%(path)s", path="/a/b")), "/a/b", "it")
    assert words == "itecause because it."
    assert told(words.parts, german) == "it, darum itecause."
    assert replaced("/a/b", "/a", "x") == "x/b"


@given(st.text(), st.text())
def test_any_text_is_its_own_part(one, other):
    assert readable(parts_of(one), str, one) == one
    assert told((Words(one) + other).parts, str) == one + other


def shown(text: str) -> str:
    """A language in which every template is marked."""
    return f"«{text}»"


def test_what_tuning_and_scaling_say_can_be_said_again_with_the_same_numbers():
    grows = cache_report(saved=(50.0, 150.0, 260.0), hits=(0.1, 0.3, 0.5))
    step = next_step(view(cache=grows), NOW)
    busy = [MeasuredSecond(NOW - 15 + at, 200, 0, 0, 5, 1, 0.95, 100, 200) for at in range(15)]
    scaled = instance_count(signals_from(busy, NOW), ScalingPolicy(max_instances=8), 1, None, 0)
    held = instance_count(NO_SIGNALS, ScalingPolicy(), 1, None, 0)
    said = [
        step.proposal.words,
        *(one for knob, one in step.by_knob.items() if knob is not Knob.INSTANCES),
        scaled.words,
        scaled.expected,
        held.words,
    ]
    assert len(step.by_knob) == len(Knob)
    for words in said:
        assert isinstance(words, Words), words
        assert told(words.parts, str) == words
        marked = told(words.parts, shown)
        assert marked.startswith("«")
        assert re.sub("[«»]", "", marked).casefold() == words.casefold()
