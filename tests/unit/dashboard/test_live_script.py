"""The browser's side of the live socket, run by node: it ends with the state that the server has."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from live_cast import report

from models_admin.live import messages, views
from models_admin.live.views import View

SCRIPTS = Path(__file__).resolve().parents[3] / "static" / "js" / "lib"
NODE = shutil.which("node")
pytestmark = [pytest.mark.skipif(NODE is None, reason="node is not installed"), pytest.mark.slow]


def run(script: str, **values: Any) -> Any:
    assert NODE is not None
    prelude = f"const given = {json.dumps(values)};\n"
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", prelude + script],
        cwd=SCRIPTS,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_snapshot_and_differences_lead_to_the_servers_state() -> None:
    states = [
        messages.state(report(1, digits=3, idle=0)),
        messages.state(report(2, digits=4, idle=0, new=1)),
        messages.state(report(3, digits=4, new=1)),
    ]
    sent = [
        messages.snapshot(states[0], {"total": [], "models": {}}),
        messages.delta(states[0], states[1]),
        messages.delta(states[1], states[2]),
    ]
    script = """
    import { apply } from "./live.js";
    const seen = [];
    let state = null;
    for (const message of given.sent) { state = apply(state, message); seen.push(state); }
    console.log(JSON.stringify(seen));
    """
    assert run(script, sent=sent) == states


def test_a_difference_after_a_gap_is_refused_so_that_the_page_asks_anew() -> None:
    old, new = messages.state(report(5, digits=1)), messages.state(report(6, digits=2))
    script = """
    import { apply } from "./live.js";
    console.log(JSON.stringify([apply({ sequence: 3, models: {} }, given.delta), apply(null, given.delta)]));
    """
    assert run(script, delta=messages.delta(old, new)) == [None, None]


def test_a_page_asks_for_the_models_that_it_shows_and_the_server_reads_what_it_asks() -> None:
    script = """
    import { queryOf } from "./live.js";
    const many = Array.from({ length: 129 }, (_, index) => `m${index}`);
    const asked = [queryOf(["b", "a", "b"], false), queryOf(["a"], true), queryOf([], false), queryOf(many, false)];
    console.log(JSON.stringify([...asked, queryOf(["x".repeat(7001)], false)]));
    """
    said = run(script)
    assert said == ["?models=a,b", "?models=a&instances=1", "?models=", "", ""]
    read = [views.asked(one.removeprefix("?").encode()) for one in said]
    names = [frozenset("ab"), frozenset("a"), frozenset()]
    assert read == [View(names[0], False), View(names[1], True), View(names[2], False), View(), View()]


def test_snapshot_and_differences_of_a_view_lead_to_the_views_part_of_the_servers_state() -> None:
    whole = [
        messages.state(report(1, a=3, b=0, c=1)),
        messages.state(report(2, b=4, c=2)),
        messages.state(report(3, a=1, c=2)),
    ]
    parts = [views.seen(one, View(frozenset("ab"), False)) for one in whole]
    sent = [messages.snapshot(parts[0], {}), messages.delta(parts[0], parts[1]), messages.delta(parts[1], parts[2])]
    script = """
    import { apply } from "./live.js";
    const seen = [];
    let state = null;
    for (const message of given.sent) { state = apply(state, message); seen.push(state); }
    console.log(JSON.stringify(seen));
    """
    assert run(script, sent=sent) == parts


def test_a_page_whose_module_comes_after_the_first_message_is_told_once_it_is_evaluated() -> None:
    script = """
    import { live } from "./live.js";
    live.state = { at: 7 };
    live.onSnapshot(() => told.push("snapshot"));
    live.onSecond(({ at }) => told.push(at));
    const told = [];
    live.dispatchEvent(new Event("second"));
    await null;
    console.log(JSON.stringify(told));
    """
    assert run(script) == [7, "snapshot", 7]


def test_pauses_before_reconnecting_grow_are_jittered_and_bounded() -> None:
    script = """
    import { pauseBefore } from "./live.js";
    console.log(JSON.stringify([0, 1, 2, 9, 99].map((attempt) => [pauseBefore(attempt, 0), pauseBefore(attempt, 1)])));
    """
    assert run(script) == [[250, 500], [500, 1000], [1000, 2000], [7500, 15000], [7500, 15000]]


def test_scores_are_read_as_probabilities_logarithms_or_plain_numbers() -> None:
    script = """
    globalThis.document = {};
    const { asScores } = await import("./answer.js");
    const rows = [[0.25, 0.75], [Math.log(0.25), Math.log(0.75)], [3, -1]];
    console.log(JSON.stringify(rows.map((row) => asScores(row).words)));
    """
    assert run(script) == [
        "Highest probability",
        "Highest probability (the model answers logarithms)",
        "Highest score",
    ]


def test_a_request_as_code_survives_quotes_in_its_body() -> None:
    script = """
    import { snippet } from "./snippets.js";
    const asked = { origin: "http://h", model: "m", version: null, inputs: null, outputs: [], isRaw: false };
    console.log(JSON.stringify(snippet("curl", { ...asked, body: "{\\"a\\": \\"it's\\"}" })));
    """
    assert "'{\"a\": \"it'\\''s\"}'" in run(script)
