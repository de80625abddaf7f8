"""The second look at failed tests (docs/decisions/0037-a-second-look.md) sees what the first one saw."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HANGS_S = 180.0
DRAWS_AND_FAILS = """
import random

def test_that_fails():
    print("drew", random.random())
    raise AssertionError

def test_that_passes():
    print("drew nothing")
"""


def test_the_second_look_asks_what_failed_again_with_the_same_random_numbers(tmp_path: Path) -> None:
    found = re.search(r'"\$\{key\}_tests" (--last-failed[^|]*)\|\|', (ROOT / "script" / "test").read_text())
    assert found
    (tmp_path / "test_drawing.py").write_text(DRAWS_AND_FAILS)
    first, second = drawn(tmp_path), drawn(tmp_path, *found[1].split())
    assert len(first) == 1
    assert first == second


def drawn(folder: Path, *options: str) -> list[str]:
    """What a run of pytest over the folder says that its failed tests have drawn."""
    own = ["-q", "-p", "no:django", "-c", "/dev/null", "--rootdir", str(folder), "-o", f"cache_dir={folder / 'cache'}"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *own, *options, str(folder)],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=HANGS_S,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    return re.findall(r"^drew .*$", run.stdout, re.MULTILINE)
