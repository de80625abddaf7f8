"""What the pages' scripts say of a refusal of the admin API; run by node."""

from __future__ import annotations

import json

import pytest
from test_live_script import NODE, run

pytestmark = [pytest.mark.skipif(NODE is None, reason="node is not installed"), pytest.mark.slow]

NO_JSON = "This is not valid JSON."


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        # As the API writes a bad field of a form, of a service, and of several fields.
        ({"detail": f"options: {NO_JSON}", "errors": {"options": [NO_JSON]}}, f"options: {NO_JSON}"),
        ({"detail": NO_JSON, "errors": {"options": [NO_JSON]}}, NO_JSON),
        ({"detail": f"a: {NO_JSON}", "errors": {"a": [NO_JSON], "b": ["No."]}}, f"a: {NO_JSON} b: No."),
    ],
)
def test_each_reason_is_said_once(problem: dict[str, object], words: str) -> None:
    script = """
    import { problemWords } from "./http.js";
    console.log(JSON.stringify(problemWords(400, given.text)));
    """
    assert run(script, text=json.dumps(problem)) == words
