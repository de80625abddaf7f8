"""A running data plane on a free port, and a version for it to serve."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from plane_rig import Plane

from proxy.core.snapshot import VersionSnapshot
from proxy.testing import models


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    plane = Plane(tmp_path)
    await plane.runtime.start()
    try:
        yield plane
    finally:
        await plane.runtime.stop()


@pytest.fixture
def affine(tmp_path: Path) -> VersionSnapshot:
    """Version 1 of a model that answers 2x + 1."""
    return models.script(tmp_path, "affine")
