"""A figure reads the same as the server first paints it and as the page's scripts write it a second later."""

from __future__ import annotations

import shutil

import pytest

from models_admin.templatetags import ui
from tests.unit.dashboard.test_live_script import run

pytestmark = [pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"), pytest.mark.slow]
MILLISECONDS = [None, 0.0, 0.614, 9.994, 10.04, 16.84, 99.94, 100.2, 876.4, 9_999.0, 12_345.6]


def test_milliseconds_have_the_same_digits() -> None:
    script = """
    globalThis.document = {};
    const { ms } = await import("./format.js");
    console.log(JSON.stringify(given.values.map(ms)));
    """
    assert [ui.live_ms(value) for value in MILLISECONDS] == run(script, values=MILLISECONDS)
