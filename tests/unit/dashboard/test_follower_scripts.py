"""When a part of a page that follows another is asked for anew, run by node with a page of two parts."""

from __future__ import annotations

import shutil

import pytest

from tests.unit.dashboard.test_live_script import run

pytestmark = [pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"), pytest.mark.slow]
PAGE = """
    const list = { dataset: { standing: "1" } };
    const foot = { id: "foot", dataset: { follows: "#list", standing: "1" }, querySelector: () => null };
    let dialog = null, asked = 0;
    const found = (selector) => ({ "#list": list, "dialog[open]": dialog })[selector] ?? null;
    const page = { hidden: false, addEventListener() {}, querySelector: found, querySelectorAll: () => [foot] };
    globalThis.document = page;
    globalThis.htmx = { trigger() { asked += 1; } };
    const { followers, unanswered } = await import("./followers.js");
    const counts = [];
    function read(standing = list.dataset.standing) {
      list.dataset.standing = standing;
      followers();
      counts.push(asked);
    }
"""
SAY = "console.log(JSON.stringify(counts));"


def test_a_change_is_asked_for_once() -> None:
    assert run(PAGE + "read(); read('2'); read(); read('3');" + SAY) == [0, 1, 1, 2]


def test_what_changed_while_a_dialog_was_open_is_asked_for_after_it() -> None:
    assert run(PAGE + "dialog = {}; read('2'); dialog = null; read();" + SAY) == [0, 1]


def test_a_hidden_tab_asks_for_nothing_and_for_it_all_the_same_once_it_is_seen() -> None:
    assert run(PAGE + "document.hidden = true; read('2'); document.hidden = false; read();" + SAY) == [0, 1]


@pytest.mark.parametrize(("status", "again"), [(0, 2), (503, 2), (404, 1), (200, 1)])
def test_what_was_not_answered_is_asked_for_again_and_what_was_refused_is_not(status: int, again: int) -> None:
    assert run(PAGE + f"read('2'); unanswered('foot', {status}); read();" + SAY) == [1, again]


def test_a_change_that_came_back_to_what_is_shown_is_asked_for_anew_when_it_comes_again() -> None:
    assert run(PAGE + "read('2'); read('1'); read('2');" + SAY) == [1, 1, 2]
