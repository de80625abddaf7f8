"""Parts that follow others are swapped while someone reads: what is pressed in them has an id, so that focus stays."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from django.test import Client

from models_admin.models import Model
from models_admin.services import rollouts
from models_admin.services.actors import Actor

SWAPPED = {"model-head", "version-head", "rollout-part", "versions-foot"}
EMPTY = {"input", "br", "img", "meta", "link", "hr", "use", "path"}


class Pressable(HTMLParser):
    """The start tags of buttons, and links that look like one, within the parts that are swapped."""

    def __init__(self) -> None:
        super().__init__()
        self.within: list[bool] = [False]
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        is_within = self.within[-1] or given.get("id") in SWAPPED
        if is_within and (tag == "button" or (tag == "a" and "button" in (given.get("class") or ""))):
            self.found.append(given)
        if tag not in EMPTY:
            self.within.append(is_within)

    def handle_endtag(self, tag: str) -> None:
        if tag not in EMPTY:
            self.within.pop()


@pytest.mark.parametrize("number", [1, 2, 4, 5])
def test_what_is_pressed_in_a_versions_head_has_an_id(staff: Client, digits: Model, number: int) -> None:
    assert_named(staff, f"/models/digits/versions/{number}/")


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_pressed_around_the_list_of_versions_has_an_id(
    staff: Client, digits: Model, actor: Actor, *, begun: bool
) -> None:
    if begun:
        rollouts.start(actor=actor, model=digits, candidate=digits.versions.get(number=5))
    assert_named(staff, "/models/digits/versions/")


def assert_named(staff: Client, path: str) -> None:
    reader = Pressable()
    reader.feed(staff.get(path).content.decode())
    names = [given.get("id") for given in reader.found]
    assert names
    assert None not in names, reader.found
    assert len(set(names)) == len(names)
