"""Size, docstrings and the rule of one shell per room (docs/architecture.md)."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.sources import Module, modules

MAX_LINES = 300

# Modules of the data plane that may wait, log, or touch the world. Everything else in proxy/ is a decision, a data
# structure or a codec. A room's shell is the file that bears its name; rooms that are I/O as a whole are listed
# as folders.
SHELL_FOLDERS = ("proxy/endpoint/", "proxy/instances/", "proxy/worker/", "proxy/testing/")
SHELL_FILES = {
    "proxy/system.py",
    "proxy/runtime.py",
    "proxy/pipeline.py",
    "proxy/answering.py",
    "proxy/offload.py",  # heavy bodies beside the event loop
    "proxy/gateway.py",
    "proxy/scheduler/scheduler.py",
    "proxy/cache/cache.py",
    "proxy/cache/second_level.py",  # a Redis that other servers use, too
    "proxy/cache/second_level_writing.py",
    "proxy/metrics/metrics.py",
    "proxy/metrics/gpu.py",
    "proxy/metrics/machine.py",
    "proxy/model_manager/model_manager.py",
    "proxy/model_manager/movements.py",
    "proxy/model_manager/artifacts.py",
    "proxy/authorization/authorization.py",
    "proxy/control/feed.py",
    "proxy/rollout/rollout.py",
    "proxy/frames/launch.py",  # shared by the two that start workers: validation and instances
}
IMPURE = {"asyncio", "datetime", "logging", "os", "random", "secrets", "selectors", "signal", "socket", "subprocess"}
IMPURE |= {"threading", "time", "pathlib", "shutil", "tempfile", "psutil", "pynvml"}


def imported_roots(module: Module) -> set[str]:
    """First parts of the names that a module imports at run time (not under TYPE_CHECKING)."""
    names = set()
    skipped = {
        id(node)
        for branch in ast.walk(module.tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    for node in ast.walk(module.tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def is_shell(module: Module) -> bool:
    return module.path in SHELL_FILES or module.path.startswith(SHELL_FOLDERS)


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.path)
def test_a_module_fits_in_three_hundred_lines(module: Module) -> None:
    assert module.lines <= MAX_LINES, f"{module.path} has {module.lines} lines; split it by what changes together"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.path)
def test_a_module_says_in_its_first_line_what_it_decides_or_carries(module: Module) -> None:
    if not module.text.strip():
        return
    assert ast.get_docstring(module.tree), f"{module.path} has no docstring"


@pytest.mark.parametrize("module", modules("proxy"), ids=lambda module: module.path)
def test_public_functions_and_classes_of_the_data_plane_have_docstrings(module: Module) -> None:
    bare = [
        node.name
        for node in module.tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not bare, f"{module.path}: no docstring on {', '.join(bare)}"


@pytest.mark.parametrize("module", [m for m in modules("proxy") if not is_shell(m)], ids=lambda module: module.path)
def test_a_decision_imports_nothing_that_waits_logs_or_touches_the_world(module: Module) -> None:
    impure = imported_roots(module) & IMPURE
    assert not impure, f"{module.path} imports {', '.join(sorted(impure))}; only a room's shell may"
    waits = [node.name for node in ast.walk(module.tree) if isinstance(node, ast.AsyncFunctionDef)]
    assert not waits, f"{module.path} is async in {', '.join(waits)}; only a room's shell may"


def test_every_module_on_the_list_of_shells_exists() -> None:
    assert not SHELL_FILES - {module.path for module in modules("proxy")}
