"""Whatever a model writes into validation's report: the page shows no more and nothing else than the message says."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from models_admin.services.validation_report import MAX_SAID_CHARACTERS, StepReport, clean_text, parse_line
from proxy.core.words import Words, joined, say, told

PIECES = st.sampled_from(["%(a)s", "%(b)s", "%%", "%", "%s", "%(a)9d", "a", " ", "\n", "\x00", "%(", ")s"])
TEMPLATES = st.lists(PIECES, max_size=4).map("".join)
NAMES = st.sampled_from(["a", "b", "capital", "A b"])
PARTS = st.recursive(
    st.lists(st.tuples(TEMPLATES, st.dictionaries(NAMES, st.text(max_size=3), max_size=2)), max_size=2),
    lambda inner: st.lists(
        st.tuples(TEMPLATES, st.dictionaries(NAMES, st.one_of(st.text(max_size=3), inner), max_size=2)), max_size=2
    ),
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
)


def message_of(message: str, said: object) -> str:
    """What the server makes of a step's message."""
    line = json.dumps({"step": "load", "status": "failed", "message": message, "said": said}).encode()
    report = parse_line(line, ("load",))
    assert isinstance(report, StepReport)
    return report.message


@given(st.one_of(PARTS, ANYTHING), st.text(max_size=20))
def test_what_is_no_sentence_of_ours_is_never_more_than_its_message(said: object, message: str) -> None:
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
        message = told(said, str)  # type: ignore[arg-type]  # often enough they agree
    taken = message_of(message, said)
    assert taken == clean_text(message)
    if isinstance(taken, Words):
        shown = told(taken.parts, str)
        assert clean_text(shown) == taken and len(shown) <= MAX_SAID_CHARACTERS
        assert all(letter.isprintable() or letter == "\n" for letter in shown)


@given(st.text(max_size=50), st.text(max_size=50))
def test_every_sentence_of_ours_is_taken_whatever_its_values_are(one: str, other: str) -> None:
    words = joined("; ", (say("%(a)s of %(b)s: 5 %%", a=one, b=say("it holds %(what)s.", what=other)), say("Done.")))
    taken = message_of(words, words.parts)
    assert isinstance(taken, Words)
    assert [template for template, _ in taken.parts] == [template for template, _ in words.parts]
