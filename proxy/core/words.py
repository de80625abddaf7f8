"""Words that can be said in the reader's language later: English text that knows what it was made of. Pure.

A sentence is a `str` like any other; its `parts` are (template, values), one after the other, as JSON keeps them. The
template is English with named places, `%(name)s`, and is what a catalogue translates (script/messages.py collects the
first argument of each `say`); a value is a text or, where it is itself `Words`, a list of such parts.
Rules: who stores words stores their parts beside them; who shows them translates the templates and falls back to the
text. A value named CAPITAL begins a sentence: its first letter is written large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

CAPITAL = "capital"
# [[template, {name: text or such parts}], …], as JSON.
Parts = list[Any]


class Words(str):
    """English text with its parts. `+` keeps them; whatever else is done to it gives a plain `str`."""

    __slots__ = ("parts",)
    parts: Parts

    def __new__(cls, text: str, parts: Parts | None = None) -> Words:
        """A text without parts is its own only part."""
        made = super().__new__(cls, text)
        made.parts = [[_literal(text), {}]] if parts is None else parts
        return made

    def __add__(self, more: str) -> Words:
        return Words(str(self) + str(more), [*self.parts, *parts_of(more)])


def say(template: str, **values: object) -> Words:
    """The sentence of a constant `template`. Values are shown as `str` does."""
    texts = {name: str(value) for name, value in values.items()}
    if CAPITAL in texts:
        texts[CAPITAL] = capitalised(texts[CAPITAL])
    kept = {name: value.parts if isinstance(value, Words) else str(value) for name, value in values.items()}
    return Words(template % texts, [[template, kept]])


def joined(separator: str, some: Iterable[str]) -> Words:
    """As `separator.join`, with the parts of each."""
    words = Words("", [])
    for number, one in enumerate(some):
        words = words + (separator if number else "") + one
    return words


def parts_of(words: str) -> Parts:
    """What `words` are made of; of a plain text, that text."""
    if isinstance(words, Words):
        return words.parts
    return [[_literal(words), {}]] if words else []


def of_error(error: BaseException) -> str:
    """What an error says, with the parts if it was raised with `Words`; `str(error)` has lost them."""
    first = error.args[0] if error.args else ""
    return first if isinstance(first, Words) else str(error)


def replaced(words: str, old: str, new: str) -> str:
    """As `str.replace`, in the values of `Words` too."""
    if not isinstance(words, Words):
        return words.replace(old, new)
    return Words(words.replace(old, new), _replaced(words.parts, old, new))


def told(parts: Parts, translate: Callable[[str], str]) -> str:
    """The parts as text, each template by way of `translate`. Raises what bad parts raise (see `readable`)."""
    return "".join(translate(template) % _values(values, translate) for template, values in parts)


def readable(parts: object, translate: Callable[[str], str], fallback: str) -> str:
    """As `told`, of parts that were stored: the fallback where there are none, or where they are none of ours."""
    if not isinstance(parts, list) or not parts:
        return fallback
    try:
        return told(parts, translate)
    except (AttributeError, KeyError, TypeError, ValueError):
        return fallback


def capitalised(text: str) -> str:
    """With a large first letter."""
    return text[:1].upper() + text[1:]


def _values(values: dict[str, Any], translate: Callable[[str], str]) -> dict[str, str]:
    texts = {name: told(value, translate) if isinstance(value, list) else str(value) for name, value in values.items()}
    if CAPITAL in texts:
        texts[CAPITAL] = capitalised(texts[CAPITAL])
    return texts


def _replaced(value: Any, old: str, new: str) -> Any:
    """The same of parts: templates are ours and stay."""
    if isinstance(value, str):
        return value.replace(old, new)
    return [[template, {name: _replaced(one, old, new) for name, one in values.items()}] for template, values in value]


def _literal(text: str) -> str:
    return text.replace("%", "%%")
