"""Inspecting bytes as if they had been uploaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from models_admin.inspection import Inspection, Refused, inspect

Look = Callable[[bytes], Inspection]
Refuse = Callable[[bytes], Refused]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Inspect these bytes."""

    def run(content: bytes) -> Inspection:
        path = tmp_path / "upload.part"
        path.write_bytes(content)
        return inspect(path)

    return run


@pytest.fixture
def refuse(look: Look) -> Refuse:
    """Inspect these bytes, which must be refused; the refusal."""

    def run(content: bytes) -> Refused:
        with pytest.raises(Refused) as caught:
            look(content)
        text = str(caught.value)
        assert "/tmp" not in text and "Traceback" not in text
        return caught.value

    return run
