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


# Set by the chart library in the page, and classes of the layout that a component places in itself.
NOT_SHOWN = {
    "u-cursor-x",
    "u-cursor-y",
    "u-select",
    "uplot",
    "side",
    "door",
    "page-head__tools",
    "form-error",
    "preview",
}
SHOWN = [
    ROOT / "templates" / name for name in ("dashboard/styleguide.html", "parts/upload_row.html", "parts/dialogs.html")
]


def components() -> dict[str, str]:
    """The rules of each numbered section of the stylesheet, by its heading."""
    found = re.findall(r"/\* (\d+ · [^\n]*?) -{5,} \*/\n(.*?)(?=\n/\* [^\n]*-{5,} \*/)", SHEET, re.DOTALL)
    return {heading: re.sub(r"/\*.*?\*/", "", rules, flags=re.DOTALL) for heading, rules in found}


def test_there_are_twelve_components_at_most_and_the_style_guide_shows_each() -> None:
    headings = list(components())
    assert 0 < len(headings) <= 12
    shown = re.findall(r'>(\d+) · \{% translate "([^"]+)" %\}<', SHOWN[0].read_text())
    assert [f"{number} · {name}" for number, name in shown] == headings


def test_the_style_guide_shows_every_part_of_every_component() -> None:
    text = "\n".join(path.read_text() for path in SHOWN)
    shown = {name for words in re.findall(r'class="([^"]*)"', text) for name in re.split(r"[^\w-]+", words)}
    shown |= set(re.findall(r"\{% (state|icon) ", text))  # tags that make an element of this class
    missing = {
        heading: names
        for heading, rules in components().items()
        if (
            names := sorted(
                name
                for name in set(re.findall(r"\.([a-z][\w-]*)", re.sub(r"\{[^{}]*\}", "", rules))) - NOT_SHOWN
                if name not in shown and not name.startswith(("part--", "swatch--"))
            )
        )
    }
    assert not missing


def test_every_class_of_the_stylesheet_is_used() -> None:
    rules = re.sub(r"/\*.*?\*/|\{[^{}]*\}", "", SHEET, flags=re.DOTALL)
    sources = [*(ROOT / "templates").rglob("*.html"), *(ROOT / "static/js").rglob("*.js")]
    sources += (ROOT / "models_admin").rglob("*.py")
    words = set(re.findall(r"[\w-]+", "\n".join(path.read_text() for path in sources)))
    # The chart library's own, and families whose last word a template or a script puts in.
    made = ("u-", "uplot", "part--", "swatch--", "token--", "evidence__level--")
    assert not {
        name for name in re.findall(r"\.([a-z][\w-]*)", rules) if name not in words and not name.startswith(made)
    }
