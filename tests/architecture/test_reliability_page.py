"""The reliability page and the policies' tables name only tests and benches that exist, and leave none out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from bench.faults import ROWS
from proxy.core.policies import Placement
from proxy.testing.scaling import POLICIES

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
RELIABILITY = (ROOT / "docs" / "reliability.md").read_text()
GOALS = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "12", "21", "scaling")
"""The figures that the page answers for, by their numbers."""


def names_of_tests() -> set[str]:
    return {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def test_each_goal_has_its_row_and_each_row_commands_that_exist() -> None:
    rows = dict(re.findall(r"^\| (\d+|scaling) \|.*\| ([^|]+) \|$", RELIABILITY, re.MULTILINE))
    assert tuple(rows) == GOALS
    for row, commands in rows.items():
        named = re.findall(r"`(bench/\w+)((?: --\w+(?: \w+)*)?)`", commands)
        assert named, f"row {row} names no command"
        for bench, options in named:
            source = ROOT / f"{bench}.py"
            assert source.is_file() and (ROOT / bench).is_file(), f"row {row}: {bench}"
            option, *values = options.split() or [""]
            assert not option or f'"{option}"' in source.read_text(), f"row {row}: {bench} knows no {option}"
            assert option != "--rows" or set(values) <= set(ROWS), f"row {row}: {options}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_test_that_a_page_names_exists(page: Path) -> None:
    """`test_f01_…` stands for all that begin so; `test_name.py` and `tests/…` are files."""
    names = names_of_tests()
    files = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    text = page.read_text()
    for name in re.findall(r"`(test_\w+(?:…|\.py)?)", text):
        if name.endswith(".py"):
            assert name in files, name
        else:
            begin = name.removesuffix("…")
            assert any(other.startswith(begin) if name.endswith("…") else other == begin for other in names), name
    for path in re.findall(r"`(tests/[\w/.]+)", text):
        assert (ROOT / path).exists(), path


def test_each_fault_of_the_tests_of_faults_has_its_line() -> None:
    found = {
        number
        for path in (ROOT / "tests" / "faults").glob("test_*.py")
        for name in re.findall(r"def test_((?:f\d\d_)+)", path.read_text())
        for number in re.findall(r"f(\d\d)", name)
    }
    table = RELIABILITY[RELIABILITY.index("| fault | test |") :]
    told = {f"{int(number):02d}" for number in re.findall(r"\bF(\d+)\b", table)}
    assert found <= told


def test_each_policy_of_placement_and_of_scaling_has_a_row_of_the_simulator() -> None:
    scheduling, scaling = ((ROOT / "docs" / name).read_text() for name in ("scheduling.md", "scaling.md"))
    for policy in Placement:
        assert re.search(rf"^\| {policy.value} \|", scheduling, re.MULTILINE), policy
    for name in POLICIES:
        assert re.search(rf"^\| {re.escape(name)} \|", scaling, re.MULTILINE), name
    assert "(scaling.md)" in scheduling
