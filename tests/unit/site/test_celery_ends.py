"""Starts and ends of the Celery processes: no page is loaded at the start, and there is no last look through every
object at the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlproxy_site.serve import children

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


def test_neither_loads_pages_and_routes(tmp_path: Path) -> None:
    web, *of_celery = children(tmp_path)
    environments = [dict(spec.environment) for spec in of_celery]
    assert (web.name, [spec.name for spec in of_celery]) == ("web", ["worker", "beat"])
    assert environments[0] == environments[1]
    code = (
        "import sys, dlproxy_site.celery as c; c.app.loader.import_default_modules()\n"
        "print('models_admin.tasks.scaling' in sys.modules, 'dlproxy_site.urls' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environments[0]},
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    assert done.stdout.split() == ["True", "False"]
