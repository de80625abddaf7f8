"""The dresses in which each page's main journey is walked, and the words of a page in its language.

Four dresses meet every pair of input and width, input and theme, input and language, width and theme, width and
language. Theme and language change together: what they do to each other is looked at by
`test_every_page_in_every_dress.py`.
"""

from __future__ import annotations

import gettext
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import polib
import pytest

from script.messages import CATALOGUES, SCRIPTS_PO

Test = TypeVar("Test", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Dress:
    """By what, in which window and in which language a person works."""

    means: str
    width: int
    theme: str
    language: str

    def __str__(self) -> str:
        """As the tests name it."""
        return f"{self.means}-{self.width}-{self.theme}-{self.language}"


DRESSES = (
    Dress("mouse", 1440, "light", "en"),
    Dress("mouse", 390, "dark", "zh-hans"),
    Dress("keys", 1440, "dark", "zh-hans"),
    Dress("keys", 390, "light", "en"),
)


class Words:
    """English words of the source to those of a page: from the catalogues, as the server and its scripts do."""

    def __init__(self, language: str) -> None:
        self._server: gettext.NullTranslations = gettext.NullTranslations()
        self._scripts: dict[str, str] = {}
        if language != "en":
            with (CATALOGUES / "django.mo").open("rb") as file:
                self._server = gettext.GNUTranslations(file)
            self._scripts = {entry.msgid: entry.msgstr for entry in polib.pofile(str(SCRIPTS_PO)) if entry.msgstr}

    def __call__(self, text: str, **values: object) -> str:
        """Of a template or of Python: `%(name)s` stands for a value."""
        said = self._server.gettext(text)
        return said % values if values else said

    def many(self, one: str, many: str, count: int) -> str:
        """Of a template's plural."""
        said = self._server.ngettext(one, many, count)
        return said % {"counter": count, "count": count}

    def of_script(self, text: str, **values: object) -> str:
        """Of a module in static/js: `{name}` stands for a value."""
        return self._scripts.get(text, text).format(**values)


walked: set[str] = set()
"""Names of the pages, as in models_admin/dashboard/urls.py, whose main journey is written."""


def journey(*pages: str) -> Callable[[Test], Test]:
    """Walk the test in every dress; it is the main journey of `pages`."""
    walked.update(pages)
    each: Callable[[Test], Test] = pytest.mark.parametrize("hand", DRESSES, indirect=True, ids=str)
    return each
