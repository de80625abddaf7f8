"""The version that the server names is the project's."""

from __future__ import annotations

import tomllib
from pathlib import Path

from proxy.core.release import VERSION


def test_the_server_names_the_projects_version() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
