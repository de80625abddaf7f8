"""The one stylesheet: colours stand in its tokens and nowhere else; the style guide shows twelve components at most."""

from __future__ import annotations

import re

from tests.architecture.sources import ROOT

SHEET = (ROOT / "static/app.css").read_text()
COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}\b|\b(?:rgba?|hsla?|oklch)\(")


def test_colours_are_tokens() -> None:
    tokens, _, rules = SHEET.partition("\n}\n")
    assert COLOUR.search(tokens)
    without_comments = re.sub(r"/\*.*?\*/", "", rules, flags=re.DOTALL)
    # A selector such as #rollout-live is no colour.
    values = re.findall(r"\{([^{}]*)\}", without_comments)
    assert not [value for value in values if COLOUR.search(value)]


def test_both_themes_give_every_colour() -> None:
    tokens = SHEET.partition("\n}\n")[0]
    named = re.findall(r"--([\w-]+): (light-dark\(|#)", tokens)
    assert len([name for name, how in named if how.startswith("light")]) >= 20


def test_every_token_that_is_used_exists() -> None:
    known = set(re.findall(r"^\s+--([\w-]+):", SHEET, re.MULTILINE))
    used = set(re.findall(r"var\(--([\w-]+)\)", SHEET))
    assert not used - known


def test_the_style_guide_shows_twelve_components_at_most() -> None:
    numbered = re.findall(r"(\d+) · ", (ROOT / "templates/dashboard/styleguide.html").read_text())
    assert sorted({int(number) for number in numbered}) == list(range(1, 13))
