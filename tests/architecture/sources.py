"""Our source files, parsed once, for the tests of the architecture."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("proxy", "models_admin", "dlproxy_site")


@dataclass(frozen=True)
class Module:
    """One Python file: its path from the root, text and tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return self.text.count("\n")


@cache
def modules(*packages: str) -> tuple[Module, ...]:
    """Every module below `packages`, migrations apart."""
    found = []
    for package in packages or PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if "/migrations/" not in name:
                text = path.read_text()
                found.append(Module(name, text, ast.parse(text)))
    return tuple(found)


@cache
def tracked_files() -> tuple[str, ...]:
    """Paths that git knows, or that it would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return tuple(name for name in listed.stdout.splitlines() if (ROOT / name).is_file())
