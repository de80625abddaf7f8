"""The ends of the Celery processes: no last look through every object, all other last words said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("signal", ["worker_init", "beat_init"])
def test_a_worker_and_a_beat_end_with_their_objects_set_aside(signal: str) -> None:
    # Exit functions are called in reverse, so the one that was registered first sees what the others did.
    code = (
        "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 0))\n"
        "import celery.signals, dlproxy_site.celery\n"
        f"celery.signals.{signal}.send(sender=None)\n"
        "print(gc.get_freeze_count() > 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=180, check=True
    )
    assert done.stdout.split() == ["False", "True"]
